"""What a CIF says about the contents of its cell, and whether its sites agree.

Formula and number of units, multiplicities, volume and density are checksums over sites and symmetry.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.cif.document import NOT_GIVEN
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.numerals import number
from goldilocks_batch.structures.species import NUMBERS

__all__ = ["Contents", "Formula", "parse_formula"]

VOLUME_TOLERANCE = 0.01
"""Relative, between the volume that is given and that of the cell parameters."""
MASS_TOLERANCE = 0.02
"""Relative, between the density that is given and that of the sites; two hydrogens in Mg(OH)2 are 0.035."""
_HYDROGEN = 1
_DALTON = 1.66053906660  # g/cm³ of one dalton in one Å³
_FORMULA_PART = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)")


@dataclass(frozen=True, slots=True)
class Formula:
    """A chemical formula.

    Attributes:
        text: as written.
        amounts: by atomic number.
        rounding: by atomic number, how far an amount that is not whole may be off: a unit of its last digit.
    """

    text: str
    amounts: dict[int, float]
    rounding: dict[int, float]


def parse_formula(text: str) -> Formula | None:
    """Return a formula sum such as ``Fe0.67 O``; None for ``?``, an empty one, or another kind of formula."""
    amounts: dict[int, float] = {}
    rounding: dict[int, float] = {}
    for word in text.replace(",", " ").split():
        parts = _parts(word)
        if parts is None:
            return None
        for z, amount, unit in parts:
            amounts[z] = amounts.get(z, 0.0) + amount
            if unit:
                rounding[z] = rounding.get(z, 0.0) + unit
    kept = {z: amount for z, amount in amounts.items() if amount > 0}
    return Formula(" ".join(text[:200].split())[:80], kept, rounding) if kept else None


@lru_cache(maxsize=4096)
def _parts(word: str) -> tuple[tuple[int, float, float], ...] | None:
    """Atomic number, amount and unit of its last decimal for each element in ``Fe0.67`` or ``Na4Cl4``."""
    if _FORMULA_PART.sub("", word):
        return None
    parts = []
    for symbol, amount in _FORMULA_PART.findall(word):
        if symbol not in NUMBERS or amount == ".":
            return None
        decimals = len(amount.partition(".")[2])
        value = float(amount or 1)
        parts.append((NUMBERS[symbol], value, 10.0**-decimals if decimals and value % 1 else 0.0))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Contents:
    """What the cell should hold.

    Attributes:
        formula: None if not given.
        units: formula units in the cell, None if not given.
        mass: of the cell in dalton by its density, None if not given.
        multiplicities: of the listed sites, None if not given.
        ends_in_sites: whether the file ends within its list of sites.
    """

    formula: Formula | None
    units: float | None
    mass: float | None
    multiplicities: tuple[int, ...] | None
    ends_in_sites: bool

    @classmethod
    def of(
        cls,
        values: Mapping[str, str],
        multiplicities: list[str] | None,
        volume: float,
        *,
        ends_in_sites: bool,
    ) -> Contents:
        """Read the checksums.

        Args:
            values: single values by tag.
            multiplicities: the column of the sites.
            volume: of the cell, Å³.
            ends_in_sites: whether the file ends within its list of sites.

        Raises:
            StructureError: CONTENT_MISMATCH, the volume given is not that of the cell.
        """
        stated = _number(values.get("_cell_volume"))
        if stated and abs(stated / volume - 1) > VOLUME_TOLERANCE:
            message = f"the cell parameters give {volume:.6g} Å³, _cell_volume says {stated:.6g}"
            _raise(ErrorCode.CONTENT_MISMATCH, f"{message}; one of them is wrong")
        units = _number(values.get("_cell_formula_units_z"))
        density = _number(values.get("_exptl_crystal_density_diffrn"))
        weight = _number(values.get("_chemical_formula_weight"))
        mass = density * volume / _DALTON if density else None
        if mass is None and weight and units:
            mass = weight * units
        return cls(
            parse_formula(values.get("_chemical_formula_sum", "?")),
            units if units and units > 0 else None,
            mass,
            _whole(multiplicities),
            ends_in_sites,
        )

    @property
    def fix_sites(self) -> bool:
        """Whether another number of sites would be noticed."""
        ratio = self.formula is not None and (self.units is not None or len(self.formula.amounts) > 1)
        return ratio or self.mass is not None or self.multiplicities is not None

    def judge(
        self, numbers: NDArray[np.int64], orbits: NDArray[np.int64], order: int, *, without_hydrogens: bool
    ) -> StructureError | None:
        """Return what is wrong with a reading of the symmetry, or None.

        Args:
            numbers: ``(n_sites,)`` atomic numbers in the cell.
            orbits: ``(n_listed,)`` sites that each listed site stands for.
            order: symmetry operations.
            without_hydrogens: whether hydrogens that lack sites are accepted.
        """
        found = dict(Counter(numbers.tolist()))
        if self.formula is not None:
            wrong = self._against_formula(self.formula, found, without_hydrogens=without_hydrogens)
            if wrong is not None:
                return wrong
        if self.multiplicities is not None and not self._multiplicities_fit(orbits, order):
            shown = ", ".join(map(str, self.multiplicities[:6]))
            message = f"_atom_site_symmetry_multiplicity says {shown}, the operations give"
            message = f"{message} {', '.join(map(str, orbits[:6].tolist()))}; is the symmetry complete?"
            return StructureError(ErrorCode.CONTENT_MISMATCH, message, stage=Stage.READ)
        if self.mass is not None and self.formula is None:
            return self._against_mass(self.mass, found, without_hydrogens=without_hydrogens)
        return None

    def lack_hydrogens(self, numbers: NDArray[np.int64]) -> bool:
        """Whether formula or density have hydrogens that are not among ``(n_sites,)`` atomic numbers."""
        found = dict(Counter(numbers.tolist()))
        wrong = None
        if self.formula is not None:
            wrong = self._against_formula(self.formula, found, without_hydrogens=False)
        elif self.mass is not None:
            wrong = self._against_mass(self.mass, found, without_hydrogens=False)
        return wrong is not None and wrong.code is ErrorCode.HYDROGENS_MISSING

    def _against_formula(
        self, formula: Formula, found: dict[int, int], *, without_hydrogens: bool
    ) -> StructureError | None:
        for units in self._possible_units(formula, found):
            if found == {z: units * amount for z, amount in formula.amounts.items()}:
                return None
            off = {
                z: found.get(z, 0) - units * formula.amounts.get(z, 0.0) for z in {*found, *formula.amounts}
            }
            beyond = {
                z: value
                for z, value in off.items()
                if abs(value) > units * formula.rounding.get(z, 0.0) + 1e-3 * max(1.0, units)
            }
            if not beyond:
                return None
            if set(beyond) == {_HYDROGEN} and beyond[_HYDROGEN] < 0 and len(formula.amounts) > 1:
                if without_hydrogens:
                    return None
                missing = -beyond[_HYDROGEN]
                message = (
                    f"{_text(found)} has {missing:g} hydrogens fewer than the formula {formula.text} "
                    f"({units:g} units in the cell); add their positions, or go on without them by "
                    "allow_missing_hydrogens"
                )
                return StructureError(ErrorCode.HYDROGENS_MISSING, message, stage=Stage.READ)
        return self._mismatch(formula, found)

    def _mismatch(self, formula: Formula, found: dict[int, int]) -> StructureError:
        units = f" with {self.units:g} formula units" if self.units else ""
        message = f"the sites make {_text(found)}, _chemical_formula_sum says {formula.text}{units}"
        total, whole = sum(found.values()), sum(formula.amounts.values())
        expected = [total, whole * (self.units or -(-total // max(whole, 1e-9)))]
        fewer = set(found) <= set(formula.amounts) and (total < whole or total < expected[1])
        if self.ends_in_sites and fewer:
            message = f"{message}; the file ends within its sites and seems cut short"
            return StructureError(ErrorCode.PARSE_FAILED, message, stage=Stage.READ)
        message = f"{message}; is a site, the symmetry or the formula wrong?"
        return StructureError(ErrorCode.CONTENT_MISMATCH, message, stage=Stage.READ)

    def _possible_units(self, formula: Formula, found: dict[int, int]) -> list[float]:
        """Formula units that the cell may hold: as given, or one whole cell, or any whole number."""
        if self.units:
            whole = list(formula.amounts.values())
            # pymatgen writes the whole cell as formula sum, and as Z how often the reduced formula is in it,
            # which is twice the smallest one for molecules and peroxides (Cl2, Li2O2)
            most = math.gcd(*map(int, whole))
            whole_cell = not formula.rounding and self.units in (most, most / 2)
            return [self.units, 1.0] if whole_cell and self.units != 1 else [self.units]
        heavy = [z for z in formula.amounts if z != _HYDROGEN] or list(formula.amounts)
        share = sum(found.get(z, 0) for z in heavy) / sum(formula.amounts[z] for z in heavy)
        return [float(max(1, round(share)))]

    def _multiplicities_fit(self, orbits: NDArray[np.int64], order: int) -> bool:
        """Whether the multiplicities are those of the sites, or the orders of their symmetry (SHELXL-97)."""
        if order == 1 and set(self.multiplicities or ()) == {1}:
            return True
        given = np.array(self.multiplicities)
        return bool(
            np.array_equal(given, orbits) or np.array_equal(given * orbits, np.full(len(given), order))
        )

    def _against_mass(
        self, mass: float, found: dict[int, int], *, without_hydrogens: bool
    ) -> StructureError | None:
        weights = _weights()
        light = sum(count * weights[z] for z, count in found.items())
        if abs(light / mass - 1) < MASS_TOLERANCE:
            return None
        missing = (mass - light) / weights[_HYDROGEN]
        message = f"the sites weigh {light:.1f} u, by density or formula weight the cell has {mass:.1f} u"
        carriers = sum(found.get(z, 0) for z in (5, 6, 7, 8))
        hydrogens = 0 < missing <= 4 * carriers and _HYDROGEN not in found
        if not hydrogens:
            message = f"{message}; is a site or the symmetry wrong?"
            return StructureError(ErrorCode.CONTENT_MISMATCH, message, stage=Stage.READ)
        if without_hydrogens:
            return None
        message = (
            f"{message}: some {missing:.0f} hydrogens have no positions; add them, or go on without them"
        )
        message = f"{message} by allow_missing_hydrogens"
        return StructureError(ErrorCode.HYDROGENS_MISSING, message, stage=Stage.READ)


def _raise(code: ErrorCode, message: str) -> None:
    raise StructureError(code, message, stage=Stage.READ)


def _number(text: str | None) -> float | None:
    if text is None or text in NOT_GIVEN:
        return None
    try:
        value = number(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(column: list[str] | None) -> tuple[int, ...] | None:
    """The column as whole numbers, None where one is not given or none."""
    if column is None:
        return None
    if set(column) == {"1"}:
        return (1,) * len(column)
    try:
        values = [float(text) for text in column]
    except ValueError:
        return None
    return tuple(int(value) for value in values) if all(value >= 1 for value in values) else None


def _text(found: Mapping[int, int]) -> str:
    return " ".join(f"{SYMBOLS[z]}{count}" for z, count in found.items()) or "nothing"


@lru_cache(maxsize=1)
def _weights() -> NDArray[np.float64]:
    """Standard atomic weights by atomic number, dalton."""
    from ase.data import atomic_masses

    weights: NDArray[np.float64] = np.array(atomic_masses, dtype=np.float64)
    return weights
