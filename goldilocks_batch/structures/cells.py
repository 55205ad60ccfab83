"""The cells of a structure: as supplied, its exact primitive cell, and the one that a model is asked on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.choices import Cell
from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.core.errors import StructureError
from goldilocks_batch.structures._operations import angles_matter
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.exact import exact_cell
from goldilocks_batch.structures.primitive import primitive_cell
from goldilocks_batch.structures.symmetry import DISTANCES_ONLY, SYMPREC, Symmetry, find_symmetry

__all__ = ["Cells", "find_cells", "found_primitive", "reduced_cell"]

#: Share of the tolerance up to which sites may have moved for the operations of the averaged crystal,
#: where they are beyond doubt, to be beyond doubt for the crystal too.  The direct search leaves no operation
#: between 0.2 and 3 tolerances; an operation's misfit changes by at most twice what a site moved.
_UNMOVED = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Two cells of one structure.

    Attributes:
        primitive: the exact primitive cell of the crystal as supplied.
        symmetry: its symmetry.
        asked: the cell that the model is asked on.
        asked_symmetry: the symmetry of that cell, at the tolerances of the training data.
        averaged: whether that cell is another crystal than the one supplied: sites were averaged that are
            further apart than the tolerance, or averaging changed the number of sites or the space group.
    """

    primitive: Crystal
    symmetry: Symmetry
    asked: Crystal
    asked_symmetry: Symmetry
    averaged: bool


def reduced_cell(supplied: Crystal, cell: Cell) -> Crystal:
    """Return pymatgen's primitive cell; the cell as supplied where none is found and no model asks for it.

    Raises:
        StructureError: PRIMITIVE_FAILED, the model asks for it.
    """
    try:
        return primitive_cell(supplied)
    except StructureError:
        if cell == "averaged":
            raise
        return supplied


def find_cells(supplied: Crystal, reduced: Crystal, cell: Cell, symprec: float = SYMPREC) -> Cells:
    """Find the exact primitive cell and the one to ask a model on, with as few symmetry searches as possible.

    One search serves both where pymatgen's cell is the crystal as supplied, or the same crystal beyond doubt.

    Args:
        supplied: checked, right-handed.
        reduced: what :func:`reduced_cell` gives for it.
        cell: the one that the model wants.
        symprec: distance tolerance of the exact cell and its symmetry, Å; models are always asked at 0.01 Å.

    Raises:
        FeatureError: SYMMETRY_FAILED.
        StructureError: PRIMITIVE_FAILED, there is no exact primitive cell.
    """
    crystal, found = _search(supplied, reduced, symprec)
    primitive, symmetry = exact_cell(crystal, found)
    if cell == "exact":
        asked = (primitive, symmetry)
        if symprec != SYMPREC:
            asked = exact_cell(*_search(supplied, reduced, SYMPREC))
        return Cells(primitive, symmetry, *asked, averaged=False)
    serves = crystal is reduced and symprec == SYMPREC
    if not serves or (found.setting is not None and _angles_matter(primitive)):
        found = find_symmetry(reduced)
    averaged = crystal is not reduced and (
        len(reduced) < len(primitive)
        or _farthest_move(supplied, reduced) > symprec
        or find_symmetry(reduced, symprec, DISTANCES_ONLY).number != symmetry.number
    )
    return Cells(primitive, symmetry, reduced, found, averaged)


def found_primitive(supplied: Crystal, symprec: float = SYMPREC) -> tuple[Crystal, Symmetry]:
    """Return the exact primitive cell that :func:`find_cells` finds for any model, and its symmetry.

    Args:
        supplied: checked, right-handed.
        symprec: distance tolerance, Å.

    Raises:
        FeatureError, StructureError: as :func:`find_cells`.
    """
    return exact_cell(*_search(supplied, reduced_cell(supplied, "exact"), symprec))


def _search(supplied: Crystal, reduced: Crystal, symprec: float) -> tuple[Crystal, Symmetry]:
    """The symmetry of a crystal, and which of two cells it was found in: the smaller, where that is it."""
    if reduced is not supplied and _farthest_move(supplied, reduced) < _UNMOVED * symprec:
        found = find_symmetry(reduced, symprec, DISTANCES_ONLY)
        if found.setting is None:
            return reduced, found
    return supplied, find_symmetry(supplied, symprec, DISTANCES_ONLY)


def _angles_matter(crystal: Crystal) -> bool:
    return angles_matter(crystal.lattice, crystal.frac, crystal.numbers, SYMPREC)


def _farthest_move(crystal: Crystal, reduced: Crystal) -> float:
    """Return the largest distance, Å, of a site from the nearest like site of a smaller cell's crystal."""
    frac = crystal.frac @ (crystal.lattice @ np.linalg.inv(reduced.lattice))
    return float(_farthest(frac, crystal.numbers, reduced.lattice, reduced.frac, reduced.numbers))


@kernel()
def _farthest(
    frac: NDArray[np.float64],
    numbers: NDArray[np.int64],
    lattice: NDArray[np.float64],
    others: NDArray[np.float64],
    kinds: NDArray[np.int64],
) -> float:
    farthest2 = 0.0
    for i in range(len(frac)):
        nearest2 = np.inf
        for j in range(len(others)):
            if kinds[j] != numbers[i]:
                continue
            a, b, c = frac[i, 0] - others[j, 0], frac[i, 1] - others[j, 1], frac[i, 2] - others[j, 2]
            a, b, c = a - np.rint(a), b - np.rint(b), c - np.rint(c)
            x = a * lattice[0, 0] + b * lattice[1, 0] + c * lattice[2, 0]
            y = a * lattice[0, 1] + b * lattice[1, 1] + c * lattice[2, 1]
            z = a * lattice[0, 2] + b * lattice[1, 2] + c * lattice[2, 2]
            nearest2 = min(nearest2, x * x + y * y + z * z)
        farthest2 = max(farthest2, nearest2)
    return np.sqrt(farthest2)
