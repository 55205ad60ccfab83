"""Elements from what files call their atoms: type symbols, labels, names of potentials.

A label that can mean two elements is no element, unless the formula of the file holds only one of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.species import NUMBERS

__all__ = ["Atom", "of_label", "of_type"]

_LAST_LABELLED = 103
"""Heavier elements are in no crystal; ``Nh1`` and ``Cn2`` are labels of something else."""
_NAMED = {symbol: z for symbol, z in NUMBERS.items() if z <= _LAST_LABELLED and symbol != "T"}
_WATER = re.compile(r"(?:ow|wat\w*|water|hoh|h2o|oh2)(?![a-z])", re.IGNORECASE)
_HYDROXYL = re.compile(r"o[hw](?![a-z])", re.IGNORECASE)
#: Upper-case pairs that may as well be one element and a group, or a kind of site: rare earth, hydroxyl, CO.
_DOUBTFUL = {"RE", "CO", "NO", "HO", "PO", "NH", "BH"}


@dataclass(frozen=True, slots=True)
class Atom:
    """What a name stands for.

    Attributes:
        number: atomic number.
        charge: oxidation state, 0 if none is given.
        hydrogens: whether the name says that hydrogens belong to the atom.
    """

    number: int
    charge: float = 0.0
    hydrogens: bool = False


@lru_cache(maxsize=4096)
def of_type(symbol: str) -> Atom | None:
    """The atom of a ``_atom_site_type_symbol``: an element in any case, with a charge, a count or an isotope.

    ``Fe3+``, ``O-2``, ``6Li``, ``Al0``, ``Fe1``, ``NA`` and ``Siva`` (a scattering factor) are understood.
    """
    plain = symbol.strip()
    found = re.fullmatch(r"\d*([A-Za-z]{1,2})(?:va[lL]?|v)?([\d.]*[+-]?[\d.]*)\.?c?", plain)
    name = found[1].title() if found else ""
    if found is None or name not in NUMBERS or name == "T":
        return _oxygen_with_hydrogens(plain)
    if plain[0].isdigit() and found[1] != name:
        return None
    if NUMBERS[name] > _LAST_LABELLED and plain != name:  # NH4 is no nihonium
        return None
    return Atom(NUMBERS[name], _charge(found[2]))


def _charge(text: str) -> float:
    """The charge in ``3+``, ``+3``, ``-``; a number without a sign is a count."""
    sign = 1.0 if "+" in text else -1.0 if "-" in text else 0.0
    digits = text.strip("+-")
    if not sign:
        return 0.0
    return sign * (float(digits) if re.fullmatch(r"\d+\.?\d*|\.\d+", digits) else 1.0)


def _oxygen_with_hydrogens(name: str) -> Atom | None:
    if _WATER.match(name) or _HYDROXYL.match(name):
        return Atom(NUMBERS["O"], 0.0, hydrogens=True)
    return None


@lru_cache(maxsize=4096)
def of_label(label: str, formula: frozenset[int] = frozenset()) -> Atom | None:
    """The atom of a label such as ``Fe1``, ``O2A``, ``(Si1)``, ``Fe_oct``, ``Cu1+``, ``NA2``, ``OH``, ``Ow``.

    Args:
        label: of a site without a type symbol.
        formula: atomic numbers in the file's formula, empty if it has none.

    Returns:
        None for a label that names no element (``M1``, ``T1``) or could name two.
    """
    name = label.strip().lstrip("([{<*'\"")
    letters = re.match(r"[A-Za-z]+", name)
    if letters is None:
        return None
    run, rest = letters[0], name[letters.end() :]
    water = _oxygen_with_hydrogens(name)
    if water is not None and (not formula or 8 in formula):
        return water
    number = _element_of(run, formula)
    if number is None:
        return None
    charge = re.match(r"(\d*[+-]\d*)", rest)
    return Atom(number, _charge(charge[1]) if charge else 0.0)


def _element_of(run: str, formula: Collection[int]) -> int | None:
    """The element that a run of letters at the start of a label names."""
    proper = re.match(r"([A-Z][a-z])(?![a-z])|([A-Z])(?![a-zA-Z])", run)
    if proper is not None and proper[0] in _NAMED:
        return _NAMED[proper[0]]
    readings = {_NAMED[part] for part in (run[:2].title(), run[:1].upper()) if part in _NAMED}
    if formula:
        readings &= set(formula)
        return readings.pop() if len(readings) == 1 else None
    if re.fullmatch(r"[A-Z][A-Z]|[a-z]{1,2}", run):
        if run.upper() in _DOUBTFUL or run.title() not in _NAMED:
            return _suffixed(run)
        return _NAMED[run.title()]
    return _suffixed(run)


def _suffixed(run: str) -> int | None:
    """Oxygen with the letter of a site after it (``Oa``, ``OB``); no other element is named so often."""
    if len(run) == 2 and run[0] == "O" and run.title() not in SYMBOLS:
        return NUMBERS["O"]
    return None
