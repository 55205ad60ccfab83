"""Compiled: where inversion takes the atoms of a cell, and the even and odd functions of their orbitals.

At the zone centre and halfway along the reciprocal vectors bands are even or odd where the crystal has a
centre of inversion, and each matrix is two of half the size.  The even and odd functions of an orbital on
atom ``i`` with image ``j`` are ``(|i> + p s |j>) / sqrt(2)``, p being 1 or -1 and s the orbital's own parity
(that of its angular momentum) times the phase of the cell that the image lies in.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["count_orbitals", "functions", "images_of"]

#: Å; an atom is the image of another if it is as close as this to where it should be.
_IMAGE = 0.1
_ROOT_2 = math.sqrt(2.0)


@kernel(error_model="numpy")
def count_orbitals(level: NDArray[np.float64]) -> int:
    """Orbitals of an atom.

    Args:
        level: ``(6,)`` its row of the table of orbitals.
    """
    count = 0
    for kind in range(3):
        if not math.isnan(level[kind]):
            count += 2 * kind + 1
    return count


@kernel(error_model="numpy")
def functions(
    numbers: NDArray[np.int64],
    orbitals: NDArray[np.float64],
    images: NDArray[np.int64],
    cells: NDArray[np.int64],
    first: NDArray[np.int64],
    points: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Even and odd functions: where in them each orbital stands.

    Atoms that are no images of themselves come first: their functions stand at the same place at all points
    and of both parities.

    Args:
        numbers: ``(n,)`` atomic numbers.
        orbitals: ``(119, 6)``, the table.
        images: ``(n,)`` the atom that inversion takes each one to; empty where there is no inversion.
        cells: ``(n, 3)`` the cell, along each axis, in which the image lies.
        first: ``(n + 1,)`` the first orbital of each atom, and the number of all, m.
        points: ``(p, 3)``, 1 where a point is halfway along a reciprocal vector, 0 elsewhere.

    Returns:
        ``(g, m, p)`` the function of each parity and point, -1 for none; ``(g, m, p)`` the orbital's weight
        in it; ``(g, p)`` how many functions there are.  Without inversion all are even, and g is 1, else 2.
    """
    n, m, parities, count = len(numbers), first[-1], 2 if len(images) > 0 else 1, len(points)
    places = np.full((parities, m, count), -1, dtype=np.int64)
    weights, sizes = np.zeros((parities, m, count)), np.zeros((parities, count), dtype=np.int64)
    for alone in range(2):
        for i in range(n):
            image = images[i] if parities == 2 else -1
            if (image == i) != (alone == 1):
                continue
            orbital = first[i]
            for kind in range(3):
                if math.isnan(orbitals[numbers[i], kind]):
                    continue
                for _ in range(2 * kind + 1):
                    for k in range(count):
                        own = 1.0
                        if parities == 2:
                            crossed = kind
                            for axis in range(3):
                                crossed += cells[i, axis] * points[k, axis]
                            own -= 2.0 * (crossed & 1)
                        for p in range(parities):
                            parity = 1.0 - 2.0 * p
                            if 0 <= image < i:  # the function is there already
                                places[p, orbital, k] = places[p, first[image] + orbital - first[i], k]
                                weights[p, orbital, k] = parity * own / _ROOT_2
                            elif image != i or own == parity:
                                places[p, orbital, k] = sizes[p, k]
                                weights[p, orbital, k] = 1.0 / _ROOT_2 if image > i else 1.0
                                sizes[p, k] += 1
                    orbital += 1
    return places, weights, sizes


@kernel(error_model="numpy")
def images_of(
    cart: NDArray[np.float64],
    numbers: NDArray[np.int64],
    twice: NDArray[np.float64],
    lattice: NDArray[np.float64],
    inverse: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where inversion takes each atom.

    Args:
        cart: ``(n, 3)`` positions, Å.
        numbers: ``(n,)`` atomic numbers.
        twice: ``(3,)`` twice the position of the centre, Å.
        lattice: ``(3, 3)``, Å.
        inverse: its inverse.

    Returns:
        ``(n,)`` the atom, and ``(n, 3)`` the cell that it lies in; both empty if an atom's image is farther
        from all atoms of its element than `_IMAGE`.
    """
    n = len(cart)
    images, cells = np.full(n, -1, dtype=np.int64), np.zeros((n, 3), dtype=np.int64)
    away, cell = np.zeros(3), np.zeros(3)
    for i in range(n):
        if images[i] >= 0:
            continue
        best = _IMAGE * _IMAGE
        for j in range(i, n):
            if numbers[j] != numbers[i] or images[j] >= 0:
                continue
            for a in range(3):
                away[a] = twice[a] - cart[i, a] - cart[j, a]
            for a in range(3):
                cell[a] = np.rint(away[0] * inverse[0, a] + away[1] * inverse[1, a] + away[2] * inverse[2, a])
            square = 0.0
            for a in range(3):
                rest = away[a] - cell[0] * lattice[0, a] - cell[1] * lattice[1, a] - cell[2] * lattice[2, a]
                square += rest * rest
            if square < best:
                best = square
                images[i] = j
                for a in range(3):
                    cells[i, a] = int(cell[a])
        if images[i] < 0:
            return np.empty(0, dtype=np.int64), np.empty((0, 3), dtype=np.int64)
        images[images[i]] = i
        for a in range(3):
            cells[images[i], a] = cells[i, a]
    return images, cells
