"""The exact primitive cell: the one whose translations are those that symmetry finds, its vectors reduced.

Where :mod:`goldilocks_batch.structures.primitive` follows pymatgen, which averages sites up to 0.25 Å apart,
nothing is averaged here beyond the tolerance of the symmetry search.  The vectors are Niggli's (International
Tables A, section 3.1.3), so that one crystal has the same primitive cell whatever cell it was supplied in.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures._reduction import NO_REDUCED_FORM, OTHER_LATTICE, in_vectors, reduction
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.spglib_calls import quiet_spglib
from goldilocks_batch.structures.symmetry import Symmetry

__all__ = ["exact_cell", "exact_primitive"]

#: How far from an integer a matrix of integers may be for rounding.
_ROUNDING = 1e-3
_ONE = np.eye(3)


def exact_primitive(crystal: Crystal, symmetry: Symmetry) -> Crystal:
    """Return the primitive cell of a crystal, Niggli-reduced, in the crystal's orientation.

    Sites that a translation carries on each other become one, at their mean, in the order of the first of
    each set.  Where axes are not periodic they are kept as they are, and translations along them are left
    out; two periodic axes are brought to the two shortest vectors of their plane.  A crystal whose cell
    already is that cell is returned itself.

    Args:
        crystal: checked, right-handed.
        symmetry: what :func:`~goldilocks_batch.structures.symmetry.find_symmetry` gives for it.

    Raises:
        StructureError: PRIMITIVE_FAILED, the translations form no lattice or its vectors cannot be reduced.
    """
    return exact_cell(crystal, symmetry)[0]


def exact_cell(crystal: Crystal, symmetry: Symmetry) -> tuple[Crystal, Symmetry]:
    """Return the primitive cell as :func:`exact_primitive` does, and the symmetry in its own basis.

    The symmetry is the whole one of the crystal, also where the cell given does not show it: the operations
    of a doubled cubic cell are those of a tetragonal one.

    Args:
        crystal: checked, right-handed.
        symmetry: what :func:`~goldilocks_batch.structures.symmetry.find_symmetry` gives for it.

    Raises:
        StructureError: as :func:`exact_primitive`.
    """
    translations = _pure_translations(crystal, symmetry)
    if len(translations) == 1:
        return _in_reduced_vectors(crystal, symmetry)
    basis = _basis(translations)
    rotations, shifts = _operations(symmetry, basis)
    change = _reduction(basis @ crystal.lattice, rotations.astype(np.int32), crystal.pbc)
    basis = change @ basis
    lattice = basis @ crystal.lattice
    kept, place, frac = _merged(crystal, lattice, crystal.frac @ np.linalg.inv(basis), len(translations))
    frac = np.where(crystal.pbc, frac - np.floor(frac), frac)
    turned, shifted = _moved(rotations, shifts, change)
    found = replace(
        symmetry,
        rotations=turned,
        translations=shifted,
        equivalent_atoms=place[symmetry.equivalent_atoms[kept]].astype(np.int32),
        setting=None,
    )
    return Crystal(lattice, frac, crystal.numbers[kept], crystal.pbc), found


def _in_reduced_vectors(crystal: Crystal, symmetry: Symmetry) -> tuple[Crystal, Symmetry]:
    """The cell and symmetry of a crystal whose cell is primitive already; itself if that is reduced too."""
    change = _reduction(crystal.lattice, symmetry.rotations, crystal.pbc)
    if (change == _ONE).all():
        return crystal, symmetry
    lattice, frac, rotations, translations = in_vectors(
        *(change, crystal.lattice, crystal.frac, crystal.pbc),
        *(symmetry.rotations, symmetry.translations),
    )
    found = replace(symmetry, rotations=rotations, translations=translations, setting=None)
    return Crystal(lattice, frac, crystal.numbers, crystal.pbc), found


def _pure_translations(crystal: Crystal, symmetry: Symmetry) -> NDArray[np.float64]:
    """``(k, 3)`` translations within the cell, fractional, along periodic axes only; zero is one of them."""
    if symmetry.setting is None:  # operations beyond doubt are those of a primitive cell
        return np.zeros((1, 3))
    found = symmetry.translations[(symmetry.rotations == np.eye(3, dtype=np.int32)).all(axis=(1, 2))]
    if len(found) == 1:
        return np.zeros((1, 3))
    # a group of k elements: k times any of them is a lattice vector, which takes the noise out of them
    exact = np.rint(found * len(found)) / len(found) % 1.0
    exact = exact[(exact[:, ~crystal.pbc] == 0.0).all(axis=1)]
    return np.unique(exact, axis=0)


def _basis(translations: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(3, 3)``, rows: vectors that generate the translations and the cell's own, in terms of the cell's."""
    count = len(translations)
    rows = np.rint(translations * count).astype(np.int64).tolist()
    rows += (count * np.eye(3, dtype=np.int64)).tolist()
    basis = []
    for axis in range(3):  # to echelon form, by Euclid's algorithm on each column
        rest = [row for row in rows if row[axis] == 0]
        rows = [row for row in rows if row[axis] != 0]
        while len(rows) > 1:
            rows.sort(key=lambda row: abs(row[axis]))
            pivot = rows[0]
            reduced = [
                [a - row[axis] // pivot[axis] * b for a, b in zip(row, pivot, strict=True)]
                for row in rows[1:]
            ]
            rest += [row for row in reduced if row[axis] == 0]
            rows = [pivot] + [row for row in reduced if row[axis] != 0]
        basis.append(rows[0])
        rows = rest
    found = np.array(basis, dtype=np.float64) / count
    volume = np.linalg.det(found)
    if abs(abs(volume) * count - 1.0) > _ROUNDING:
        raise _failure(f"{count} translations do not form a lattice")
    right_handed: NDArray[np.float64] = found * np.sign(volume)
    return right_handed


def _operations(
    symmetry: Symmetry, basis: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One operation for each rotation of the space group, ``(m, 3, 3)`` and ``(m, 3)``, in a primitive basis.

    Args:
        symmetry: of a cell that may be a multiple.
        basis: the primitive vectors in terms of that cell's, rows.
    """
    if symmetry.setting is None:
        raise AssertionError("the operations of a primitive cell alone are known without a setting")
    # x in the Hall setting is T x + p in the cell, basisᵀ x' for coordinates x' in the primitive one
    with quiet_spglib() as spglib:
        tabulated = spglib.get_symmetry_from_database(symmetry.hall_number)
    matrix, origin = symmetry.setting
    into = matrix @ basis.T
    back = np.linalg.inv(into)
    rotations = back @ tabulated["rotations"] @ into
    whole = np.rint(rotations)
    # those that are no integers take a periodic axis of a layer to the one that is not
    fitting = np.abs(rotations - whole).max(axis=(1, 2)) < _ROUNDING
    shifts = (tabulated["translations"] + tabulated["rotations"] @ origin - origin) @ back.T
    unique, first = np.unique(whole[fitting], axis=0, return_index=True)
    return unique, shifts[fitting][first]


def _moved(
    rotations: NDArray[np.float64], translations: NDArray[np.float64], change: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Operations in the basis ``change @ lattice``; ``change`` are integers of determinant 1."""
    into = np.linalg.inv(change.T)
    turned = np.rint(into @ rotations @ change.T).astype(np.int32)
    return turned, translations @ into.T % 1.0


def _reduction(
    lattice: NDArray[np.float64], rotations: NDArray[np.int32], pbc: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """``(3, 3)`` integers, determinant 1: the reduced vectors in terms of a primitive lattice's."""
    if not pbc.all():
        products = lattice @ lattice.T
        return _plane_reduction((rotations.transpose(0, 2, 1) @ products @ rotations).mean(axis=0), pbc)
    how, change = reduction(lattice, rotations)
    if how == NO_REDUCED_FORM:
        raise _failure("its vectors have no reduced form")
    if how == OTHER_LATTICE:
        raise _failure("its reduced vectors are not those of the same lattice")
    reduced: NDArray[np.float64] = change
    return reduced


def _plane_reduction(products: NDArray[np.float64], pbc: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Lagrange's reduction of two periodic vectors; unchanged if there are fewer."""
    change = np.eye(3)
    periodic = np.flatnonzero(pbc)
    if len(periodic) < 2:
        return change
    first, second = periodic
    while True:
        now = change @ products @ change.T
        if now[first, first] > now[second, second] * (1.0 + 1e-9):
            change[[first, second]] = change[second], -change[first]
            continue
        # 120° rather than 60°
        steps = np.ceil(now[first, second] / now[first, first] - 0.5 + 1e-9)
        if steps == 0:
            return change
        change[second] -= steps * change[first]


def _merged(
    crystal: Crystal, lattice: NDArray[np.float64], frac: NDArray[np.float64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Sets of ``size`` sites that coincide in the smaller cell.

    Returns:
        The first site of every set; ``(n,)`` the set of every site; ``(n / size, 3)`` the means of the sets.
    """
    place = np.full(len(crystal), -1)
    kept: list[int] = []
    means: list[NDArray[np.float64]] = []
    for site in range(len(crystal)):
        if place[site] >= 0:
            continue
        offsets = frac - frac[site]
        offsets -= np.rint(offsets)
        distances = np.linalg.norm(offsets @ lattice, axis=1)
        distances[(place >= 0) | (crystal.numbers != crystal.numbers[site])] = np.inf
        members = np.argsort(distances, kind="stable")[:size]
        if not np.isfinite(distances[members]).all():
            raise _failure("its sites do not divide into sets that translations carry on each other")
        place[members] = len(kept)
        kept.append(site)
        means.append(frac[site] + offsets[members].mean(axis=0))
    return np.array(kept), place, np.array(means)


def _failure(reason: str) -> StructureError:
    return StructureError(
        ErrorCode.PRIMITIVE_FAILED, f"no exact primitive cell: {reason}", stage=Stage.PRIMITIVE
    )
