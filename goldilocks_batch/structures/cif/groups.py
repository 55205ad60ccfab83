"""Names of space groups: every setting that a Hermann-Mauguin or Hall symbol or a number can mean.

The settings are gemmi's 564, which hold all 530 of the International Tables that spglib lists; names are
those of both libraries: short, full and extended, with old and new letters.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from goldilocks_batch.structures.cif.operations import Operations, from_hall

__all__ = ["Named", "Setting", "by_code", "by_hall", "by_name", "by_number"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A space group with its axes and origin.

    Attributes:
        number: in the International Tables.
        name: extended Hermann-Mauguin symbol, e.g. ``F d -3 m:2``.
        hall: Hall symbol, which fixes axes and origin.
        choices: names of the choice that makes this setting: ``1``, ``H``, ``b1``, ``cab`` …
        standard: whether its axes are those of the standard setting; the origin may be either.
    """

    number: int
    name: str
    hall: str
    choices: tuple[str, ...]
    standard: bool

    @property
    def operations(self) -> Operations:
        """Its symmetry operations."""
        return from_hall(self.hall)


@dataclass(frozen=True, slots=True)
class Named:
    """What a name can mean.

    Attributes:
        settings: that the name itself can mean.
        others: further settings of the same space group: meant if none of ``settings`` fits the cell.
    """

    settings: tuple[Setting, ...]
    others: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class _Table:
    settings: tuple[Setting, ...]
    names: dict[str, tuple[Setting, ...]]
    halls: dict[str, tuple[Setting, ...]]


def squeezed(name: str) -> str:
    """A symbol without spaces and underscores, in lower case."""
    return re.sub(r"</?su[bp]>|[\s_${}\\\"']", "", name).lower()


@lru_cache(maxsize=1)
def _table() -> _Table:
    import gemmi
    import spglib

    types = {}
    with warnings.catch_warnings():  # spglib announces its change of error handling on every call
        warnings.simplefilter("ignore", DeprecationWarning)
        for hall_number in range(1, 531):
            kind = spglib.get_spacegroup_type(hall_number)
            types[kind.hall_symbol] = kind
    reference = {}
    for group in gemmi.spacegroup_table():
        if group.is_reference_setting():
            reference[group.number] = group.hm
    names: dict[str, dict[Setting, None]] = defaultdict(dict)
    halls: dict[str, dict[Setting, None]] = defaultdict(dict)
    settings = []
    for group in gemmi.spacegroup_table():
        kind = types.get(group.hall)
        extension = group.ext.strip("\0 ")
        choices = {extension, group.qualifier, kind.choice if kind else ""} - {""}
        choices |= {f"{extension}{group.qualifier}"} if extension and group.qualifier else set()
        setting = Setting(
            group.number,
            group.xhm(),
            group.hall,
            tuple(sorted(choice.lower() for choice in choices)),
            group.hm == reference[group.number],
        )
        settings.append(setting)
        halls[_spaced(group.hall)][setting] = None
        halls[_spaced(group.hall).replace(" ", "")][setting] = None
        known = {group.hm, group.xhm()}
        if kind is not None:
            known |= {group.short_name(), kind.international_full, *kind.international.split("=")[1:]}
            if "=" not in kind.international:
                known.add(kind.international)
        for name in known:
            for form in _forms(name, group.number, extension, short=kind is not None):
                names[form][setting] = None
    return _Table(
        tuple(settings),
        {name: tuple(found) for name, found in names.items()},
        {name: tuple(found) for name, found in halls.items()},
    )


def _forms(name: str, number: int, extension: str, *, short: bool) -> set[str]:
    """The ways to write one name, squeezed."""
    forms = {squeezed(name)}
    words = name.replace("_", "").split()
    if short and 3 <= number <= 15 and len(words) == 4:  # the unique axis alone: P 1 21/c 1 is P 21/c
        forms.add(squeezed("".join(word for word in words if word != "1")))
    if number >= 195:  # m3m is the old way to write m-3m
        forms |= {form.replace("-3", "3") for form in forms if not form.startswith(("p-4", "f-4", "i-4"))}
    if extension == "H":  # the lattice letter H of the Protein Data Bank
        forms |= {f"h{form[1:]}" for form in forms if form[0] == "r"}
    return forms


def by_number(number: int) -> Named:
    """Settings of a space group, the standard ones first; empty where there is no such group."""
    found = [setting for setting in _table().settings if setting.number == number]
    return Named(
        tuple(setting for setting in found if setting.standard),
        tuple(setting for setting in found if not setting.standard),
    )


def by_code(named: Named, code: str) -> Named:
    """Those settings that a code of axes and origin picks (``b1``, ``2``, ``h``, ``cab``), where one fits."""
    code = squeezed(code)
    everything = (*named.settings, *named.others)
    found = tuple(setting for setting in everything if code in setting.choices)
    return Named(found) if found else named


@lru_cache(maxsize=4096)
def by_hall(symbol: str) -> tuple[Setting, ...]:
    """The setting of a Hall symbol, any case, with or without spaces; empty where it is none."""
    spaced = _spaced(symbol)
    known = _table().halls.get(spaced) or _table().halls.get(spaced.replace(" ", ""))
    if known is not None:
        return known
    head = re.match(r"-?[a-z]", spaced)
    if head is None:
        return ()
    plain = head[0].upper() + spaced[len(head[0]) :]
    try:
        operations = from_hall(plain)
    except ValueError:
        return ()
    return (Setting(operations.number, f"Hall {plain}", plain, (), False),)


def _spaced(symbol: str) -> str:
    """A Hall symbol in lower case, its parts one space apart."""
    return " ".join(symbol.replace("_", " ").lower().split())


@lru_cache(maxsize=4096)
def by_name(symbol: str) -> Named | None:
    """What a Hermann-Mauguin symbol can mean; None for an unknown one.

    After the symbol may stand ``:1 :2 :H :R`` or another code of the setting, with or without the colon,
    ``S`` or ``Z`` (first and second origin) or ``(origin choice 1)``.
    """
    base, _, code = symbol.partition(":")
    code = squeezed(code)
    described = re.search(r"\(?\s*(?:origin(?:\s*choice)?)\s*([12])\s*\)?\s*$", base, re.IGNORECASE)
    if described is None:
        described = re.search(r"\(\s*([hr])\w*(?:\s+axes)?\s*\)\s*$", base, re.IGNORECASE)
    if described is not None:
        base, code = base[: described.start()], described[1].lower()
    key = squeezed(base)
    found = _table().names.get(key)
    if found is None and not code and len(key) > 2:
        key, code = (key[:-1], key[-1]) if key[-1] in "shrz12" else (key, "")
        found = _table().names.get(key)
    if found is None:
        return None
    others = tuple(s for s in by_number(found[0].number).settings + by_number(found[0].number).others)
    return _chosen(found, tuple(s for s in others if s not in found), code)


def _chosen(found: tuple[Setting, ...], others: tuple[Setting, ...], code: str) -> Named | None:
    if not code:
        return Named(found, others)
    origins = any({"1", "2"} & set(setting.choices) for setting in found)
    axes = any("h" in setting.choices for setting in found)
    if code in ("s", "z"):
        code = {"s": "1", "z": "2"}[code] if origins else "h" if axes else ""
        if not code:
            return Named(found, others)
    picked = tuple(setting for setting in found if code in setting.choices)
    if picked:
        return Named(picked, tuple(setting for setting in found if setting not in picked))
    picked = tuple(setting for setting in others if code in setting.choices)
    if picked:
        return Named(picked)
    trigonal = 143 <= found[0].number <= 194
    harmless = (code == "1" and not origins) or (code == "h" and trigonal and not axes)
    return Named(found, others) if harmless else None
