"""Compiled parts of k-point counts: operations in another cell's basis, orbits of the points of meshes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.structures._inverse import inverse

__all__ = ["in_cells", "orbits"]

#: How far from integers an operation may be in the basis of another cell that it maps on itself.
_INTEGER = 1e-4
#: Largest mesh whose points are gone through where it lacks the crystal's symmetry.
_LISTED = 2**24


@kernel(error_model="numpy")
def in_cells(
    rotations: NDArray[np.int64],
    starts: NDArray[np.int64],
    lattices: NDArray[np.float64],
    others: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Point operations of n cells in the bases of other cells of the same crystals.

    Args:
        rotations: ``(m, 3, 3)`` on fractional coordinates (columns), one cell after the other.
        starts: ``(n + 1,)`` where each cell's begin, and the end.
        lattices: ``(n, 3, 3)``, Å.
        others: ``(n, 3, 3)``, Å, in the same orientation.

    Returns:
        Both of those operations that map the other cell's lattice on itself.
    """
    kept = np.empty_like(rotations)
    ends = np.zeros_like(starts)
    count = 0
    for n in range(len(lattices)):
        change = _product(inverse(others[n].T), lattices[n].T)  # coordinates: first cell to second
        back = inverse(change)
        for m in range(starts[n], starts[n + 1]):
            moved = _product(_product(change, rotations[m]), back)
            whole = np.rint(moved)
            if np.abs(moved - whole).max() < _INTEGER:
                kept[count] = whole
                count += 1
        ends[n + 1] = count
    return kept[:count], ends


@kernel(error_model="numpy")
def _product(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            out[i, j] = one[i, 0] * other[0, j] + one[i, 1] * other[1, j] + one[i, 2] * other[2, j]
    return out


@kernel()
def orbits(
    meshes: NDArray[np.int64], rotations: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """``(n,)`` numbers of k-points that no operation and no time reversal takes to each other.

    Args:
        meshes: ``(n, 3)`` divisions.
        rotations: ``(m, 3, 3)`` on fractional coordinates, one cell after the other, a group each.
        starts: ``(n + 1,)`` where each cell's begin, and the end.
    """
    counts = np.empty(len(meshes), dtype=np.int64)
    for n in range(len(meshes)):
        divisions, on_k = meshes[n], _on_k(rotations[starts[n] : starts[n + 1]])
        fitting = _fitting(divisions, on_k)
        if fitting.all() or divisions.prod() > _LISTED:
            counts[n] = _mean_of_fixed_points(divisions, on_k[fitting])
        else:
            counts[n] = _orbits_on_mesh(divisions, on_k)
    return counts


@kernel()
def _on_k(rotations: NDArray[np.int64]) -> NDArray[np.int64]:
    """Inverse transposes: for an integer matrix of determinant ±1 its cofactors, ± signed."""
    on_k = np.empty_like(rotations)
    for index in range(len(rotations)):
        r = rotations[index]
        cofactors = on_k[index]
        for i in range(3):
            for j in range(3):
                a, b, c, d = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
                cofactors[i, j] = r[a, c] * r[b, d] - r[a, d] * r[b, c]
        cofactors *= r[0, 0] * cofactors[0, 0] + r[0, 1] * cofactors[0, 1] + r[0, 2] * cofactors[0, 2]
    return on_k


@kernel()
def _fitting(divisions: NDArray[np.int64], on_k: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which operations map the whole mesh on itself."""
    fitting = np.ones(len(on_k), dtype=np.bool_)
    for index in range(len(on_k)):
        for i in range(3):
            for j in range(3):
                if on_k[index, i, j] * divisions[i] % divisions[j] != 0:
                    fitting[index] = False
    return fitting


@kernel()
def _mean_of_fixed_points(divisions: NDArray[np.int64], on_k: NDArray[np.int64]) -> int:
    """Burnside's mean over operations that fit; they and their negatives (time reversal) both count."""
    wide = np.zeros((3, 6), dtype=np.int64)
    for i in range(3):
        wide[i, 3 + i] = divisions[i]
    fixed = 0
    for index in range(len(on_k)):
        for sign in (1, -1):
            for i in range(3):
                for j in range(3):
                    moved = on_k[index, i, j] * divisions[i] // divisions[j]
                    wide[i, j] = sign * moved - (1 if i == j else 0)
            fixed += _largest_minor_divisor(wide)
    return fixed // (2 * len(on_k))


@kernel()
def _largest_minor_divisor(wide: NDArray[np.int64]) -> int:
    """Greatest common divisor of the 20 minors of a 3×6 matrix."""
    divisor = 0
    for i in range(4):
        for j in range(i + 1, 5):
            for k in range(j + 1, 6):
                minor = (
                    wide[0, i] * (wide[1, j] * wide[2, k] - wide[1, k] * wide[2, j])
                    - wide[0, j] * (wide[1, i] * wide[2, k] - wide[1, k] * wide[2, i])
                    + wide[0, k] * (wide[1, i] * wide[2, j] - wide[1, j] * wide[2, i])
                )
                divisor = _gcd(divisor, minor)
                if divisor == 1:
                    return 1
    return divisor


@kernel()
def _gcd(a: int, b: int) -> int:
    a, b = abs(a), abs(b)
    while b:
        a, b = b, a % b
    return a


@kernel()
def _orbits_on_mesh(divisions: NDArray[np.int64], on_k: NDArray[np.int64]) -> int:
    """Number of sets of mesh points that operations and their negatives take to each other.

    The first point that is in no set yet begins a new one, and all its images on the mesh are in it.
    """
    n_1, n_2, n_3 = divisions
    common = n_1 // _gcd(n_1, n_2) * n_2
    common = common // _gcd(common, n_3) * n_3
    step = common // divisions  # of the mesh, in units in which reciprocal vectors are `common` long
    seen = np.zeros(n_1 * n_2 * n_3, dtype=np.bool_)
    count = 0
    for own in range(len(seen)):
        if seen[own]:
            continue
        count += 1
        x, y, z = own // n_3 // n_2 * step[0], own // n_3 % n_2 * step[1], own % n_3 * step[2]
        for index in range(len(on_k)):
            image, opposite, on_mesh = 0, 0, True
            for i in range(3):
                moved = on_k[index, i, 0] * x + on_k[index, i, 1] * y + on_k[index, i, 2] * z
                steps = moved // step[i]
                if steps * step[i] != moved:
                    on_mesh = False
                    break
                place = steps % divisions[i]
                image = image * divisions[i] + place
                opposite = opposite * divisions[i] + (divisions[i] - place if place else 0)
            if on_mesh:
                seen[image] = seen[opposite] = True
    return count
