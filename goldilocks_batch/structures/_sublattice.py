"""Compiled parts of pymatgen's primitive cell: the search for a sublattice, and the means of sites."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["average", "sublattice"]


@kernel()
def sublattice(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    places: NDArray[np.int64],
    formula_units: int,
    pbc: NDArray[np.bool_],
    tolerance: float,
) -> tuple[bool, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find the first sublattice that groups all sites.

    Args:
        lattice: ``(3, 3)``, Å.
        frac: ``(n_sites, 3)``.
        places: ``(n_sites,)`` of the elements in the order of groups.
        formula_units: in the cell.
        pbc: ``(3,)``.
        tolerance: Å.

    Returns:
        Whether there is one; its matrix; the sites sorted by element; where each element's sites start, and
        the end.
    """
    order = np.argsort(places, kind="mergesort")
    limits = np.empty(len(order) + 1, dtype=np.int64)
    groups = 0
    for i in range(len(order)):
        if i == 0 or places[order[i]] != places[order[i - 1]]:
            limits[groups] = i
            groups += 1
    limits[groups] = len(order)
    limits = limits[: groups + 1]
    ordered = frac[order]
    translations = _common_translations(ordered, limits, tolerance / np.sqrt(np.sum(lattice**2, axis=1)))
    found, matrix = _first_sublattice(lattice, ordered, limits, translations, formula_units, pbc, tolerance)
    return found, matrix, order, limits


@kernel()
def _common_translations(
    frac: NDArray[np.float64], limits: NDArray[np.int64], tolerance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``(n, 3)`` translations that carry every site to within 2 tolerances of a like one.

    Args:
        frac: ``(n_sites, 3)`` sorted by element.
        limits: where each element's sites start, and the end.
        tolerance: ``(3,)`` fractional.
    """
    smallest = np.argmin(limits[1:] - limits[:-1])
    first, last = limits[smallest], limits[smallest + 1]
    vectors = frac[first:last] - frac[first]
    keep = np.ones(len(vectors), dtype=np.bool_)
    for v in range(len(vectors)):
        for group in range(len(limits) - 1):
            for i in range(limits[group], limits[group + 1]):
                met = False
                for j in range(limits[group], limits[group + 1]):
                    close = True
                    for k in range(3):
                        d = frac[j, k] - frac[i, k] - vectors[v, k]
                        if abs(d - np.rint(d)) >= 2.0 * tolerance[k]:
                            close = False
                            break
                    if close:
                        met = True
                        break
                if not met:
                    keep[v] = False
                    break
            if not keep[v]:
                break
    common: NDArray[np.float64] = vectors[keep]
    return common


@kernel()
def _is_translation(
    x: float, y: float, z: float, translations: NDArray[np.float64], tolerance: NDArray[np.float64]
) -> bool:
    for t in range(len(translations)):
        dx, dy, dz = x - translations[t, 0], y - translations[t, 1], z - translations[t, 2]
        if (
            abs(dx - np.rint(dx)) < tolerance[0]
            and abs(dy - np.rint(dy)) < tolerance[1]
            and abs(dz - np.rint(dz)) < tolerance[2]
        ):
            return True
    return False


@kernel()
def _first_sublattice(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    limits: NDArray[np.int64],
    translations: NDArray[np.float64],
    formula_units: int,
    pbc: NDArray[np.bool_],
    tolerance: float,
) -> tuple[bool, NDArray[np.int64]]:
    """Return the first matrix ``[[a, b, c], [0, e, f], [0, 0, g]]`` whose inverse gives a smaller cell.

    Matrices come in pymatgen's order: by determinant (the divisors of ``formula_units``), a, e, b, c, f.
    """
    lengths = np.sqrt(np.sum(lattice**2, axis=1))
    near = tolerance / lengths
    matrix = np.zeros((3, 3), dtype=np.int64)
    for size in range(2, formula_units + 1):
        if formula_units % size:
            continue
        for a in range(1, size + 1):
            if size % a:
                continue
            for e in range(1, size // a + 1):
                if (size // a) % e:
                    continue
                g = size // a // e
                if not _is_translation(0.0, 0.0, 1.0 / g, translations, near):
                    continue
                for b in range(a):
                    for c in range(a):
                        for f in range(e):
                            if not pbc[0] and (a > 1):
                                continue
                            if not pbc[1] and (e > 1 or b > 0):
                                continue
                            if not pbc[2] and (g > 1 or c > 0 or f > 0):
                                continue
                            if not _is_translation(0.0, 1.0 / e, -f / (e * g), translations, near):
                                continue
                            if not _is_translation(
                                1.0 / a, -b / (a * e), (b * f - c * e) / (a * e * g), translations, near
                            ):
                                continue
                            matrix[0] = a, b, c
                            matrix[1] = 0, e, f
                            matrix[2] = 0, 0, g
                            if _groups_sites(lattice, frac, limits, matrix, size, near, tolerance):
                                return True, matrix
    return False, matrix


@kernel()
def _same_site(
    frac: NDArray[np.float64],
    mapped: NDArray[np.float64],
    i: int,
    j: int,
    near: NDArray[np.float64],
    near_mapped: NDArray[np.float64],
) -> bool:
    """Whether two sites coincide in the smaller cell without being neighbours in the given one."""
    if i == j:
        return True
    apart = False
    for k in range(3):
        d = mapped[j, k] - mapped[i, k]
        if abs(d - np.rint(d)) >= near_mapped[k]:
            return False
        d = frac[j, k] - frac[i, k]
        apart = apart or abs(d - np.rint(d)) > 2.0 * near[k]
    return apart


@kernel()
def _groups_sites(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    limits: NDArray[np.int64],
    matrix: NDArray[np.int64],
    size: int,
    near: NDArray[np.float64],
    tolerance: float,
) -> bool:
    """Whether the sublattice divides each element's sites into sets of ``size`` that all coincide."""
    smaller = np.linalg.inv(matrix.astype(np.float64)) @ lattice
    near_mapped = tolerance / np.sqrt(np.sum(smaller**2, axis=1))
    mapped = frac @ matrix.astype(np.float64)
    members = np.empty(size, dtype=np.int64)
    for group in range(len(limits) - 1):
        for i in range(limits[group], limits[group + 1]):
            count = 0
            for j in range(limits[group], limits[group + 1]):
                if _same_site(frac, mapped, i, j, near, near_mapped):
                    if count == size:
                        return False
                    members[count] = j
                    count += 1
            if count != size:
                return False
            for m in range(size):
                for n in range(m):
                    if not _same_site(frac, mapped, members[m], members[n], near, near_mapped):
                        return False
    return True


@kernel()
def average(
    frac: NDArray[np.float64],
    mapped: NDArray[np.float64],
    limits: NDArray[np.int64],
    near: NDArray[np.float64],
    near_mapped: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the first site of every set of coinciding ones, and the mean of the set in the smaller cell."""
    wrapped = mapped % 1.0
    done = np.zeros(len(frac), dtype=np.bool_)
    kept = np.empty(len(frac), dtype=np.int64)
    sets = 0
    for group in range(len(limits) - 1):
        for i in range(limits[group], limits[group + 1]):
            if done[i]:
                continue
            first = -1
            count = 0
            for j in range(limits[group], limits[group + 1]):
                if not _same_site(frac, mapped, i, j, near, near_mapped):
                    continue
                done[j] = True
                count += 1
                if first < 0:
                    first = j
                    continue
                for k in range(3):
                    offset = wrapped[j, k] - wrapped[first, k]
                    wrapped[first, k] += (offset - np.rint(offset)) / count
            kept[sets] = first
            sets += 1
    return kept[:sets], wrapped[kept[:sets]]
