"""Niggli's reduced vectors of a lattice, with a tolerance.

The algorithm is that of Křivý and Gruber, Acta Cryst. A32 (1976) 297, its comparisons made with a tolerance
as by Grosse-Kunstleve, Sauter and Adams, Acta Cryst. A60 (2004) 1.  Their order and arithmetic are those of
spglib's ``niggli_reduce``, to whose result it is equal: a call of that takes ten times as long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["niggli_reduced"]

#: Tolerance of the comparisons, Å², spglib's default.
_EPS = 1e-5
#: Rounds after which there is no reduced form to be found, those of spglib 2.8.
_ROUNDS = 1000


@kernel(error_model="numpy")
def niggli_reduced(lattice: NDArray[np.float64]) -> tuple[bool, NDArray[np.float64]]:
    """Return whether the search ended, and the reduced vectors ``(3, 3)``, Å, rows a, b, c.

    Args:
        lattice: ``(3, 3)``, Å, rows a, b, c.
    """
    vectors = lattice.copy()
    for _ in range(_ROUNDS):
        if not _one_round(vectors):
            return True, vectors
    return False, vectors


@kernel(error_model="numpy")
def _one_round(vectors: NDArray[np.float64]) -> bool:
    """Go through the steps A1 to A8 of the algorithm until one begins a new round; whether one did."""
    a, b, c, xi, eta, zeta = _products(vectors)
    if a > b + _EPS or (not abs(a - b) > _EPS and abs(xi) > abs(eta) + _EPS):  # A1
        _exchange(vectors, 0, 1)
        a, b, c, xi, eta, zeta = _products(vectors)
    if b > c + _EPS or (not abs(b - c) > _EPS and abs(eta) > abs(zeta) + _EPS):  # A2
        _exchange(vectors, 1, 2)
        return True
    if _unify_angles(vectors, xi, eta, zeta):  # A3, A4
        a, b, c, xi, eta, zeta = _products(vectors)
    if (  # A5
        abs(xi) > b + _EPS
        or (not abs(b - xi) > _EPS and 2.0 * eta < zeta - _EPS)
        or (not abs(b + xi) > _EPS and zeta < -_EPS)
    ):
        _add(vectors, 2, 1, -np.sign(xi))
        return True
    if (  # A6
        abs(eta) > a + _EPS
        or (not abs(a - eta) > _EPS and 2.0 * xi < zeta - _EPS)
        or (not abs(a + eta) > _EPS and zeta < -_EPS)
    ):
        _add(vectors, 2, 0, -np.sign(eta))
        return True
    if (  # A7
        abs(zeta) > a + _EPS
        or (not abs(a - zeta) > _EPS and 2.0 * xi < eta - _EPS)
        or (not abs(a + zeta) > _EPS and eta < -_EPS)
    ):
        _add(vectors, 1, 0, -np.sign(zeta))
        return True
    total = xi + eta + zeta + a + b
    if total < -_EPS or (not abs(total) > _EPS and 2.0 * (a + eta) + zeta > _EPS):  # A8
        for k in range(3):
            vectors[2, k] = vectors[0, k] + vectors[1, k] + vectors[2, k]
        return True
    return False


@kernel(error_model="numpy")
def _products(v: NDArray[np.float64]) -> tuple[float, float, float, float, float, float]:
    """The squared lengths of a, b, c and twice the products of b and c, c and a, a and b, Å²."""
    return (
        v[0, 0] * v[0, 0] + v[0, 1] * v[0, 1] + v[0, 2] * v[0, 2],
        v[1, 0] * v[1, 0] + v[1, 1] * v[1, 1] + v[1, 2] * v[1, 2],
        v[2, 0] * v[2, 0] + v[2, 1] * v[2, 1] + v[2, 2] * v[2, 2],
        2.0 * (v[1, 0] * v[2, 0] + v[1, 1] * v[2, 1] + v[1, 2] * v[2, 2]),
        2.0 * (v[0, 0] * v[2, 0] + v[0, 1] * v[2, 1] + v[0, 2] * v[2, 2]),
        2.0 * (v[0, 0] * v[1, 0] + v[0, 1] * v[1, 1] + v[0, 2] * v[1, 2]),
    )


@kernel(error_model="numpy")
def _exchange(vectors: NDArray[np.float64], one: int, other: int) -> None:
    """Exchange two vectors and turn all three round, which keeps their hand."""
    for k in range(3):
        vectors[one, k], vectors[other, k] = vectors[other, k], vectors[one, k]
        for i in range(3):
            vectors[i, k] = 0.0 - vectors[i, k]


@kernel(error_model="numpy")
def _add(vectors: NDArray[np.float64], one: int, other: int, times: float) -> None:
    for k in range(3):
        vectors[one, k] += times * vectors[other, k]


@kernel(error_model="numpy")
def _unify_angles(vectors: NDArray[np.float64], xi: float, eta: float, zeta: float) -> bool:
    """Turn vectors round so that all angles are acute, or none is; whether that was called for."""
    kinds = np.zeros(3)
    products = (xi, eta, zeta)
    for i in range(3):
        if abs(products[i]) > _EPS:
            kinds[i] = np.sign(products[i])
    if (kinds == -1.0).all():
        return False
    turns = np.ones(3)
    if kinds.prod() == 1.0:
        turns[:] = kinds
    else:
        right = -1
        for i in range(3):
            if kinds[i] == 1.0:
                turns[i] = -1.0
            elif kinds[i] == 0.0:
                right = i
        if turns.prod() < 0.0 and right >= 0:
            turns[right] = -1.0
    for i in range(3):
        for k in range(3):
            vectors[i, k] = 0.0 + turns[i] * vectors[i, k]
    return True
