"""Which elements a formula holds, and where they stand in the periodic table."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.structures.crystal import SYMBOLS

__all__ = ["PLACES", "elements_of"]

_SYMBOL = re.compile(r"[A-Z][a-z]?")
_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}

_TABLE = """
H  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  .  He
Li Be .  .  .  .  .  .  .  .  .  .  B  C  N  O  F  Ne
Na Mg .  .  .  .  .  .  .  .  .  .  Al Si P  S  Cl Ar
K  Ca Sc Ti V  Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y  Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I  Xe
Cs Ba .  Hf Ta W  Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn
Fr Ra .  Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
.  .  La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu .
.  .  Ac Th Pa U  Np Pu Am Cm Bk Cf Es Fm Md No Lr .
"""

#: Symbol, row and column of every element, counted from 1; the f elements stand below the others.
PLACES: tuple[tuple[str, int, int], ...] = tuple(
    (symbol, row, column)
    for row, line in enumerate(_TABLE.strip().splitlines(), 1)
    for column, symbol in enumerate(line.split(), 1)
    if symbol != "."
)


def elements_of(formulas: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The elements of formulas such as ``Al2O3``.

    Returns:
        For every element of every formula, the formula's place and the atomic number; both ``(m,)``.
    """
    places: list[int] = []
    numbers: list[int] = []
    for place, formula in enumerate(formulas):
        found = {_NUMBERS[symbol] for symbol in _SYMBOL.findall(formula) if symbol in _NUMBERS}
        numbers += sorted(found)
        places += [place] * len(found)
    return np.array(places, dtype=np.int64), np.array(numbers, dtype=np.int64)
