"""Compiled: the inverse of three vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["cofactors", "inverse"]


@kernel(error_model="numpy")
def cofactors(m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cofactors of a ``(3, 3)`` matrix, transposed: its inverse times its determinant."""
    out = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            a, b, c, d = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
            out[j, i] = m[a, c] * m[b, d] - m[a, d] * m[b, c]
    return out


@kernel(error_model="numpy")
def inverse(m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of a ``(3, 3)`` matrix, by its cofactors."""
    out = cofactors(m)
    determinant = m[0, 0] * out[0, 0] + m[0, 1] * out[1, 0] + m[0, 2] * out[2, 0]
    for i in range(3):
        for j in range(3):
            out[i, j] /= determinant
    return out
