"""Compiled tight binding: a cell's bands at the zone centre and halfway along the three reciprocal vectors.

At these points all phases are 1 or -1, so the matrices are real.

Where the crystal has a centre of inversion, bands are even or odd at these points, and each matrix is two of
half the size, for which eigenvalues take a quarter of the time.  The even and odd functions of an orbital on
atom ``i`` with image ``j`` are ``(|i> + p s |j>) / sqrt(2)``, p being 1 or -1 and s the orbital's own parity
(that of its angular momentum) times the phase of the cell that the image lies in.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.features._couplings_kernel import REACH, couple

__all__ = ["bands", "images_of"]

#: Atoms that are closer are one, Å.
_SAME = 1e-3
#: Å; an atom is the image of another if it is as close as this to where it should be.
_IMAGE = 0.1
_ROOT_2 = math.sqrt(2.0)


@kernel(error_model="numpy")
def bands(
    numbers: NDArray[np.int64],
    lattice: NDArray[np.float64],
    cart: NDArray[np.float64],
    reach: NDArray[np.int64],
    orbitals: NDArray[np.float64],
    images: NDArray[np.int64],
    cells: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Energies of the bands, ascending.

    Args:
        numbers: ``(n,)`` atomic numbers; each has an s, a p or a d level.
        lattice: ``(3, 3)``, Å.
        cart: ``(n, 3)`` positions, Å.
        reach: ``(3,)`` cells along each axis in which neighbours within `REACH` may lie.
        orbitals: ``(119, 6)``: levels of s, p and d (eV, NaN for none), d radius (Å), valence electrons,
            covalent radius (Å).
        images: ``(n,)`` the atom that inversion takes each one to; empty where there is no inversion.
        cells: ``(n, 3)`` the cell, along each axis, in which the image lies.

    Returns:
        ``(4, m)``, eV: at the centre, and halfway along each reciprocal vector; NaN if a coupling is not
        finite.
    """
    n, inverted = len(numbers), len(images) > 0
    first = np.zeros(n + 1, dtype=np.int64)
    for i in range(n):
        first[i + 1] = first[i] + _count(orbitals[numbers[i]])
    m = first[n]
    places, weights, sizes = _functions(numbers, orbitals, images, cells, first)
    most = sizes.max()
    matrices = np.zeros((4, 2, most, most))
    block, tensors, arms = np.zeros((9, 9)), np.zeros(5), np.zeros((5, 3))
    for i in range(n):
        if inverted and images[i] < i:
            continue
        here = orbitals[numbers[i]]
        scale = _ROOT_2 if inverted and images[i] != i else 1.0
        block[:] = 0.0
        for kind in range(3):
            for s in range(kind * kind, (kind + 1) * (kind + 1)):
                block[s, s] = here[kind]
        _add(block, here, here, first[i], first[i], scale, 0, 0, 0, places, weights, matrices)
        for j in range(n):
            there = orbitals[numbers[j]]
            for a in range(-reach[0], reach[0] + 1):
                for b in range(-reach[1], reach[1] + 1):
                    for c in range(-reach[2], reach[2] + 1):
                        x = (
                            cart[j, 0]
                            - cart[i, 0]
                            + a * lattice[0, 0]
                            + b * lattice[1, 0]
                            + c * lattice[2, 0]
                        )
                        y = (
                            cart[j, 1]
                            - cart[i, 1]
                            + a * lattice[0, 1]
                            + b * lattice[1, 1]
                            + c * lattice[2, 1]
                        )
                        z = (
                            cart[j, 2]
                            - cart[i, 2]
                            + a * lattice[0, 2]
                            + b * lattice[1, 2]
                            + c * lattice[2, 2]
                        )
                        square = x * x + y * y + z * z
                        if square < REACH * REACH and square > _SAME * _SAME:
                            r = math.sqrt(square)
                            couple(here, there, r, x / r, y / r, z / r, block, tensors, arms)
                            to = first[i], first[j], scale
                            _add(block, here, there, *to, a, b, c, places, weights, matrices)
    energies = np.empty((4, m))
    energies[:] = np.nan
    if not np.isfinite(matrices).all():
        return energies
    for k in range(4):
        done = 0
        for p in range(2):
            size = sizes[k, p]
            if size > 0:
                own = np.ascontiguousarray(matrices[k, p, :size, :size])
                energies[k, done : done + size] = np.linalg.eigvalsh(own)
                done += size
        energies[k].sort()
    return energies


@kernel(error_model="numpy")
def _count(level: NDArray[np.float64]) -> int:
    """Orbitals of an atom."""
    count = 0
    for kind in range(3):
        if not math.isnan(level[kind]):
            count += 2 * kind + 1
    return count


@kernel(error_model="numpy")
def _functions(
    numbers: NDArray[np.int64],
    orbitals: NDArray[np.float64],
    images: NDArray[np.int64],
    cells: NDArray[np.int64],
    first: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Even and odd functions: where in them each orbital stands.

    Returns:
        ``(4, 2, m)`` the function at each point and parity, -1 for none; ``(4, 2, m)`` the orbital's weight
        in it; ``(4, 2)`` how many functions there are.  Without inversion all are even.
    """
    m = first[-1]
    places = np.full((4, 2, m), -1, dtype=np.int64)
    weights, sizes = np.zeros((4, 2, m)), np.zeros((4, 2), dtype=np.int64)
    for i in range(len(numbers)):
        image = images[i] if len(images) > 0 else i
        orbital = first[i]
        for kind in range(3):
            if math.isnan(orbitals[numbers[i], kind]):
                continue
            for _ in range(2 * kind + 1):
                for k in range(4):
                    own = 1.0
                    if len(images) > 0:
                        own = 1.0 - 2.0 * ((kind + (cells[i, k - 1] if k > 0 else 0)) & 1)
                    for p in range(2):
                        parity = 1.0 - 2.0 * p
                        if image < i:  # the function is there already
                            partner = first[image] + orbital - first[i]
                            places[k, p, orbital] = places[k, p, partner]
                            weights[k, p, orbital] = parity * own / _ROOT_2
                        elif image > i or own == parity:
                            places[k, p, orbital] = sizes[k, p]
                            weights[k, p, orbital] = 1.0 / _ROOT_2 if image > i else 1.0
                            sizes[k, p] += 1
                orbital += 1
    return places, weights, sizes


@kernel(error_model="numpy")
def _add(
    block: NDArray[np.float64],
    here: NDArray[np.float64],
    there: NDArray[np.float64],
    row: int,
    column: int,
    scale: float,
    a: int,
    b: int,
    c: int,
    places: NDArray[np.int64],
    weights: NDArray[np.float64],
    matrices: NDArray[np.float64],
) -> None:
    """Add a block to each matrix: its phase, times the weights of the second atom's orbitals.

    A function is known from the first atom's orbital in it, which has 1 / ``scale`` of it.
    """
    signs = (1.0, 1.0 - 2.0 * (a & 1), 1.0 - 2.0 * (b & 1), 1.0 - 2.0 * (c & 1))
    at = row
    for kind in range(3):
        if math.isnan(here[kind]):
            continue
        for s in range(kind * kind, (kind + 1) * (kind + 1)):
            to = column
            for other in range(3):
                if math.isnan(there[other]):
                    continue
                for t in range(other * other, (other + 1) * (other + 1)):
                    value = scale * block[s, t]
                    for k in range(4):
                        for p in range(2):
                            x, y = places[k, p, at], places[k, p, to]
                            if x >= 0 and y >= 0:
                                matrices[k, p, x, y] += signs[k] * value * weights[k, p, to]
                    to += 1
            at += 1


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
    cell = np.zeros(3)
    for i in range(n):
        if images[i] >= 0:
            continue
        best = _IMAGE * _IMAGE
        for j in range(i, n):
            if numbers[j] != numbers[i] or images[j] >= 0:
                continue
            away = twice - cart[i] - cart[j]
            for a in range(3):
                cell[a] = round(away[0] * inverse[0, a] + away[1] * inverse[1, a] + away[2] * inverse[2, a])
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
        cells[images[i]] = cells[i]
    return images, cells
