"""Blocks of the schema ``cslr.v1`` beside composition: symmetry and density, the cell, the reciprocal cell.

The schema is goldilocks-ml's (``goldilocks_ml.models.k_points.k_index.qrf.features``, version 0.2.3), whose
columns these are, in its order: composition 146, structure 7, lattice 7, reciprocal 14.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.features.lattice import lengths_and_angles
from goldilocks_batch.features.structure_block import structure_block
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import Symmetry

__all__ = [
    "CELL_LABELS",
    "RECIPROCAL_LABELS",
    "SYMMETRY_LABELS",
    "cell_block",
    "reciprocal_block",
    "symmetry_block",
]

SYMMETRY_LABELS = (
    *("spacegroup_num", "crystal_system_int", "is_centrosymmetric", "n_symmetry_ops"),
    *("density", "vpa", "packing fraction"),
)
CELL_LABELS = ("a", "b", "c", "alpha", "beta", "gamma", "volume")
RECIPROCAL_LABELS = (
    *("recip_b1", "recip_b2", "recip_b3", "recip_volume", "recip_alpha", "recip_beta", "recip_gamma"),
    *("G_tr", "G_tr2", "G_det", "G_cond", "bmax_over_bmin", "bmid_over_bmin", "recip_orthogonality"),
)


def symmetry_block(
    crystals: Sequence[Crystal], symmetries: Sequence[Symmetry]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Space group, its number of operations in this cell, and density.

    Returns:
        ``(n, 7)`` in the order of `SYMMETRY_LABELS`, and ``(n,)`` True where an element has no tabulated
        radius and the row is zero, as in training.
    """
    values, zero = structure_block(crystals, symmetries)
    operations = np.array([len(symmetry.rotations) for symmetry in symmetries], dtype=np.float64)
    operations[zero] = 0.0
    return np.insert(values, SYMMETRY_LABELS.index("n_symmetry_ops"), operations, axis=1), zero


def cell_block(crystals: Sequence[Crystal]) -> NDArray[np.float64]:
    """``(n, 7)`` lengths (Å), angles (degrees) and volume (Å³) of the cells."""
    if not crystals:
        return np.empty((0, len(CELL_LABELS)))
    lattices = np.stack([crystal.lattice for crystal in crystals])
    return np.column_stack([lengths_and_angles(lattices), np.abs(np.linalg.det(lattices))])


def reciprocal_block(crystals: Sequence[Crystal]) -> NDArray[np.float64]:
    """``(n, 14)`` of the reciprocal cells, with the 2π: lengths, volume, angles, invariants of the metric.

    With the eigenvalues λ of the metric: its trace, that of its square, its determinant, and λ_max/λ_min;
    then the ratios of the longest and the middle length to the shortest, and the sum of the angles' absolute
    cosines.
    """
    if not crystals:
        return np.empty((0, len(RECIPROCAL_LABELS)))
    lattices = np.stack([crystal.lattice for crystal in crystals])
    reciprocal = 2.0 * np.pi * np.linalg.inv(lattices).transpose(0, 2, 1)
    found = lengths_and_angles(reciprocal)
    metric = np.linalg.eigvalsh(reciprocal @ reciprocal.transpose(0, 2, 1))
    lengths = np.sort(found[:, :3], axis=1)
    return np.column_stack(
        [
            found[:, :3],
            np.abs(np.linalg.det(reciprocal)),
            found[:, 3:],
            metric.sum(axis=1),
            (metric**2).sum(axis=1),
            metric.prod(axis=1),
            metric[:, 2] / metric[:, 0],
            lengths[:, 2] / lengths[:, 0],
            lengths[:, 1] / lengths[:, 0],
            np.abs(np.cos(np.radians(found[:, 3:]))).sum(axis=1),
        ]
    )
