"""Compiled tight binding: matrices of a cell, at the zone centre and halfway along reciprocal vectors.

At these points all phases are 1 or -1, so the matrices are real; those of four points stand side by side, and
all are filled together.  Where the crystal has a centre of inversion, each is two of half the size.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.core.lanes import fill4, load4, store
from goldilocks_batch.features._couplings_kernel import REACH, couple
from goldilocks_batch.features._parity_kernel import count_orbitals, functions
from goldilocks_batch.features._points_kernel import LANES

__all__ = ["matrices_of"]

#: Atoms that are closer are one, Å.
_SAME = 1e-3
#: Cells by which the search for neighbours goes too far, so that rounding leaves none out.
_MARGIN = 1e-9
_ROOT_2 = math.sqrt(2.0)


@kernel(error_model="numpy")
def matrices_of(
    numbers: NDArray[np.int64],
    lattice: NDArray[np.float64],
    inverse: NDArray[np.float64],
    cart: NDArray[np.float64],
    orbitals: NDArray[np.float64],
    images: NDArray[np.int64],
    cells: NDArray[np.int64],
    points: NDArray[np.int64],
    most: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The matrices of a cell.

    Args:
        numbers: ``(n,)`` atomic numbers.
        lattice: ``(3, 3)``, Å.
        inverse: its inverse.
        cart: ``(n, 3)`` positions, Å.
        orbitals: ``(119, 6)``: levels of s, p and d (eV, NaN for none), d radius (Å), valence electrons,
            covalent radius (Å).
        images: ``(n,)`` the atom that inversion takes each one to; empty where there is no inversion.
        cells: ``(n, 3)`` the cell, along each axis, in which the image lies.
        points: ``(4 h, 3)``, 1 where a point is halfway along a reciprocal vector, 0 elsewhere.
        most: orbitals that a cell may have.

    Returns:
        ``(h, g, s, s, 4)``, eV, g parities at each four points: the lower triangles, and zeros beyond a
        matrix' own size; ``(h, g, 4)`` the sizes.  Without any parity where an element has no orbitals, or
        the cell has too many.
    """
    n, sheets = len(numbers), len(points) // LANES
    first = np.zeros(n + 1, dtype=np.int64)
    for i in range(n):
        own = count_orbitals(orbitals[numbers[i]])
        first[i + 1] = first[i] + own
        if own == 0 or first[i + 1] > most:
            return np.empty((sheets, 0, 0, 0, LANES)), np.empty((sheets, 0, LANES), dtype=np.int64)
    places, weights, counts = functions(numbers, orbitals, images, cells, first, points)
    kept = _kept(numbers, orbitals, first)
    parities, largest = len(counts), 0
    sizes = np.empty((sheets, parities, LANES), dtype=np.int64)
    for p in range(parities):
        for k in range(len(points)):
            sizes[k // LANES, p, k % LANES] = counts[p, k]
            largest = max(largest, counts[p, k])
    matrices = np.zeros((sheets, parities, largest, largest, LANES))
    flat, by_orbital, sums = matrices.reshape(-1), weights.reshape(-1), np.empty(len(points) * 81)
    block, tensors, arms, signs = np.zeros((9, 9)), np.zeros(5), np.zeros((5, 3)), np.ones(len(points))
    reach = np.empty(2)
    for axis in range(2):
        planes = inverse[0, axis] ** 2 + inverse[1, axis] ** 2 + inverse[2, axis] ** 2
        reach[axis] = REACH * math.sqrt(planes) + _MARGIN
    for i in range(n):
        if len(images) > 0 and images[i] < i:
            continue
        here, rows = orbitals[numbers[i]], kept[first[i] : first[i + 1]]
        alone = len(images) > 0 and images[i] == i
        scale = _ROOT_2 if len(images) > 0 and not alone else 1.0
        for j in range(n):
            if (images[j] if len(images) > 0 and images[j] < j else j) > i:
                continue  # above the diagonal
            there, columns = orbitals[numbers[j]], kept[first[j] : first[j + 1]]
            for entry in range(len(points) * len(rows) * len(columns)):
                sums[entry] = 0.0
            if i == j:
                for s in range(len(rows)):
                    level = here[0 if rows[s] < 1 else 1 if rows[s] < 4 else 2]
                    for sheet in range(sheets):
                        store(sums, (s * len(columns) + s) * sheets + sheet, fill4(level))
            x, y, z = cart[j, 0] - cart[i, 0], cart[j, 1] - cart[i, 1], cart[j, 2] - cart[i, 2]
            along_a = x * inverse[0, 0] + y * inverse[1, 0] + z * inverse[2, 0]
            along_b = x * inverse[0, 1] + y * inverse[1, 1] + z * inverse[2, 1]
            row = lattice[2, 0] ** 2 + lattice[2, 1] ** 2 + lattice[2, 2] ** 2
            met = i == j
            for a in range(math.ceil(-along_a - reach[0]), math.floor(reach[0] - along_a) + 1):
                for b in range(math.ceil(-along_b - reach[1]), math.floor(reach[1] - along_b) + 1):
                    # within reach is a stretch of a row along c, its middle next to the first atom
                    xb = x + a * lattice[0, 0] + b * lattice[1, 0]
                    yb = y + a * lattice[0, 1] + b * lattice[1, 1]
                    zb = z + a * lattice[0, 2] + b * lattice[1, 2]
                    middle = -(xb * lattice[2, 0] + yb * lattice[2, 1] + zb * lattice[2, 2]) / row
                    half = middle * middle - (xb * xb + yb * yb + zb * zb - REACH * REACH) / row
                    if half < 0.0:
                        continue
                    half = math.sqrt(half) + _MARGIN
                    for c in range(math.ceil(middle - half), math.floor(middle + half) + 1):
                        xc, yc, zc = xb + c * lattice[2, 0], yb + c * lattice[2, 1], zb + c * lattice[2, 2]
                        square = xc * xc + yc * yc + zc * zc
                        if square < REACH * REACH and square > _SAME * _SAME:
                            r = math.sqrt(square)
                            couple(here, there, r, xc / r, yc / r, zc / r, block, tensors, arms)
                            for k in range(len(points)):
                                crossed = a * points[k, 0] + b * points[k, 1] + c * points[k, 2]
                                signs[k] = 1.0 - 2.0 * (crossed & 1)
                            _sum(block, rows, columns, signs, sums)
                            met = True
            if met:
                single = alone or (len(images) > 0 and images[j] == j)
                start = first[i], first[j]
                _add(sums, start, len(rows), len(columns), scale, single, places, by_orbital, flat, largest)
    return matrices, sizes


@kernel(error_model="numpy")
def _kept(
    numbers: NDArray[np.int64], orbitals: NDArray[np.float64], first: NDArray[np.int64]
) -> NDArray[np.int64]:
    """``(m,)`` where in a block of all s, p and d orbitals each orbital of the cell stands."""
    kept = np.empty(first[-1], dtype=np.int64)
    for i in range(len(numbers)):
        at = first[i]
        for kind in range(3):
            if not math.isnan(orbitals[numbers[i], kind]):
                for s in range(kind * kind, (kind + 1) * (kind + 1)):
                    kept[at] = s
                    at += 1
    return kept


@kernel(error_model="numpy")
def _sum(
    block: NDArray[np.float64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    signs: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """Add to ``(rows columns, 4 h)`` sums the part of a block that both atoms have orbitals for."""
    sheets = len(signs) // LANES
    for sheet in range(sheets):
        phases, at = load4(signs, sheet), sheet
        for s in rows:
            for t in columns:
                store(sums, at, load4(sums, at) + fill4(block[s, t]) * phases)
                at += sheets


@kernel(error_model="numpy")
def _add(
    sums: NDArray[np.float64],
    start: tuple[int, int],
    rows: int,
    columns: int,
    scale: float,
    single: bool,
    places: NDArray[np.int64],
    weights: NDArray[np.float64],
    matrices: NDArray[np.float64],
    size: int,
) -> None:
    """Add couplings of two atoms, times the weights of the second one's orbitals, to the matrices.

    Args:
        sums: ``(rows columns, 4 h)``, flat: couplings of their orbitals at each point.
        start: the first orbitals of the two.
        rows: orbitals of the first atom.
        columns: of the second.
        scale: a function is known from the first atom's orbital in it, which has 1 / ``scale`` of it.
        single: one of the atoms is its own image: its functions stand elsewhere in each matrix.
        places: ``(g, m, 4 h)`` of orbitals among functions.
        weights: ``(g, m, 4 h)``, flat, of orbitals in functions.
        matrices: ``(h, g, size, size, 4)``, flat, are added to below the diagonal.
        size: of the largest matrix.
    """
    (row, column), (parities, m, count) = start, places.shape
    sheets = count // LANES
    if single:
        for p in range(parities):
            for s in range(rows):
                for t in range(columns):
                    for k in range(count):
                        x, y = places[p, row + s, k], places[p, column + t, k]
                        if x >= 0 and y >= 0 and (y <= x or row != column):
                            weight = scale * weights[count * (p * m + column + t) + k]
                            value = weight * sums[count * (s * columns + t) + k]
                            at = ((k // LANES * parities + p) * size + max(x, y)) * size + min(x, y)
                            matrices[LANES * at + k % LANES] += value
        return
    by = fill4(scale)
    for sheet in range(sheets):
        for p in range(parities):
            for s in range(rows):
                at = ((sheet * parities + p) * size + places[p, row + s, 0]) * size + places[p, column, 0]
                for t in range(columns):
                    weight = load4(weights, (p * m + column + t) * sheets + sheet)
                    value = by * weight * load4(sums, (s * columns + t) * sheets + sheet)
                    store(matrices, at + t, load4(matrices, at + t) + value)
