"""Bands block: what a tight-binding calculation of the primitive cell says of gap, states and dispersion.

Bands are calculated at the centre of the Brillouin zone and halfway along the three vectors of the reduced
reciprocal cell.  Crude as they are, they tell metals from insulators where counting electrons does not, and
how much bands move along each vector, so how densely that vector has to be sampled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.features._bands_kernel import bands, images_of
from goldilocks_batch.features._couplings_kernel import REACH
from goldilocks_batch.features._dispersion_kernel import describe
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
)
#: Cells with more orbitals than this are left out, since the time grows with their cube.
MOST_ORBITALS = 400
#: Decimals that are kept: coordinates are not exact, and levels that are equal by symmetry should stay so.
_DECIMALS = 2


def bands_block(crystals: Sequence[Crystal], symmetries: Sequence[Symmetry]) -> NDArray[np.float64]:
    """Bands of a batch of crystals.

    Args:
        crystals: primitive cells.
        symmetries: their symmetries; where there is a centre of inversion, less has to be calculated.

    Returns:
        ``(n, k)`` in the order of `BANDS_LABELS`, energies in eV.  A row is zero where an element has no
        orbitals here, the cell has more than `MOST_ORBITALS` or is too small for its atoms.
    """
    values = np.zeros((len(crystals), len(BANDS_LABELS)))
    for row, (crystal, symmetry) in enumerate(zip(crystals, symmetries, strict=True)):
        _fill(crystal, symmetry, values[row])
    return np.round(values, _DECIMALS)


def _fill(crystal: Crystal, symmetry: Symmetry, out: NDArray[np.float64]) -> None:
    table, n = orbitals(), len(crystal)
    own = table[crystal.numbers]
    counts = (~np.isnan(own[:, :3])) @ (1, 3, 5)
    if crystal.volume < SMALLEST_VOLUME * n or counts.sum() > MOST_ORBITALS or not counts.all():
        return
    lattice = reduced_lattice(crystal.lattice)
    inverse = np.linalg.inv(lattice).astype(np.float64, copy=False)
    per_angstrom = np.linalg.norm(inverse, axis=0)  # lattice planes along each axis, 1/Å
    frac = crystal.cart @ inverse
    cart = (frac - np.floor(frac)) @ lattice
    reach = np.floor(REACH * per_angstrom).astype(np.int64) + 1
    images = _images(crystal, symmetry, lattice, inverse, cart)
    energies = bands(crystal.numbers, lattice, cart, reach, table, *images)
    if np.isfinite(energies).all():
        describe(energies, n, own[:, 4].sum(), 2.0 * math.pi * per_angstrom, out)


def _images(
    crystal: Crystal,
    symmetry: Symmetry,
    lattice: NDArray[np.float64],
    inverse: NDArray[np.float64],
    cart: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Image of each atom by inversion, and its cell; empty where there is no centre of inversion."""
    found = np.flatnonzero((symmetry.rotations == -np.eye(3, dtype=np.int32)).all(axis=(1, 2)))
    if len(found) == 0:
        return np.empty(0, dtype=np.int64), np.empty((0, 3), dtype=np.int64)
    images, cells = images_of(
        cart, crystal.numbers, symmetry.translations[found[0]] @ crystal.lattice, lattice, inverse
    )
    return images, cells
