"""K-point meshes: from a k-distance to divisions, and how many k-points symmetry leaves of them.

Every mesh is Gamma-centred and unshifted.  Lattices are ``(n, 3, 3)`` float64 in Å, rows a, b, c;
k-distances are in 1/Å with the 2π in the reciprocal lattice (VASP's ``KSPACING``, AiiDA's
``kpoints_distance``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.kpoints._irreducible import in_cells, orbits

__all__ = [
    "Rotations",
    "irreducible_count",
    "irreducible_counts",
    "mesh",
    "reciprocal_lengths",
    "rotations_in_cell",
]

#: Decimals to which AiiDA rounds ``|b_i| / kdist`` before it takes the ceiling.
_DECIMALS = 5
#: Cell vectors whose lengths agree to this, Å, count as equally long; AiiDA-QuantumESPRESSO's figure.
_EQUAL = 1e-5
#: Largest number of divisions along an axis; more is a mistake in the cell or in kdist.  The minors that
#: count fixed points stay within 64 bits up to here.
_MOST = 2**16


def reciprocal_lengths(lattices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths of the reciprocal vectors, with the 2π.

    Args:
        lattices: ``(n, 3, 3)``, Å.

    Returns:
        ``(n, 3)``, 1/Å.
    """
    lengths: NDArray[np.float64] = np.linalg.norm(2 * np.pi * np.linalg.inv(lattices), axis=1)
    return lengths


def mesh(
    kdist: NDArray[np.float64],
    lattices: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    *,
    equal_axes: bool = False,
    lengths: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Divisions ``n_i = max(1, ceil(round(|b_i| / kdist, 5)))`` along each reciprocal axis.

    The rounding is AiiDA's (``KpointsData.set_kpoints_mesh_from_density``, where it is numpy's) and
    goldilocks-core's: without it float noise gives 10×10×9 on fcc Al.

    Args:
        kdist: ``(n,)``, 1/Å, positive and finite.
        lattices: ``(n, 3, 3)``, Å.
        pbc: ``(n, 3)``; along an axis that is not periodic the count is 1.
        equal_axes: give axes whose cell vectors have equal lengths (to 1e-5 Å) the largest count among
            them.  AiiDA-QuantumESPRESSO's ``create_kpoints_from_distance`` always does so where all three
            vectors are equally long, e.g. in the primitive cell of a body-centred tetragonal crystal,
            whose reciprocal vectors are not; here two suffice, and an axis that is not periodic is left out.
        lengths: ``(n, 3)`` those of the reciprocal vectors, 1/Å, where they are known already.

    Returns:
        ``(n, 3)`` int64, each at least 1.

    Raises:
        ValueError: a kdist is not positive, or so small that an axis would have over 65,536 divisions.
    """
    if len(kdist) == 0:
        return np.ones((0, 3), dtype=np.int64)
    if not (np.isfinite(kdist).all() and (kdist > 0).all()):
        raise ValueError("kdist must be positive and finite")
    lengths = reciprocal_lengths(lattices) if lengths is None else lengths
    ratio = np.round(lengths / kdist[:, None], _DECIMALS)
    if (ratio > _MOST).any():
        raise ValueError(f"a kdist of {kdist.min():g} 1/Å needs over {_MOST} divisions along an axis")
    counts = np.where(pbc, np.maximum(1, np.ceil(ratio)), 1).astype(np.int64)
    if equal_axes:
        vectors = np.linalg.norm(lattices, axis=2)
        same = np.abs(vectors[:, :, None] - vectors[:, None, :]) < _EQUAL
        counts = np.where(pbc, np.where(same, counts[:, None, :], 1).max(axis=2), 1)
    return counts


@dataclass(frozen=True, slots=True, eq=False)
class Rotations:
    """Point operations of n cells, on their fractional coordinates (columns), one cell after the other.

    Attributes:
        matrices: ``(m, 3, 3)`` int64; those of each cell form a group.
        starts: ``(n + 1,)`` where each cell's begin, and the end.
    """

    matrices: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, rotations: Sequence[NDArray[np.integer]]) -> Self:
        """Those of n cells, ``(m_i, 3, 3)`` each."""
        starts = np.cumsum([0, *map(len, rotations)], dtype=np.int64)
        together = np.concatenate([np.empty((0, 3, 3), dtype=np.int64), *rotations])
        return cls(together.astype(np.int64), starts)

    def in_cells(self, lattices: NDArray[np.float64], others: NDArray[np.float64]) -> Self:
        """The same operations in the bases of other cells of the same crystals.

        Args:
            lattices: ``(n, 3, 3)`` the cells, Å.
            others: ``(n, 3, 3)`` the other cells, Å, in the same orientation.

        Returns:
            Those operations that map the other cell's lattice on itself.
        """
        return type(self)(*in_cells(self.matrices, self.starts, lattices, others))


def rotations_in_cell(
    rotations: NDArray[np.integer], lattice: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Point operations ``(m', 3, 3)`` of one cell in the basis of another; see :meth:`Rotations.in_cells`."""
    return Rotations.of([rotations]).in_cells(lattice[None], other[None]).matrices


def irreducible_count(mesh: NDArray[np.int64], rotations: NDArray[np.integer]) -> int:
    """Number of k-points of one mesh that are not equivalent; see :func:`irreducible_counts`."""
    return int(irreducible_counts(np.asarray(mesh)[None], Rotations.of([rotations]))[0])


def irreducible_counts(meshes: NDArray[np.int64], rotations: Rotations) -> NDArray[np.int64]:
    """Numbers of k-points that neither symmetry nor time reversal (k to -k) makes equivalent.

    A mesh point is ``k = (m_1/n_1, m_2/n_2, m_3/n_3)`` with integer m, so the mesh is the finite group
    ``Z³ / D Z³``, ``D = diag(n)``.  An operation R on coordinates acts on k as ``g = R^-T``, on m as
    ``D g D⁻¹``.

    Where this is an integer matrix for every R, the whole group maps the mesh on itself, and by Burnside's
    lemma the number of orbits is the mean over the group of the number of fixed points.  The points
    fixed by G are the kernel of ``G - 1`` on ``Z³ / D Z³``; for a homomorphism of a finite group into
    itself the kernel has as many elements as the cokernel ``Z³ / ((G - 1) Z³ + D Z³)``, whose order is the
    greatest common divisor of the 3×3 minors of the 3×6 matrix ``[G - 1 | D]``: no loop over k-points.

    Otherwise (unequal counts along equivalent directions, as in the primitive cell of a body-centred
    tetragonal crystal) some operations take some points of the mesh to others and the rest off it.  Two
    points still are equivalent if any operation takes one to the other, which is how Quantum ESPRESSO and
    spglib count; the points are gone through.  Over 16 million points, only the operations that map
    the whole mesh on itself count, which gives an upper bound.

    Args:
        meshes: ``(n, 3)`` divisions.
        rotations: point operations of n cells.

    Returns:
        ``(n,)`` int64.
    """
    counts: NDArray[np.int64] = orbits(
        np.ascontiguousarray(meshes, dtype=np.int64), rotations.matrices, rotations.starts
    )
    return counts
