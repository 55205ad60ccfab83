"""Compiled: the atoms of a primitive cell in reduced vectors, and where inversion takes them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.features._parity_kernel import images_of
from goldilocks_batch.structures._inverse import inverse

__all__ = ["placed"]

#: A cell in other vectors: inverse of the vectors, positions, the images of the atoms, and their cells.
_Placed = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


@kernel(error_model="numpy")
def placed(
    numbers: NDArray[np.int64],
    frac: NDArray[np.float64],
    lattice: NDArray[np.float64],
    reduced: NDArray[np.float64],
    rotations: NDArray[np.int32],
    translations: NDArray[np.float64],
) -> _Placed:
    """Where atoms are in the cell of reduced vectors.

    Args:
        numbers: ``(n,)`` atomic numbers.
        frac: ``(n, 3)`` fractional coordinates.
        lattice: ``(3, 3)``, Å.
        reduced: ``(3, 3)``, Å, reduced vectors of the same lattice.
        rotations: ``(m, 3, 3)`` of the symmetry operations, on fractional coordinates.
        translations: ``(m, 3)`` of the symmetry operations, fractional.

    Returns:
        ``(3, 3)`` the inverse of the reduced vectors, 1/Å; ``(n, 3)`` positions, Å; ``(n,)`` the atom that
        inversion takes each one to and ``(n, 3)`` the cell that it lies in, both empty without inversion.
    """
    n, back = len(numbers), inverse(reduced)
    cart, work = np.empty((n, 3)), np.empty(3)
    for i in range(n):
        _times(frac[i], lattice, work)
        _times(work, back, cart[i])
        for axis in range(3):
            work[axis] = cart[i, axis] - math.floor(cart[i, axis])
        _times(work, reduced, cart[i])
    operation = _inversion(rotations)
    if operation < 0:
        return back, cart, np.empty(0, dtype=np.int64), np.empty((0, 3), dtype=np.int64)
    _times(translations[operation], lattice, work)
    images, cells = images_of(cart, numbers, work, reduced, back)
    return back, cart, images, cells


@kernel(error_model="numpy")
def _times(vector: NDArray[np.float64], matrix: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """A row vector times a matrix."""
    for axis in range(3):
        out[axis] = vector[0] * matrix[0, axis] + vector[1] * matrix[1, axis] + vector[2] * matrix[2, axis]


@kernel(error_model="numpy")
def _inversion(rotations: NDArray[np.int32]) -> int:
    """The first operation that is an inversion, -1 if there is none."""
    for g in range(len(rotations)):
        found = True
        for a in range(3):
            for b in range(3):
                found &= rotations[g, a, b] == (-1 if a == b else 0)
        if found:
            return g
    return -1
