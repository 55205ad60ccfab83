"""A crystal as arrays: what every stage after reading works on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

__all__ = ["SYMBOLS", "Crystal", "elements_of", "formula"]

_SYMBOLS = """
    X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu
    Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
    Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
#: Chemical symbols; the index is the atomic number, 0 the dummy ``X``.
SYMBOLS: tuple[str, ...] = tuple(_SYMBOLS.split())


def _periodic() -> NDArray[np.bool_]:
    return np.ones(3, dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class Crystal:
    """An ordered crystal: one element on every site.

    Attributes:
        lattice: ``(3, 3)`` float64, Å; rows are a, b, c.
        frac: ``(n_sites, 3)`` float64, fractional coordinates, as read (not wrapped).
        numbers: ``(n_sites,)`` int64, atomic numbers, 1 to 118.
        pbc: ``(3,)`` bool; False marks an axis that is not periodic.
    """

    lattice: NDArray[np.float64]
    frac: NDArray[np.float64]
    numbers: NDArray[np.int64]
    pbc: NDArray[np.bool_] = field(default_factory=_periodic)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def volume(self) -> float:
        """Cell volume, Å³ (positive for right- and left-handed cells)."""
        return float(abs(np.linalg.det(self.lattice)))

    @property
    def cart(self) -> NDArray[np.float64]:
        """``(n_sites, 3)`` Cartesian coordinates, Å."""
        return self.frac @ self.lattice

    @classmethod
    def from_pymatgen(cls, structure: Structure) -> Crystal:
        """Convert an ordered pymatgen structure; oxidation states and other properties are dropped.

        Raises:
            ValueError: a site is disordered or holds a dummy species.
        """
        return cls(
            lattice=np.array(structure.lattice.matrix, dtype=np.float64),
            frac=np.array(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
            numbers=np.array([site.specie.Z for site in structure], dtype=np.int64),
            pbc=np.array(structure.lattice.pbc, dtype=bool),
        )

    def to_pymatgen(self) -> Structure:
        """The same crystal as a pymatgen structure, sites in the same order."""
        from pymatgen.core.lattice import Lattice
        from pymatgen.core.structure import Structure

        lattice = Lattice(self.lattice, pbc=(bool(self.pbc[0]), bool(self.pbc[1]), bool(self.pbc[2])))
        return Structure(lattice, [SYMBOLS[z] for z in self.numbers], self.frac)


def elements_of(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Atomic numbers, ascending, each once, and how many atoms are of each: ``(k,)`` and ``(k,)``."""
    counts = np.bincount(numbers)
    elements = np.flatnonzero(counts)
    return elements, counts[elements]


def formula(numbers: NDArray[np.int64]) -> str:
    """Reduced formula as pymatgen writes it, e.g. ``Fe2O3`` (most electropositive element first)."""
    unique, counts = elements_of(numbers)
    counts //= np.gcd.reduce(counts)
    return _formula(tuple(unique.tolist()), tuple(counts.tolist()))


@lru_cache(maxsize=4096)
def _formula(numbers: tuple[int, ...], counts: tuple[int, ...]) -> str:
    from pymatgen.core.composition import Composition

    composition = Composition({SYMBOLS[z]: n for z, n in zip(numbers, counts, strict=True)})
    with warnings.catch_warnings():  # elements without an electronegativity, which only decides the order
        warnings.simplefilter("ignore")
        return str(composition.reduced_formula)
