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

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures._sublattice import average, sublattice
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
    found, matrix, order, limits = sublattice(
        *(crystal.lattice, crystal.frac, _ALPHABETICAL[crystal.numbers], formula_units),
        *(crystal.pbc, TOLERANCE),
    )
    if not found:
        return crystal
    numbers, frac = crystal.numbers[order], crystal.frac[order]
    smaller = _reduce(_smaller_cell(crystal, frac, numbers, limits, matrix))
    return _niggli(smaller) if crystal.pbc.all() else smaller


def _lengths(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.sum(lattice**2, axis=1))
    return lengths


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
    kept, mean = average(frac, np.concatenate(groups), limits, near, TOLERANCE / _lengths(lattice))
    return Crystal(lattice, mean, numbers[kept], crystal.pbc)


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
