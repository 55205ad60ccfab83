"""Bases of a lattice that look like its cell: the candidates for the rotations of a crystal."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["images_of_cell"]

#: The wide search allows for this relative change of cell lengths and this change of cell angles, degrees.
#: spglib compares a reduced cell with 5°, which may be several times as much in another basis.
_WIDE_LENGTH = 0.12
_WIDE_ANGLE = 15.0
#: A reduced cell needs images up to 1 or 2 times its own vectors; cells much more skewed are left to spglib.
_FARTHEST_IMAGE = 3
#: A long vector may have images that differ by more of the short ones; cells much longer are left to spglib.
_FARTHEST_SHIFT = 12
#: Cells with more bases are left to spglib.
_MOST_BASES = 1024


def images_of_cell(
    lattice: NDArray[np.float64], wide: float
) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
    """Find all bases with nearly the lengths and angles of the cell, well beyond any tolerance.

    Args:
        lattice: ``(3, 3)``, rows a, b, c, Å, finite.
        wide: distance allowed beside a relative one, Å.

    Returns:
        Their number k, or -1 if the cell is too skewed, long or flat for them all to be found; ``(k, 3, 3)``
        the bases in terms of the cell, rows; ``(k,)`` by how much they miss its lengths and angles, Å.
    """
    count, bases, misfits = _images(lattice, wide, math.radians(_WIDE_ANGLE))
    return count, bases[: max(count, 0)], misfits[: max(count, 0)]


@kernel(error_model="numpy")
def _angle(product: float, one: float, other: float) -> float:
    return math.acos(min(1.0, max(-1.0, product / (one * other))))


@kernel(error_model="numpy")
def _images(
    lattice: NDArray[np.float64], wide: float, wide_angle: float
) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
    """Bases ``(k, 3, 3)`` with the lengths and angles of the cell, and by how much they miss them, Å."""
    metric = lattice @ np.ascontiguousarray(lattice.T)
    lengths = np.sqrt(np.diag(metric))
    bases = np.zeros((_MOST_BASES, 3, 3), dtype=np.int64)
    misfits = np.zeros(_MOST_BASES)
    volume = abs(np.linalg.det(lattice))
    reach = np.zeros(3, dtype=np.int64)
    for i in range(3):
        # |n_i| ≤ |v| / spacing of the planes that axis i leads across
        spacing = volume / np.linalg.norm(np.cross(lattice[(i + 1) % 3], lattice[(i + 2) % 3]))
        farthest = ((1.0 + _WIDE_LENGTH) * lengths.max() + wide) / spacing
        skewed = not ((1.0 + _WIDE_LENGTH) * lengths[i] + wide) / spacing < _FARTHEST_IMAGE + 1
        if skewed or farthest >= _FARTHEST_SHIFT + 1 or lengths[i] < 10.0 * wide:
            return -1, bases, misfits
        reach[i] = int(farthest)
    vectors = np.zeros((3, (2 * reach + 1).prod(), 3), dtype=np.int64)
    counts = np.zeros(3, dtype=np.int64)
    v = np.zeros(3)
    for x in range(-reach[0], reach[0] + 1):
        for y in range(-reach[1], reach[1] + 1):
            for z in range(-reach[2], reach[2] + 1):
                v[0], v[1], v[2] = x, y, z
                length = math.sqrt(abs(v @ (metric @ v)))
                for i in range(3):
                    if abs(length - lengths[i]) < _WIDE_LENGTH * lengths[i] + wide:
                        vectors[i, counts[i]] = x, y, z
                        counts[i] += 1
    least, most = np.zeros(3), np.zeros(3)  # products of two vectors whose angle is that of the cell's
    for i in range(3):
        j = (i + 1) % 3
        own = _angle(metric[i, j], lengths[i], lengths[j])
        least[i] = math.cos(min(math.pi, own + wide_angle)) * lengths[i] * lengths[j] - 1e-9
        most[i] = math.cos(max(0.0, own - wide_angle)) * lengths[i] * lengths[j] + 1e-9
    count = 0
    for a in range(counts[0]):
        for b in range(counts[1]):
            if not least[0] < _product(metric, vectors[0, a], vectors[1, b]) < most[0]:
                continue
            for c in range(counts[2]):
                if not least[1] < _product(metric, vectors[1, b], vectors[2, c]) < most[1]:
                    continue
                if not least[2] < _product(metric, vectors[2, c], vectors[0, a]) < most[2]:
                    continue
                basis = np.stack((vectors[0, a], vectors[1, b], vectors[2, c]))
                misfit = _misfit(basis.astype(np.float64), metric, lengths, wide_angle)
                if misfit < 0.0:
                    continue
                if count == _MOST_BASES:
                    return -1, bases, misfits
                bases[count] = basis
                misfits[count] = misfit
                count += 1
    return count, bases, misfits


@kernel(error_model="numpy")
def _product(metric: NDArray[np.float64], one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    product = 0.0
    for i in range(3):
        for j in range(3):
            product += one[i] * metric[i, j] * other[j]
    return product


@kernel(error_model="numpy")
def _misfit(
    basis: NDArray[np.float64], metric: NDArray[np.float64], lengths: NDArray[np.float64], wide_angle: float
) -> float:
    """Largest deviation of a basis from the cell's lengths and angles, Å; -1 if it is no image of it."""
    products = basis @ metric @ basis.T
    worst = 0.0
    for i in range(3):
        j = (i + 1) % 3
        turn = _angle(products[i, j], lengths[i], lengths[j]) - _angle(metric[i, j], lengths[i], lengths[j])
        if abs(turn) > wide_angle:
            return -1.0
        stretch = abs(math.sqrt(products[i, i]) - lengths[i])
        worst = max(worst, stretch, abs(products[i, j] - metric[i, j]) / min(lengths[i], lengths[j]))
    return worst if abs(abs(np.linalg.det(basis)) - 1.0) < 0.5 else -1.0
