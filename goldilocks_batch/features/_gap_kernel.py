"""Compiled part of the physics block: the widest empty layer of a cell."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["widest_gap"]


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
