"""Compiled: whether arrays are a cell with sites at all, and the widest empty layer of one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["spans_a_cell", "widest_gap"]

#: Smallest volume of a cell over the product of its edges.
_FLATTEST = 1e-9


@kernel(error_model="numpy")
def spans_a_cell(lattice: NDArray[np.float64], frac: NDArray[np.float64]) -> bool:
    """Whether all numbers are finite, and the vectors do not lie in a plane.

    Args:
        lattice: ``(3, 3)``, Å, rows a, b, c.
        frac: ``(n, 3)`` fractional coordinates.
    """
    if not (np.isfinite(lattice).all() and np.isfinite(frac).all()):
        return False
    edges = 1.0
    for i in range(3):
        edges *= math.sqrt(lattice[i, 0] ** 2 + lattice[i, 1] ** 2 + lattice[i, 2] ** 2)
    volume = (
        lattice[0, 0] * (lattice[1, 1] * lattice[2, 2] - lattice[1, 2] * lattice[2, 1])
        - lattice[0, 1] * (lattice[1, 0] * lattice[2, 2] - lattice[1, 2] * lattice[2, 0])
        + lattice[0, 2] * (lattice[1, 0] * lattice[2, 1] - lattice[1, 1] * lattice[2, 0])
    )
    return abs(volume) > _FLATTEST * edges


@kernel(error_model="numpy")
def widest_gap(frac: NDArray[np.float64], reciprocal: NDArray[np.float64]) -> float:
    """The widest distance between neighbouring lattice-parallel planes of atoms, Å.

    Args:
        frac: ``(n, 3)`` fractional coordinates.
        reciprocal: ``(3,)`` lengths of the reciprocal vectors, 1/Å with the 2π.
    """
    widest = 0.0
    for k in range(3):
        places = np.sort(frac[:, k] % 1.0)
        gap = places[0] + 1.0 - places[-1]
        for i in range(1, len(places)):
            gap = max(gap, places[i] - places[i - 1])
        widest = max(widest, gap * 2.0 * math.pi / reciprocal[k])
    return widest
