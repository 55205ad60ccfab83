"""Bands block: what a tight-binding calculation of the primitive cell says of gap, states and dispersion.

Bands are calculated at the centre of the Brillouin zone and halfway along one, two and three vectors of the
reduced reciprocal cell, a mesh of 2×2×2.  Crude as they are, they tell metals from insulators where counting
electrons does not, and how much bands and the energies of coarser meshes move along each vector, so how
densely that vector has to be sampled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.features._dispersion_kernel import describe
from goldilocks_batch.features._eigenvalues_kernel import eigenvalues
from goldilocks_batch.features._matrices_kernel import matrices_of
from goldilocks_batch.features._placed_kernel import placed
from goldilocks_batch.features._points_kernel import points_of
from goldilocks_batch.features.orbitals import orbitals
from goldilocks_batch.networks.graphs.neighbours import SMALLEST_VOLUME
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import Symmetry, reduced_lattice

__all__ = ["BANDS_LABELS", "MOST_ORBITALS", "bands_block"]

BANDS_LABELS: tuple[str, ...] = (
    *("known", "gap", "gap_least", "gap_mean", "gap_centre", "even"),
    *("states_50mev", "states_150mev", "states_500mev", "states_1500mev"),
    *("fermi", "width", "top", "top_range", "bottom_range"),
    *("top_1", "bottom_1", "moves_1", "top_2", "bottom_2", "moves_2", "top_3", "bottom_3", "moves_3"),
    *("energy_centre", "energy_1", "energy_2", "energy_3", "energy_most"),
)
#: Cells with more orbitals than this are left out, since the time grows with their cube.
MOST_ORBITALS = 400
#: Decimals that are kept: coordinates are not exact, and levels that are equal by symmetry should stay so.
_DECIMALS = 2


def bands_block(crystals: Sequence[Crystal], symmetries: Sequence[Symmetry]) -> NDArray[np.float64]:
    """Bands of a batch of crystals.

    Args:
        crystals: primitive cells.
        symmetries: their symmetries: of points that they make equal one is calculated, and half as large
            matrices where there is a centre of inversion.

    Returns:
        ``(n, k)`` in the order of `BANDS_LABELS`, energies in eV; those of meshes are decimal logarithms of
        differences, eV per atom: between the centre alone and 2×2×2, between the mesh that leaves a vector
        out and 2×2×2, and the largest of the latter.  A row is zero where an element has no
        orbitals here, the cell has more than `MOST_ORBITALS` or is too small for its atoms.
    """
    values = np.zeros((len(crystals), len(BANDS_LABELS)))
    for row, (crystal, symmetry) in enumerate(zip(crystals, symmetries, strict=True)):
        _fill(crystal, symmetry, values[row])
    return np.round(values, _DECIMALS)


def _fill(crystal: Crystal, symmetry: Symmetry, out: NDArray[np.float64]) -> None:
    n, numbers, table = len(crystal), crystal.numbers, orbitals()
    if crystal.volume < SMALLEST_VOLUME * n:
        return
    reduced = reduced_lattice(crystal.lattice)
    inverse, cart, images, cells = placed(
        numbers, crystal.frac, crystal.lattice, reduced, symmetry.rotations, symmetry.translations
    )
    points, equal = points_of(symmetry.rotations, crystal.lattice, reduced)
    matrices, sizes = matrices_of(
        numbers, reduced, inverse, cart, table, images, cells, points, MOST_ORBITALS
    )
    if matrices.size > 0:
        found = np.vstack([eigenvalues(four, own) for four, own in zip(matrices, sizes, strict=True)])
        describe(numbers, found, equal, inverse, table, out)
