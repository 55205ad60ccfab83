"""The primitive cell, with pymatgen's choice of vectors and order of sites.

Follows the search of pymatgen's ``Structure.get_primitive_structure`` with its defaults, whose result
the models were trained on: translations that map every site on a like one within 0.25 Å are found first,
then sublattices in Hermite normal form are tried in order of size, and the first that groups all sites
into equal sets is taken, its sites averaged over each set.  The search runs on arrays; a cell that cannot
be reduced is returned as it is.  A reduced cell is then Niggli-reduced by pymatgen itself, since among
equivalent vectors only its own order of lattice points decides.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal, elements_of

__all__ = ["primitive_cell"]

TOLERANCE = 0.25
"""Å, along each lattice vector: pymatgen's default for sites that are the same."""

# place of each element in the alphabetical order of symbols, by which sites are grouped
_ALPHABETICAL = np.argsort(np.argsort(np.array(SYMBOLS)))


def primitive_cell(crystal: Crystal) -> Crystal:
    """Return the primitive cell, or the crystal itself where its cell already is primitive.

    An axis that is not periodic is kept: only the others are reduced, and the vectors are then not
    brought to Niggli's form.

    Args:
        crystal: checked, right-handed.

    Raises:
        StructureError: stage primitive, if the reduced vectors cannot be found.
    """
    try:
        return _reduce(crystal)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        message = f"no primitive cell: {error}"
        raise StructureError(ErrorCode.PRIMITIVE_FAILED, message, stage=Stage.PRIMITIVE) from error


def _reduce(crystal: Crystal) -> Crystal:
    formula_units = math.gcd(*elements_of(crystal.numbers)[1].tolist())
    if formula_units == 1:
        return crystal
    order = np.argsort(_ALPHABETICAL[crystal.numbers], kind="stable")
    numbers = crystal.numbers[order]
    frac = np.ascontiguousarray(crystal.frac[order])
    limits = np.concatenate(([0], np.flatnonzero(np.diff(numbers)) + 1, [len(numbers)]))
    translations = _common_translations(frac, limits, TOLERANCE / _lengths(crystal.lattice))
    found, matrix = _first_sublattice(
        crystal.lattice, frac, limits, translations, formula_units, crystal.pbc, TOLERANCE
    )
    if not found:
        return crystal
    smaller = _reduce(_smaller_cell(crystal, frac, numbers, limits, matrix))
    return _niggli(smaller) if crystal.pbc.all() else smaller


def _lengths(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.sum(lattice**2, axis=1))
    return lengths


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


def _smaller_cell(
    crystal: Crystal,
    frac: NDArray[np.float64],
    numbers: NDArray[np.int64],
    limits: NDArray[np.int64],
    matrix: NDArray[np.int64],
) -> Crystal:
    """Return the smaller cell with one site for each set of coinciding ones, at their mean."""
    lattice = np.dot(np.linalg.inv(matrix), crystal.lattice)
    near = TOLERANCE / _lengths(crystal.lattice)
    # the product as pymatgen takes it, element by element: its last bits are in the means
    groups = [np.dot(frac[first:last], matrix) for first, last in pairwise(limits)]
    kept, mean = _average(frac, np.concatenate(groups), limits, near, TOLERANCE / _lengths(lattice))
    return Crystal(lattice, mean, numbers[kept], crystal.pbc)


@kernel()
def _average(
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


def _niggli(crystal: Crystal) -> Crystal:
    """Return the crystal with Niggli-reduced vectors as pymatgen chooses them; sites are wrapped."""
    from pymatgen.core.lattice import Lattice

    lattice = Lattice(crystal.lattice)
    with np.errstate(divide="raise", invalid="raise"):  # a NaN would keep its loops going for ever
        reduced = lattice.get_niggli_reduced_lattice()
    if np.allclose(reduced.matrix, lattice.matrix):
        return crystal
    cart = np.dot(crystal.frac, crystal.lattice)
    frac = np.mod(np.dot(cart, np.linalg.inv(reduced.matrix)), 1)
    return Crystal(np.array(reduced.matrix), frac, crystal.numbers, crystal.pbc)
