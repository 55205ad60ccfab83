"""Bases of a lattice that look like its cell: the candidates for the rotations of a crystal."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["images_of_cell"]

#: The wide search allows for this relative change of cell lengths and this change of cell angles, 15°.
#: spglib compares a reduced cell with 5°, which may be several times as much in another basis.
_WIDE_LENGTH = 0.12
_WIDE_ANGLE = math.radians(15.0)
#: A reduced cell needs images up to 1 or 2 times its own vectors; cells much more skewed are left to spglib.
_FARTHEST_IMAGE = 3
#: A long vector may have images that differ by more of the short ones; cells much longer are left to spglib.
_FARTHEST_SHIFT = 12
#: Cells with more bases are left to spglib.
_MOST_BASES = 1024


@kernel(error_model="numpy")
def images_of_cell(
    lattice: NDArray[np.float64], wide: float
) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
    """Find all bases with nearly the lengths and angles of the cell, well beyond any tolerance.

    Args:
        lattice: ``(3, 3)``, rows a, b, c, Å, finite.
        wide: distance allowed beside a relative one, Å.

    Returns:
        Their number k, or -1 if the cell is too skewed, long or flat for them all to be found; ``(…, 3, 3)``
        the bases in terms of the cell, rows, and ``(…)`` by how much they miss its lengths and angles, Å: of
        both the first k count.
    """
    bases = np.empty((_MOST_BASES, 3, 3), dtype=np.int64)
    misfits = np.empty(_MOST_BASES)
    metric = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            metric[i, j] = (
                lattice[i, 0] * lattice[j, 0] + lattice[i, 1] * lattice[j, 1] + lattice[i, 2] * lattice[j, 2]
            )
    lengths, angles = np.empty(3), np.empty(3)
    for i in range(3):
        lengths[i] = math.sqrt(metric[i, i])
    for i in range(3):
        j = (i + 1) % 3
        angles[i] = _angle(metric[i, j], lengths[i], lengths[j])
    reached, vectors, counts = _vectors_as_long(metric, lengths, wide)
    if not reached:
        return -1, bases, misfits
    least, most = np.empty(3), np.empty(3)  # products of two vectors whose angle is that of the cell's
    for i in range(3):
        j = (i + 1) % 3
        least[i] = math.cos(min(math.pi, angles[i] + _WIDE_ANGLE)) * lengths[i] * lengths[j] - 1e-9
        most[i] = math.cos(max(0.0, angles[i] - _WIDE_ANGLE)) * lengths[i] * lengths[j] + 1e-9
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
                if count == _MOST_BASES:
                    return -1, bases, misfits
                for k in range(3):
                    bases[count, 0, k] = vectors[0, a, k]
                    bases[count, 1, k] = vectors[1, b, k]
                    bases[count, 2, k] = vectors[2, c, k]
                misfits[count] = _misfit(bases[count], metric, lengths, angles)
                if misfits[count] >= 0.0:
                    count += 1
    return count, bases, misfits


@kernel(error_model="numpy")
def _vectors_as_long(
    metric: NDArray[np.float64], lengths: NDArray[np.float64], wide: float
) -> tuple[bool, NDArray[np.int64], NDArray[np.int64]]:
    """Whether all vectors about as long as each of the cell's were reached; they; their numbers ``(3,)``."""
    reach = np.zeros(3, dtype=np.int64)
    square = (
        metric[0, 0] * (metric[1, 1] * metric[2, 2] - metric[1, 2] ** 2)
        - metric[0, 1] * (metric[0, 1] * metric[2, 2] - metric[1, 2] * metric[0, 2])
        + metric[0, 2] * (metric[0, 1] * metric[1, 2] - metric[1, 1] * metric[0, 2])
    )
    volume, size = math.sqrt(max(square, 0.0)), 1
    counts = np.zeros(3, dtype=np.int64)
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        # |n_i| ≤ |v| / spacing of the planes that axis i leads across
        spacing = volume / math.sqrt(max(metric[j, j] * metric[k, k] - metric[j, k] ** 2, 0.0))
        farthest = ((1.0 + _WIDE_LENGTH) * lengths.max() + wide) / spacing
        skewed = not ((1.0 + _WIDE_LENGTH) * lengths[i] + wide) / spacing < _FARTHEST_IMAGE + 1
        if skewed or not farthest < _FARTHEST_SHIFT + 1 or lengths[i] < 10.0 * wide:
            return False, np.empty((3, 0, 3), dtype=np.int64), counts
        reach[i] = int(farthest)
        size *= 2 * reach[i] + 1
    vectors = np.empty((3, size, 3), dtype=np.int64)
    for x in range(-reach[0], reach[0] + 1):
        for y in range(-reach[1], reach[1] + 1):
            for z in range(-reach[2], reach[2] + 1):
                square = x * x * metric[0, 0] + y * y * metric[1, 1] + z * z * metric[2, 2]
                square += 2.0 * (x * y * metric[0, 1] + y * z * metric[1, 2] + z * x * metric[0, 2])
                length = math.sqrt(abs(square))
                for i in range(3):
                    if abs(length - lengths[i]) < _WIDE_LENGTH * lengths[i] + wide:
                        vectors[i, counts[i], 0] = x
                        vectors[i, counts[i], 1] = y
                        vectors[i, counts[i], 2] = z
                        counts[i] += 1
    return True, vectors, counts


@kernel(error_model="numpy")
def _angle(product: float, one: float, other: float) -> float:
    return math.acos(min(1.0, max(-1.0, product / (one * other))))


@kernel(error_model="numpy")
def _product(metric: NDArray[np.float64], one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    product = 0.0
    for i in range(3):
        for j in range(3):
            product += one[i] * metric[i, j] * other[j]
    return product


@kernel(error_model="numpy")
def _misfit(
    basis: NDArray[np.int64],
    metric: NDArray[np.float64],
    lengths: NDArray[np.float64],
    angles: NDArray[np.float64],
) -> float:
    """Largest deviation of a basis from the cell's lengths and angles, Å; -1 if it is no image of it."""
    volume = (
        basis[0, 0] * (basis[1, 1] * basis[2, 2] - basis[1, 2] * basis[2, 1])
        - basis[0, 1] * (basis[1, 0] * basis[2, 2] - basis[1, 2] * basis[2, 0])
        + basis[0, 2] * (basis[1, 0] * basis[2, 1] - basis[1, 1] * basis[2, 0])
    )
    if abs(volume) != 1:
        return -1.0
    worst = 0.0
    for i in range(3):
        j = (i + 1) % 3
        product = _product(metric, basis[i], basis[j])
        if abs(_angle(product, lengths[i], lengths[j]) - angles[i]) > _WIDE_ANGLE:
            return -1.0
        stretch = abs(math.sqrt(_product(metric, basis[i], basis[i])) - lengths[i])
        worst = max(worst, stretch, abs(product - metric[i, j]) / min(lengths[i], lengths[j]))
    return worst
