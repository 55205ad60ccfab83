"""What a CIF states about its symmetry: operations, Hall and Hermann-Mauguin symbols, a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from goldilocks_batch.structures.cif.document import NOT_GIVEN, OPERATION_TAGS, Block
from goldilocks_batch.structures.cif.groups import Named, Setting, by_code, by_hall, by_name, by_number

__all__ = ["Statement", "common_settings", "is_plainly_p1", "statements", "triplets"]

NAME_TAGS = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_ref",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m",
    "_symmetry_space_group_name_h_m",
    "_symmetry_space_group_name_h-m_full",
)
HALL_TAGS = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
NUMBER_TAGS = ("_space_group_it_number", "_symmetry_int_tables_number")
CODE_TAGS = ("_space_group_it_coordinate_system_code",)
CENTRING_TAGS = ("_space_group_symop_magn_centering_xyz",)
_PLAIN_P1 = (
    *((tag, ("P 1", "P1")) for tag in (*NAME_TAGS, *HALL_TAGS)),
    *((tag, ("1",)) for tag in NUMBER_TAGS),
)


def is_plainly_p1(block: Block) -> bool:
    """Whether the identity is the only operation and no name says otherwise: how databases write."""
    column = block.column(*OPERATION_TAGS[:2])
    if column is None or len(column) != 1 or column[0].replace(" ", "").lower() != "x,y,z":
        return False
    values = block.values
    return all(tag not in values or values[tag] in plain for tag, plain in _PLAIN_P1)


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that is said about the space group.

    Attributes:
        text: as written, for messages.
        named: the settings that it can mean; none if it is in no table.
        by_number: whether it is the group's number, which says nothing about axes and origin.
    """

    text: str
    named: Named
    by_number: bool = False

    @property
    def numbers(self) -> set[int]:
        """Numbers of the space groups that it can mean."""
        return {setting.number for setting in self.named.settings}


def _given(block: Block, tags: Sequence[str]) -> str | None:
    for tag in tags:
        value = block.values.get(tag, "?").strip()
        if value not in NOT_GIVEN:
            return value
    return None


def triplets(block: Block) -> tuple[str, ...] | None:
    """The operations as written, centring translations multiplied in; None if there are none."""
    column = [value for value in block.column(*OPERATION_TAGS) or () if value not in NOT_GIVEN]
    if not column:
        return None
    centrings = [value for value in block.column(*CENTRING_TAGS) or () if value not in NOT_GIVEN]
    if len(centrings) < 2:
        return tuple(column)
    import gemmi

    parts = [[gemmi.Op(",".join(value.split(",")[:3])) for value in values] for values in (centrings, column)]
    return tuple((shift * operation).wrap().triplet() for shift in parts[0] for operation in parts[1])


def statements(block: Block) -> list[Statement]:
    """What Hall symbol, Hermann-Mauguin symbol and number say; names that are unknown are refused below."""
    found = []
    hall, name, number = (_given(block, tags) for tags in (HALL_TAGS, NAME_TAGS, NUMBER_TAGS))
    code = _given(block, CODE_TAGS)
    if hall is not None and (settings := by_hall(hall)):
        found.append(Statement(f"Hall symbol {hall[:40]}", Named(settings)))
    if name is not None:
        named = by_name(name)
        if named is not None:
            found.append(Statement(name[:40], by_code(named, code) if code else named))
        else:
            found.append(Statement(name[:40], Named(())))
    if number is not None and number.isdigit() and 1 <= int(number) <= 230:
        named = by_number(int(number))
        if code:
            named = by_code(named, code)
        found.append(Statement(f"space group number {number}", named, by_number=True))
    if not found and hall is not None:
        found.append(Statement(f"Hall symbol {hall[:40]}", Named(())))
    return found


def common_settings(known: list[Statement]) -> tuple[list[Setting], bool]:
    """The settings that all statements allow; where there are none, those of each, and True."""
    common = list(known[0].named.settings)
    for statement in known[1:]:
        narrower = [setting for setting in common if setting in statement.named.settings]
        if not narrower and statement.by_number and {s.number for s in common} & statement.numbers:
            narrower = common  # a number says nothing about the setting
        if not narrower:
            everything = [s for each in known for s in each.named.settings]
            return list(dict.fromkeys(everything)), True
        common = narrower
    return common, False
