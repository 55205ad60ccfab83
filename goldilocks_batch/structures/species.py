"""Names of what sits on a site, as atomic numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.crystal import SYMBOLS

__all__ = [
    "NUMBERS",
    "OCCUPANCY_TOLERANCE",
    "UNREMARKED_OCCUPANCY",
    "atomic_number",
    "atomic_numbers",
    "define_species",
]

NUMBERS: dict[str, int] = {symbol: z for z, symbol in enumerate(SYMBOLS) if z > 0} | {"D": 1, "T": 1}
"""Atomic number of every element symbol; deuterium and tritium are hydrogen."""

OCCUPANCY_TOLERANCE = 1e-3 * (1 + 1e-9)
"""An occupancy this near to one is one; further away it is disorder."""
UNREMARKED_OCCUPANCY = 1e-6
"""An occupancy this near to one is one but for rounding, and not flagged."""

# a symbol, then perhaps a charge (3+, +3, 2-, +, 0+) and pymatgen's properties (",spin=5")
_SPECIES = re.compile(r"\s*([A-Z][a-z]?)(?:[0-9.]*[+-][0-9.]*)?(?:,[\w.=+-]*)*\s*")


@lru_cache(maxsize=4096)
def atomic_number(species: str) -> int:
    """Return the atomic number of an element symbol, with or without an oxidation state.

    Raises:
        StructureError: the string names no element (a dummy, a vacancy, a group of atoms).
    """
    match = _SPECIES.fullmatch(species)
    number = NUMBERS.get(match[1]) if match else None
    if number is None:
        message = f"species {species[:40]!r} is no chemical element"
        raise StructureError(ErrorCode.SPECIES_UNKNOWN, message, stage=Stage.CHECK)
    return number


def atomic_numbers(
    species: Sequence[str] | NDArray[np.integer],
    definitions: str | None = None,
    flags: list[str] | None = None,
) -> NDArray[np.int64]:
    """Return the atomic numbers of sites given by names or numbers.

    Args:
        species: one name a site, or atomic numbers ``(n_sites,)``.
        definitions: OPTIMADE's list of species as JSON, if the names refer to it.
        flags: remarks are added to it.

    Raises:
        StructureError: a name or number is no element, or stands for partial occupancy.
    """
    if isinstance(species, np.ndarray):
        numbers = species.astype(np.int64)
        if len(numbers) and not (numbers.min() >= 1 and numbers.max() < len(SYMBOLS)):
            message = (
                f"atomic numbers must be 1 to {len(SYMBOLS) - 1}, found {numbers.min()} to {numbers.max()}"
            )
            raise StructureError(ErrorCode.SPECIES_UNKNOWN, message, stage=Stage.CHECK)
        return numbers
    known = define_species(definitions, set(species), flags) if definitions is not None else {}
    if not known:
        return np.array([atomic_number(name) for name in species], dtype=np.int64)
    return np.array(
        [known[name] if name in known else atomic_number(name) for name in species], dtype=np.int64
    )


@lru_cache(maxsize=256)
def _definitions(text: str) -> tuple[dict[str, Any], ...]:
    try:
        listed = json.loads(text)
        return tuple({**entry, "name": str(entry["name"])} for entry in listed or ())
    except (ValueError, TypeError, KeyError) as error:
        message = f"column species is no JSON list of OPTIMADE species: {error}"
        raise StructureError(ErrorCode.PARSE_FAILED, message, stage=Stage.READ) from error


def define_species(definitions: str, used: set[str], flags: list[str] | None = None) -> dict[str, int]:
    """Return the atomic number of every species of an OPTIMADE list that is in use.

    Args:
        definitions: the list as JSON: names, ``chemical_symbols`` and ``concentration``.
        used: the names that the sites use; others are not judged.
        flags: remarks are added to it.

    Raises:
        StructureError: a species is a mixture, holds vacancies or attached atoms, or is no element.
    """
    numbers = {}
    for entry in _definitions(definitions):
        name = entry["name"]
        if name not in used:
            continue
        symbols = entry.get("chemical_symbols") or [name]
        shares = entry.get("concentration") or [1.0] * len(symbols)
        if not (isinstance(symbols, list) and isinstance(shares, list)):
            message = f"species {name!r} has no lists of chemical_symbols and concentration"
            raise StructureError(ErrorCode.PARSE_FAILED, message, stage=Stage.READ)
        present = [(s, share) for s, share in zip(symbols, shares, strict=False) if share != 0]
        only = present[0][1] if len(present) == 1 else None
        if not isinstance(only, int | float) or abs(only - 1.0) > OCCUPANCY_TOLERANCE:
            mixture = ", ".join(f"{s} {c}" for s, c in zip(symbols, shares, strict=False))
            message = (
                f"species {name!r} is a mixture ({mixture}); only fully occupied sites of one element work"
            )
            raise StructureError(ErrorCode.PARTIAL_OCCUPANCY, message, stage=Stage.CHECK)
        if abs(only - 1.0) > UNREMARKED_OCCUPANCY and flags is not None:
            flags.append("occupancy_rounded")
        _expect_nothing_attached(name, entry)
        numbers[name] = atomic_number(str(present[0][0]))
    return numbers


def _expect_nothing_attached(name: str, entry: dict[str, Any]) -> None:
    if not any(entry.get("nattached") or ()):
        return
    attached = entry.get("attached")
    hydrogens = isinstance(attached, list) and bool(attached) and set(attached) <= {"H", "D"}
    code = ErrorCode.HYDROGENS_MISSING if hydrogens else ErrorCode.SPECIES_UNKNOWN
    what = "hydrogens" if hydrogens else "atoms"
    message = f"species {name!r} has attached {what} without positions; add them as sites"
    raise StructureError(code, message, stage=Stage.CHECK)
