"""Compiled: which of a cell's eight points halfway along reciprocal vectors symmetry makes equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.structures._inverse import inverse

__all__ = ["LANES", "POINTS", "points_of"]

#: The zone centre, and the points halfway along one, two or all three of the reciprocal vectors.
POINTS = 8
#: Points that are calculated side by side.
LANES = 4


@kernel(error_model="numpy")
def points_of(
    rotations: NDArray[np.int32], lattice: NDArray[np.float64], reduced: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The points that have to be calculated, and which of them each of the eight is equal to.

    Point i is halfway along reciprocal vector a of the reduced cell if bit a of i is set; a rotation takes
    such a point to another one, up to a reciprocal vector.

    Args:
        rotations: ``(m, 3, 3)`` of the symmetry operations, on fractional coordinates of the lattice.
        lattice: ``(3, 3)``, Å.
        reduced: ``(3, 3)``, Å, reduced vectors of the same lattice.

    Returns:
        ``(p, 3)`` points, 1 where they are halfway along a vector, the centre first; p is a multiple of
        `LANES`, the last ones being the centre again if need be.  ``(8,)`` the place of each point's equal.
    """
    there, back = _parities(reduced, lattice), _parities(lattice, reduced)
    least = np.arange(POINTS)
    # orbits grow together until no rotation leads from one to another
    changed = True
    while changed:
        changed = False
        for g in range(len(rotations)):
            for i in range(POINTS):
                j = _times(there, _times(rotations[g].T, _times(back, i)))
                lower = min(least[i], least[j])
                changed |= least[i] != lower or least[j] != lower
                least[i] = least[j] = lower
    points, place, count = np.zeros((POINTS, 3), dtype=np.int64), np.zeros(POINTS, dtype=np.int64), 0
    for i in range(POINTS):
        if least[i] == i:
            for axis in range(3):
                points[count, axis] = (i >> axis) & 1
            place[i] = count
            count += 1
    return points[: -(-count // LANES) * LANES], place[least]


@kernel(error_model="numpy")
def _parities(vectors: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.int64]:
    """``(3, 3)``: 1 where a vector holds an odd multiple of one of the others, 0 elsewhere."""
    multiples, found = vectors @ inverse(others), np.empty((3, 3), dtype=np.int64)
    for a in range(3):
        for b in range(3):
            found[a, b] = int(np.rint(multiples[a, b])) & 1
    return found


@kernel()
def _times(matrix: NDArray[np.integer], point: int) -> int:
    """A matrix times a point, of which parities count; the transpose of a rotation turns it."""
    found = 0
    for a in range(3):
        parity = 0
        for b in range(3):
            parity ^= int(matrix[a, b]) & (point >> b)
        found |= (parity & 1) << a
    return found
