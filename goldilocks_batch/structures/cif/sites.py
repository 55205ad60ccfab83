"""The sites that a CIF lists: positions, elements, occupancies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.core.errors import ErrorCode, Stage
from goldilocks_batch.structures.cif.contents import Formula
from goldilocks_batch.structures.cif.document import FRACT_TAGS, NOT_GIVEN, Table
from goldilocks_batch.structures.labels import Atom, of_label, of_type
from goldilocks_batch.structures.numerals import number
from goldilocks_batch.structures.outcome import ReadOptions, refuse
from goldilocks_batch.structures.species import NUMBERS, OCCUPANCY_TOLERANCE

__all__ = ["Sites", "read_sites"]

FRAC_TOLERANCE = 1e-4
"""Relative: a coordinate this near to 1/3 or 2/3 is meant to be it (pymatgen's rule and default)."""
_PLAIN = {symbol: z for symbol, z in NUMBERS.items() if symbol not in ("D", "T")}
_HYDROXYL = re.compile(r"\bO[HhWw]")
_FULL = {"1", "1.0", "1.00", "1.000", "1.0000", "1."}


@dataclass(slots=True)
class Sites:
    """Listed sites.

    Attributes:
        frac: ``(n, 3)`` fractional coordinates, thirds completed, not wrapped.
        numbers: ``(n,)`` atomic numbers.
        labels: for messages.
        multiplicities: the column as written, None if there is none.
        charges: ``(n,)`` oxidation states, None if none is given.
        flags: remarks.
    """

    frac: NDArray[np.float64]
    numbers: NDArray[np.int64]
    labels: list[str]
    multiplicities: list[str] | None
    charges: NDArray[np.float64] | None = None
    flags: list[str] = field(default_factory=list)


def read_sites(table: Table, formula: Formula | None, options: ReadOptions) -> Sites:
    """Read the list of sites.

    Args:
        table: the loop of sites.
        formula: of the file, which decides what a doubtful label means.
        options: limits and what is accepted.

    Raises:
        StructureError: a site cannot be understood, is partly occupied, or says that hydrogens are missing.
    """
    if len(table) > options.max_sites:
        refuse(
            ErrorCode.TOO_MANY_SITES,
            f"{len(table)} sites are listed, the limit is {options.max_sites}",
            Stage.CHECK,
        )
    columns = _without_dummies(table.columns)
    types = columns.get("_atom_site_type_symbol")
    labels = columns.get("_atom_site_label") or types
    missing = [tag for tag in FRACT_TAGS if tag not in columns]
    if missing or labels is None:
        needed = ", ".join(missing) or "_atom_site_label or _atom_site_type_symbol"
        refuse(ErrorCode.PARSE_FAILED, f"the list of sites has no column {needed}")
    flags: list[str] = []
    _check_disorder(columns, flags)
    try:
        numbers = np.array([_PLAIN[symbol] for symbol in types or ()], dtype=np.int64)
        charges = None
    except KeyError:
        numbers = np.empty(0, dtype=np.int64)
    if types is None or len(numbers) != len(labels) or "_atom_site_attached_hydrogens" in columns:
        numbers, charges = _elements(columns, labels, formula, options, flags)
    elif _mentions_hydroxyl(labels, types):
        flags += _hinted_hydrogens(numbers)
    frac = _coordinates(columns, labels)
    return Sites(frac, numbers, labels, columns.get("_atom_site_symmetry_multiplicity"), charges, flags)


def _without_dummies(columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """The columns without sites that are no atoms: ``calc_flag dum``."""
    calculated = columns.get("_atom_site_calc_flag")
    if calculated is None or not any(value.lower() in ("dum", "dummy") for value in calculated):
        return columns
    keep = [value.lower() not in ("dum", "dummy") for value in calculated]
    return {tag: [v for v, kept in zip(column, keep, strict=True) if kept] for tag, column in columns.items()}


def _check_disorder(columns: dict[str, list[str]], flags: list[str]) -> None:
    """Refuse occupancies that are not one, and alternative sites."""
    for text in set(columns.get("_atom_site_occupancy", ())) - _FULL:
        if text in NOT_GIVEN:
            continue
        try:
            occupancy = number(text)
        except ValueError:
            refuse(ErrorCode.PARSE_FAILED, f"_atom_site_occupancy is {text[:40]!r}, a number is expected")
        if abs(occupancy - 1) <= OCCUPANCY_TOLERANCE:
            if occupancy != 1:
                flags.append("occupancy_rounded")
        elif 0 <= occupancy < 1:
            what = "is empty" if occupancy == 0 else f"is occupied to {text}"
            message = f"a site {what}; only fully occupied sites of one element work"
            refuse(ErrorCode.PARTIAL_OCCUPANCY, message, Stage.CHECK)
        else:
            message = (
                f"a site has an occupancy of {text[:40]}, which is no share; it must lie between 0 and 1"
            )
            refuse(ErrorCode.OCCUPANCY_INVALID, message, Stage.CHECK)
    for tag in ("_atom_site_disorder_group", "_atom_site_disorder_assembly"):
        if set(columns.get(tag, ())) - {*NOT_GIVEN, "0"}:
            message = f"{tag} names alternative sites; keep one of them, fully occupied"
            refuse(ErrorCode.PARTIAL_OCCUPANCY, message, Stage.CHECK)


def _elements(
    columns: dict[str, list[str]],
    labels: list[str],
    formula: Formula | None,
    options: ReadOptions,
    flags: list[str],
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Return ``(n,)`` atomic numbers and oxidation states from type symbols, else labels."""
    types = columns.get("_atom_site_type_symbol") or ["?"] * len(labels)
    known = frozenset(formula.amounts) if formula else frozenset()
    atoms: list[Atom] = []
    for label, symbol in zip(labels, types, strict=True):
        given = symbol not in NOT_GIVEN
        atom = of_type(symbol) if given else of_label(label, known)
        if atom is None:
            what = f"_atom_site_type_symbol {symbol[:40]!r}" if given else f"site label {label[:40]!r}"
            reason = "is no chemical element, or could be more than one"
            if not given:
                reason = f"{reason}; give its element by _atom_site_type_symbol"
            refuse(ErrorCode.SPECIES_UNKNOWN, f"{what} {reason}", Stage.CHECK)
        atoms.append(atom)
    numbers = np.array([atom.number for atom in atoms], dtype=np.int64)
    charges = np.array([atom.charge for atom in atoms])
    attached = [value for value in columns.get("_atom_site_attached_hydrogens", ()) if value not in NOT_GIVEN]
    lacking = [label for label, atom in zip(labels, atoms, strict=True) if atom.hydrogens]
    if lacking and (numbers == 1).any():  # water or hydroxyl whose hydrogens have sites of their own
        lacking = []
    if lacking or any(number(value) > 0 for value in attached):
        if not options.allow_missing_hydrogens:
            what = f"site {lacking[0][:40]!r} names" if lacking else "_atom_site_attached_hydrogens counts"
            message = f"{what} hydrogens that have no positions; add them, or go on without them by"
            refuse(ErrorCode.HYDROGENS_MISSING, f"{message} allow_missing_hydrogens")
        flags.append("hydrogens_missing")
    return numbers, charges if charges.any() else None


def _mentions_hydroxyl(labels: list[str], types: list[str]) -> bool:
    if _HYDROXYL.search(" ".join(labels)) is None:
        return False
    return any(
        symbol == "O" and label[1:2] in ("H", "h", "W", "w")
        for label, symbol in zip(labels, types, strict=True)
    )


def _hinted_hydrogens(numbers: NDArray[np.int64]) -> list[str]:
    """The flag of oxygens that are called hydroxyl or water in a list without any hydrogen."""
    return [] if (numbers == 1).any() else ["hydrogens_missing"]


def _coordinates(columns: dict[str, list[str]], labels: list[str]) -> NDArray[np.float64]:
    x, y, z = (columns[tag] for tag in FRACT_TAGS)
    try:
        values = list(map(float, [*x, *y, *z]))
    except ValueError:
        values = [
            _coordinate(text, tag, label)
            for tag in FRACT_TAGS
            for text, label in zip(columns[tag], labels, strict=True)
        ]
    frac = np.array(values).reshape(3, -1).T.copy()
    if not _complete_thirds(frac):
        refuse(ErrorCode.NOT_FINITE, "NaN or infinity found in the fractional coordinates", Stage.CHECK)
    return frac


def _coordinate(text: str, tag: str, label: str) -> float:
    if text in NOT_GIVEN:
        refuse(ErrorCode.NULL_VALUE, f"{tag} is {text!r} for site {label[:40]}; every atom needs a position")
    try:
        return number(text)
    except ValueError:
        refuse(ErrorCode.PARSE_FAILED, f"{tag} is {text[:40]!r} for site {label[:40]}, a number is expected")


@kernel()
def _complete_thirds(frac: NDArray[np.float64]) -> bool:
    """Set what is meant to be 1/3 or 2/3 to it, in place; whether all numbers are finite."""
    for third in (1 / 3, 2 / 3):
        for i in range(len(frac)):
            for k in range(3):
                if not np.isfinite(frac[i, k]):
                    return False
                if abs(frac[i, k] / third - 1) <= FRAC_TOLERANCE:
                    frac[i, k] = third
    return True
