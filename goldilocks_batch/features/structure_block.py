"""Structure block: space group and density, 6 columns.

The numbers are those of matminer's ``GlobalSymmetryFeatures(["spacegroup_num", "crystal_system_int",
"is_centrosymmetric"])`` and ``DensityFeatures(["density", "vpa", "packing fraction"])``.  The latter needs
an atomic radius for every element; where one has none (He, Ne, Kr, Xe, At, Rn, Fr, Cm and beyond), the
training data has six zeros, and so has this block.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.symmetry import Symmetry

__all__ = ["STRUCTURE_LABELS", "structure_block"]

STRUCTURE_LABELS = (
    "spacegroup_num",
    "crystal_system_int",
    "is_centrosymmetric",
    "density",
    "vpa",
    "packing fraction",
)

_SYSTEM_IDS = {
    "triclinic": 7,
    "monoclinic": 6,
    "orthorhombic": 5,
    "tetragonal": 4,
    "trigonal": 3,
    "hexagonal": 2,
    "cubic": 1,
}


@lru_cache(maxsize=1)
def _masses_and_spheres() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(119,)`` atomic masses in g and cubes of atomic radii in Å³, NaN for elements without a radius."""
    from pymatgen.core.periodic_table import Element
    from pymatgen.core.units import amu_to_kg

    masses = np.full(len(SYMBOLS), np.nan)
    radii = np.full(len(SYMBOLS), np.nan)
    with warnings.catch_warnings():  # pymatgen warns of each radius that it lacks
        warnings.simplefilter("ignore", UserWarning)
        for z in range(1, len(SYMBOLS)):
            element = Element.from_Z(z)
            masses[z] = float(element.atomic_mass) * amu_to_kg * 1e3
            radii[z] = math.nan if element.atomic_radius is None else float(element.atomic_radius)
    return masses, radii**3


def structure_block(
    crystals: Sequence[Crystal], symmetries: Sequence[Symmetry]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Structure features of a batch.

    Args:
        crystals: the crystals.
        symmetries: their symmetries.

    Returns:
        ``(n, 6)`` in the order of `STRUCTURE_LABELS` (density in g/cm³, volume per atom in Å³), and ``(n,)``
        True where an element has no radius and the row is zero.
    """
    masses, spheres = _masses_and_spheres()
    values = np.empty((len(crystals), len(STRUCTURE_LABELS)))
    volumes = np.abs(np.linalg.det(np.array([crystal.lattice for crystal in crystals]).reshape(-1, 3, 3)))
    for row, (crystal, symmetry, volume) in enumerate(
        zip(crystals, symmetries, volumes.tolist(), strict=True)
    ):
        values[row] = (
            symmetry.number,
            _SYSTEM_IDS[symmetry.crystal_system],
            symmetry.is_centrosymmetric,
            masses[crystal.numbers].sum() / (volume * 1e-24),
            volume / len(crystal),
            4.0 * math.pi / 3.0 * spheres[crystal.numbers].sum() / volume,
        )
    zero: NDArray[np.bool_] = np.any(np.isnan(values), axis=1, keepdims=False)
    values[zero] = 0.0
    return values, zero
