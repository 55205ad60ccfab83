"""Compiled parts of the exact primitive cell: which vectors are reduced, and the crystal in these."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.structures._inverse import cofactors
from goldilocks_batch.structures._niggli import niggli_reduced

__all__ = ["NO_REDUCED_FORM", "OTHER_LATTICE", "REDUCED", "in_vectors", "reduction"]

REDUCED, NO_REDUCED_FORM, OTHER_LATTICE = range(3)
"""How a reduction ended."""

#: How far from an integer a matrix of integers may be for rounding.
_ROUNDING = 1e-3


@kernel(error_model="numpy")
def reduction(lattice: NDArray[np.float64], rotations: NDArray[np.int32]) -> tuple[int, NDArray[np.float64]]:
    """How Niggli's reduction of a primitive lattice ended, and the reduced vectors in terms of the lattice's.

    Products of vectors are first averaged over the point operations: lengths and angles that symmetry makes
    equal are then equal to the last bits, and noise in them does not decide between cells.

    Args:
        lattice: ``(3, 3)``, Å, rows a, b, c.
        rotations: ``(m, 3, 3)``, the point operations on fractional coordinates.

    Returns:
        One of the numbers above; ``(3, 3)`` integers of determinant 1, rows.
    """
    vectors = _lower_triangular(_averaged(_product(lattice, lattice.T), rotations))
    found, reduced = niggli_reduced(vectors)
    if not found:
        return NO_REDUCED_FORM, vectors
    exact = _product(reduced, _inverse_of_lower(vectors))
    change = np.rint(exact)
    volume = _determinant(change)
    if not (np.abs(exact - change).max() <= _ROUNDING and abs(volume) == 1.0):
        return OTHER_LATTICE, change
    return REDUCED, change * volume


@kernel(error_model="numpy")
def in_vectors(
    change: NDArray[np.float64],
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    rotations: NDArray[np.int32],
    translations: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
    """A crystal and its operations in other vectors of the same lattice.

    Args:
        change: ``(3, 3)`` integers of determinant 1, the new vectors in terms of the lattice's, rows.
        lattice: ``(3, 3)``, Å, rows a, b, c.
        frac: ``(n, 3)`` fractional coordinates.
        pbc: ``(3,)``; along periodic axes coordinates are brought into the cell.
        rotations: ``(m, 3, 3)`` on fractional coordinates.
        translations: ``(m, 3)``, fractional.

    Returns:
        All of them but ``pbc``; translations in [0, 1).
    """
    inverse = cofactors(change)  # exactly, since integers have determinant 1
    coordinates = _product(frac, inverse)
    for i in range(len(frac)):
        for k in range(3):
            if pbc[k]:
                coordinates[i, k] -= math.floor(coordinates[i, k])
    turned = np.empty(rotations.shape, dtype=np.int32)
    for m in range(len(rotations)):
        turned[m] = _product(_product(inverse.T, rotations[m]), change.T)
    return _product(change, lattice), coordinates, turned, _product(translations, inverse) % 1.0


@kernel(error_model="numpy")
def _product(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix product of ``(n, 3)`` and ``(3, 3)``."""
    out = np.empty((len(one), 3))
    for i in range(len(one)):
        for j in range(3):
            out[i, j] = one[i, 0] * other[0, j] + one[i, 1] * other[1, j] + one[i, 2] * other[2, j]
    return out


@kernel(error_model="numpy")
def _averaged(products: NDArray[np.float64], rotations: NDArray[np.int32]) -> NDArray[np.float64]:
    """The mean over point operations of the ``(3, 3)`` products of vectors."""
    total = np.zeros((3, 3))
    for m in range(len(rotations)):
        total += _product(_product(rotations[m].T, products), rotations[m])
    return total / len(rotations)


@kernel(error_model="numpy")
def _lower_triangular(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors with these products, a along x and b in the xy plane (Cholesky), rows."""
    out = np.zeros((3, 3))
    for i in range(3):
        for j in range(i + 1):
            rest = products[i, j]
            for k in range(j):
                rest -= out[i, k] * out[j, k]
            out[i, j] = math.sqrt(rest) if i == j else rest / out[j, j]
    return out


@kernel(error_model="numpy")
def _inverse_of_lower(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.zeros((3, 3))
    for i in range(3):
        out[i, i] = 1.0 / vectors[i, i]
    out[1, 0] = -vectors[1, 0] * out[0, 0] * out[1, 1]
    out[2, 1] = -vectors[2, 1] * out[1, 1] * out[2, 2]
    out[2, 0] = -(vectors[2, 0] * out[0, 0] + vectors[2, 1] * out[1, 0]) * out[2, 2]
    return out


@kernel(error_model="numpy")
def _determinant(m: NDArray[np.float64]) -> float:
    return (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )
