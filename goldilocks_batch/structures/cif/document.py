"""CIF syntax: the one block of a text that lists sites, its values and tables.

gemmi reads the text.  What people write beside the standard and mean one thing by is put right and read
again: values with spaces but no quotes, symmetry operations likewise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.outcome import refuse

__all__ = ["FRACT_TAGS", "NOT_GIVEN", "OPERATION_TAGS", "Block", "Table", "read_block", "unquoted"]

NOT_GIVEN = (".", "?", "")
FRACT_TAGS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
OPERATION_TAGS = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_magn_operation_xyz",
    "_space_group_symop_magn_ssg_operation_algebraic",
)
#: Tables that matter; the columns of others are not looked at.
TABLES = ("_atom_site_", "_symmetry_equiv_", "_space_group_symop", "_atom_type_")


_QUOTES = ("'", '"', ";")
_QUOTE_SET = frozenset(_QUOTES)
_FIRST = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Table:
    """A loop: its columns by tag, values as written, quotes removed."""

    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


@dataclass(slots=True)
class Block:
    """A data block.

    Attributes:
        name: after ``data_``.
        values: single values by tag; tags are in lower case, a dot in them (CIF 2's dictionaries) is an
            underscore, quotes are removed.
        tables: the loops that matter.
        sites: the loop of sites, or a site given by single values; None if there is none.
        ends_in_sites: whether the loop of sites is the last thing in the text.
        ends_in_a_line: whether the text's last line is ended.
    """

    name: str
    values: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    sites: Table | None = None
    ends_in_sites: bool = False
    ends_in_a_line: bool = True
    has_cartesian_sites: bool = False
    empty_sites: bool = False

    def column(self, *tags: str) -> list[str] | None:
        """The first of several columns that is there; one value by itself is a column of one."""
        for tag in tags:
            for table in self.tables:
                if tag in table.columns:
                    return table.columns[tag]
            if tag in self.values:
                return [self.values[tag]]
        return None


@lru_cache(maxsize=4096)
def canonical(tag: str) -> str:
    """A tag in lower case with underscores for dots."""
    return tag.lower().replace(".", "_")


def unquoted(value: str) -> str:
    """A value without its quotes or the semicolons of a text field."""
    if value[:1] not in _QUOTES:
        return value
    if value[0] != ";" and "\n" not in value:
        return value[1:-1].strip()
    from gemmi import cif

    return str(cif.as_string(value)).strip()


def read_block(text: str) -> Block:
    """Return the data block that holds the structure.

    Raises:
        StructureError: PARSE_FAILED, the text is no CIF or one that was cut short; NO_STRUCTURE or
            SEVERAL_STRUCTURES, no block or more than one lists sites.
    """
    try:
        blocks = _parsed(text)
    except (ValueError, RuntimeError) as error:
        again = repaired(text)
        if again == text:
            _refuse_syntax(text, error)
        try:
            blocks = _parsed(again)
        except (ValueError, RuntimeError) as second:
            _refuse_syntax(text, second)
    else:
        if any(map(_operations_are_torn, blocks)):
            blocks = _parsed(repaired(text))
    return _only_structure(blocks)


def _parsed(text: str) -> list[Block]:
    from gemmi import cif

    document = cif.read_string(text, 0)  # level 0: what is given twice is judged here
    blocks = [_block(block) for block in document]
    if blocks:
        blocks[-1].ends_in_a_line = text[-1:] in "\r\n"
    return blocks


def _block(source: Any) -> Block:
    block = Block(source.name)
    found = block.values
    for item in source:
        pair = item.pair
        if pair is not None:
            tag, value = canonical(pair[0]), pair[1]
            if value[:1] in _QUOTES:
                value = unquoted(value)
            if tag in found:
                _expect_same(tag, found[tag], value)
            else:
                found[tag] = value
            block.ends_in_sites = False
            continue
        loop = item.loop
        if loop is None:
            continue
        block.ends_in_sites = False
        tags = list(map(canonical, loop.tags))
        if not tags or not tags[0].startswith(TABLES):
            continue
        values = loop.values
        if not _QUOTE_SET.isdisjoint(map(_FIRST, values)):
            values = list(map(unquoted, values))
        width = len(tags)
        table = Table({tag: values[place::width] for place, tag in enumerate(tags)})
        if not table.columns.keys().isdisjoint(FRACT_TAGS):
            block.empty_sites = not len(table)
            if block.sites is not None:
                refuse(ErrorCode.SEVERAL_STRUCTURES, "the block lists sites twice; one list is expected")
            block.sites = table if len(table) else None
            block.ends_in_sites = True
        elif "_atom_site_cartn_x" in table.columns:
            block.has_cartesian_sites = True
        block.tables.append(table)
    if block.sites is None and FRACT_TAGS[0] in block.values:
        single = {tag: [value] for tag, value in block.values.items() if tag.startswith("_atom_site_")}
        block.sites = Table(single)
    return block


def _expect_same(tag: str, before: str, value: str) -> None:
    """Refuse a parameter of the cell or a coordinate that is given twice with different values."""
    if before == value or not tag.startswith(("_cell_length", "_cell_angle", "_atom_site_fract")):
        return
    if tag.startswith("_atom_site_fract"):
        refuse(ErrorCode.PARSE_FAILED, f"{tag} is given twice outside a loop; sites belong in one loop_")
    refuse(
        ErrorCode.PARSE_FAILED,
        f"{tag} is given twice, as {before[:20]} and as {value[:20]}; keep the right one",
    )


def _only_structure(blocks: list[Block]) -> Block:
    holding = [block for block in blocks if block.sites is not None]
    if len(holding) > 1:
        given = [block for block in holding if _has_coordinates(block)]
        holding = given or holding[:1]
    if len(holding) > 1:
        names = ", ".join(block.name[:30] for block in holding[:4])
        message = f"{len(holding)} data blocks hold structures ({names}), one is expected"
        refuse(ErrorCode.SEVERAL_STRUCTURES, message)
    if holding:
        return holding[0]
    if any(block.empty_sites for block in blocks):
        message = "the list of sites has a header and no rows; the file seems cut short"
        refuse(ErrorCode.PARSE_FAILED, message)
    if any(block.has_cartesian_sites for block in blocks):
        message = "the sites are given by _atom_site_Cartn_x, whose axes a CIF leaves open; write fractional"
        refuse(ErrorCode.NO_STRUCTURE, f"{message} coordinates, {', '.join(FRACT_TAGS)}")
    message = f"no data block lists sites: a loop_ with {', '.join(FRACT_TAGS)}"
    raise StructureError(ErrorCode.NO_STRUCTURE, message, stage=Stage.READ)


def _has_coordinates(block: Block) -> bool:
    column = block.sites.columns.get(FRACT_TAGS[0], []) if block.sites else []
    return any(value not in NOT_GIVEN for value in column)


def _operations_are_torn(block: Block) -> bool:
    """Whether values of a column of operations are parts of operations, split at spaces."""
    for tag in OPERATION_TAGS[:2]:
        for value in block.column(tag) or ():
            if value.count(",") != 2 and value not in NOT_GIVEN:
                return True
    return False


def _refuse_syntax(text: str, error: Exception) -> None:
    if not re.search(r"^\s*data_", text, re.MULTILINE | re.IGNORECASE):
        refuse(ErrorCode.PARSE_FAILED, "no CIF: no line starts with data_")
    found = re.match(r"string:(\d+)(?::\d+\(\d+\))?:?\s*(.*)", str(error))
    line, reason = (int(found[1]), found[2]) if found else (0, str(error))
    if "number of values in loop" in reason:
        _refuse_ragged_loop(text)
    if "unterminated" in reason:
        reason = f"{reason}: a quote or a text field (;) that starts there is never closed"
    elif line >= len(text.rstrip().splitlines()):
        reason = f"{reason} at the end; the file seems cut short"
    refuse(ErrorCode.PARSE_FAILED, f"not understood as cif: line {line}: {reason[:200]}")


def _refuse_ragged_loop(text: str) -> None:
    """Refuse a text with a loop whose values do not fill its rows, and say whether it is the last one."""
    last = text.lower().rfind("loop_")
    tags = re.findall(r"^\s*(_\S+)", text[last:], re.MULTILINE)
    header = re.match(r"loop_\s*((?:_\S+\s+)*)", text[last:], re.IGNORECASE)
    width = len(header[1].split()) if header else 0
    values = text[last + header.end() :].split() if header else []
    if width and len(tags) == width and len(values) % width:
        message = f"the last loop_ has {width} columns and {len(values)} values"
        refuse(ErrorCode.PARSE_FAILED, f"{message}; the file seems cut short within it")
    refuse(ErrorCode.PARSE_FAILED, "a loop_ has values that do not fill its rows; quote values with spaces")


def repaired(text: str) -> str:
    """Return the text with quotes where a value holds spaces, on lines of one tag or one operation."""
    lines = re.split(r"\r\n|\r|\n", text)
    in_field = in_header = False
    operations = 0  # columns of the loop of operations that the line is in
    tags: list[str] = []
    for place, line in enumerate(lines):
        if line[:1] == ";":
            in_field = not in_field
            continue
        bare = line.strip()
        if in_field or not bare or bare[0] == "#":
            continue
        lower = bare.lower()
        if lower == "loop_":
            in_header, operations, tags = True, 0, []
        elif lower.startswith(("data_", "loop_")):
            in_header, operations = False, 0
        elif bare[0] == "_" and in_header:
            tags.append(canonical(bare.split()[0]))
            if any(tag in OPERATION_TAGS for tag in tags):
                operations = len(tags)
        elif bare[0] == "_":
            operations = 0
            lines[place] = _quoted_value(line)
        else:
            in_header = False
            if operations in (1, 2) and not set(bare) & set("'\""):
                number, _, rest = bare.partition(" ") if operations == 2 else ("", "", bare)
                lines[place] = f"{number} '{rest.strip()}'"
    return "\n".join(lines)


def _quoted_value(line: str) -> str:
    parts = line.split(None, 1)
    if len(parts) < 2 or parts[1][0] in "'\";[{" or parts[1][0] == "#":
        return line
    value = re.sub(r"\s#.*$", "", parts[1]).strip()
    if len(value.split()) < 2 or "'" in value or " _" in value:
        return line
    return f"{parts[0]} '{value}'"
