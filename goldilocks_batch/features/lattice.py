"""Lattice block: lengths and angles of the cell and its reciprocal, and symmetry, 15 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import SYSTEMS, Symmetry

__all__ = ["LATTICE_LABELS", "bravais_id", "lattice_block", "lengths_and_angles"]

LATTICE_LABELS = (
    *("a", "b", "c", "alpha", "beta", "gamma"),
    *("reciprocal_a", "reciprocal_b", "reciprocal_c"),
    *("reciprocal_alpha", "reciprocal_beta", "reciprocal_gamma"),
    *("crystal_system", "bravais", "spacegroup_num"),
)

_SYSTEM_IDS = {name: number for number, name in enumerate(SYSTEMS)}
_BRAVAIS = ("aP", "mP", "mC", "oP", "oC", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF")
_BRAVAIS_IDS = {name: number for number, name in enumerate(_BRAVAIS)}


def lattice_block(crystals: Sequence[Crystal], symmetries: Sequence[Symmetry]) -> NDArray[np.float64]:
    """Lattice features of a batch.

    A centring that the training data did not number (A, as in ``Amm2``) has the Bravais id -1.

    Args:
        crystals: the crystals; lattices must not be singular.
        symmetries: their symmetries.

    Returns:
        ``(n, 15)`` in the order of `LATTICE_LABELS`; Å, degrees, 1/Å (with 2π).
    """
    if not crystals:
        return np.empty((0, len(LATTICE_LABELS)))
    lattices = np.stack([crystal.lattice for crystal in crystals])
    reciprocal = 2.0 * np.pi * np.linalg.inv(lattices).transpose(0, 2, 1)
    ids = [
        (_SYSTEM_IDS[symmetry.crystal_system], bravais_id(symmetry), symmetry.number)
        for symmetry in symmetries
    ]
    return np.hstack(
        [lengths_and_angles(lattices), lengths_and_angles(reciprocal), np.array(ids, dtype=np.float64)]
    )


def bravais_id(symmetry: Symmetry) -> int:
    """Number of the Bravais lattice, 0 (aP) to 13 (cF); -1 for a centring that the training data lacks."""
    return _BRAVAIS_IDS.get(symmetry.bravais, -1)


def lengths_and_angles(lattices: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """``(n, 6)``: a, b, c and α, β, γ in degrees of ``(n, 3, 3)`` lattices (rows are vectors)."""
    lengths = np.linalg.norm(lattices, axis=2)
    units = lattices / lengths[:, :, None]
    # α is between b and c, β between c and a, γ between a and b
    cosines = np.sum(units[:, [1, 2, 0]] * units[:, [2, 0, 1]], axis=2)
    return np.hstack([lengths, np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))])
