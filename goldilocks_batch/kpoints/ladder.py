"""The ladder of a cell: all its distinct Γ-centred meshes, coarsest first, and the k-distances of each.

A k-distance gives the mesh ``n_i = ceil(|b_i| / kdist)``, so the mesh changes at ``|b_i| / n``.  Between two
neighbouring change points it is the same: each mesh, a rung, stands for an interval of k-distances.  This is
the ladder of STFC's goldilocks-data, whose labels count rungs from 1, Γ alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.kpoints.mesh import mesh, reciprocal_lengths

__all__ = ["FLOOR", "Ladder", "ladder"]

#: Smallest change point of a ladder, 1/Å.
FLOOR = 0.03
#: Decimals to which change points are rounded, so that axes of equal length have them in common.
_DECIMALS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """Rungs of one cell.

    Attributes:
        meshes: ``(n, 3)`` int64 divisions; rung r is row r - 1.
        low: ``(n,)`` smallest k-distance that gives the mesh, 1/Å; it belongs to the interval.
        high: ``(n,)`` end of the interval, 1/Å, which does not belong to it; infinite for Γ alone.
    """

    meshes: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.meshes)

    def rung_of(self, kdist: float) -> int:
        """The rung that a k-distance gives, from 1; beyond the ladder's end the last."""
        return min(int((self.low > kdist).sum()) + 1, len(self))

    def kdist(self, rung: int) -> float:
        """A k-distance of a rung, 1/Å: the middle of its interval, where no rounding leads to another mesh.

        That of rung 1 is the largest change point, at which every axis has one division.
        """
        low, high = float(self.low[rung - 1]), float(self.high[rung - 1])
        return low if math.isinf(high) else 0.5 * (low + high)


def ladder(
    lattice: NDArray[np.float64], pbc: NDArray[np.bool_] | None = None, floor: float = FLOOR
) -> Ladder:
    """All distinct meshes of a cell down to a smallest change point.

    Change points ``|b_i| / n`` are rounded to 8 decimals; meshes are taken above the first and in the middle
    between neighbours, and repeats are dropped.

    Args:
        lattice: ``(3, 3)``, Å, rows a, b, c.
        pbc: ``(3,)``, all axes by default; an axis that is not periodic has no change points.
        floor: 1/Å, positive.

    Raises:
        ValueError: the floor is not positive.
    """
    if not floor > 0:
        raise ValueError(f"a ladder needs a positive smallest k-distance, not {floor}")
    periodic = np.ones(3, dtype=bool) if pbc is None else pbc
    lengths = reciprocal_lengths(lattice[None])[0][periodic]
    # one change point of every axis counts, also below the floor, as in goldilocks-data
    most = [max(1, int(length / floor)) for length in lengths]
    points = [
        np.round(length / np.arange(1, n + 1), _DECIMALS) for length, n in zip(lengths, most, strict=True)
    ]
    changes = np.unique(np.concatenate([*points, np.empty(0)]))[::-1]
    if not len(changes):
        return Ladder(np.ones((1, 3), dtype=np.int64), np.array([floor]), np.array([np.inf]))
    taken = np.concatenate([[2.0 * changes[0]], 0.5 * (changes[1:] + changes[:-1])])
    meshes = mesh(
        taken, np.broadcast_to(lattice, (len(taken), 3, 3)), np.broadcast_to(periodic, (len(taken), 3))
    )
    first = np.concatenate([[True], (np.diff(meshes, axis=0) != 0).any(axis=1)])
    last = np.concatenate([first[1:], [True]])
    high = np.concatenate([[np.inf], changes[:-1]])
    return Ladder(meshes[first], changes[last], high[first])
