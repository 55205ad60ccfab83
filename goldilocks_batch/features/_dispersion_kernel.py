"""Compiled summary of a cell's bands: gap, states at the Fermi level, dispersion along each axis."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["describe"]

#: Column of the table of orbitals.
_ELECTRONS = 4
#: Reciprocal lengths are equal if they differ by less, relative to each other.
_EQUAL = 1e-3
#: Movements of bands are told apart from here on, eV: below linearly, above by their logarithm.
_FINE = 0.01


@kernel(error_model="numpy")
def describe(
    numbers: NDArray[np.int64],
    energies: NDArray[np.float64],
    inverse: NDArray[np.float64],
    orbitals: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Gap, states at the Fermi level and dispersion of bands.

    Args:
        numbers: ``(n,)`` atomic numbers of the cell.
        energies: ``(4, m)`` at the centre and halfway along each reciprocal vector, ascending, eV.
        inverse: ``(3, 3)`` of the lattice, 1/Å.
        orbitals: ``(119, 6)``, the table of orbitals.
        out: ``(24,)`` is filled, in the order of :data:`~goldilocks_batch.features.bands.BANDS_LABELS`; it
            is left as it is if energies are not finite.
    """
    if not math.isfinite(energies[0, 0]):
        return
    (k, m), atoms, electrons = energies.shape, len(numbers), 0.0
    for z in numbers:
        electrons += orbitals[z, _ELECTRONS]
    full = int((electrons + 0.1) // 2.0)
    even = abs(electrons - 2.0 * full) < 0.1
    bottom = min(full, m - 1)
    top = max(min(full, m) - 1, 0) if even else bottom  # the band that is half full is both
    homo, lumo = np.empty(k), np.empty(k)
    # lowest and highest energies of the full and of the empty band, least and whole distance of the two
    lowest, highest, least, whole = np.full(2, np.inf), np.full(2, -np.inf), np.inf, 0.0
    for i in range(k):
        homo[i], lumo[i] = energies[i, top], energies[i, bottom]
        if full >= m:  # no orbital is empty: the next state is a free electron
            lumo[i] = max(homo[i], 0.0)
        lowest[0], highest[0] = min(lowest[0], homo[i]), max(highest[0], homo[i])
        lowest[1], highest[1] = min(lowest[1], lumo[i]), max(highest[1], lumo[i])
        least = min(least, lumo[i] - homo[i])
        whole += lumo[i] - homo[i]
    levels = _merged(energies)
    filled = min(max(round(electrons * k / 2.0), 1), len(levels))
    above = levels[filled] if filled < len(levels) else max(levels[-1], 0.0)
    fermi = 0.5 * (levels[filled - 1] + above)
    out[0], out[1], out[2] = 1.0, lowest[1] - highest[0], least
    out[3], out[4] = whole / k, lumo[0] - homo[0]
    out[5] = 1.0 if even else 0.0
    for w in range(4):
        width = (0.05, 0.15, 0.5, 1.5)[w]
        states = 0.0
        for level in levels:
            x = (level - fermi) / width
            if abs(x) < 6.0:
                states += math.exp(-x * x)
        out[6 + w] = math.log1p(10.0 * states / (width * k * atoms))
    out[10], out[11], out[12] = fermi, highest[0] - levels[0], highest[0] - fermi
    out[13], out[14] = highest[0] - lowest[0], highest[1] - lowest[1]
    moves = np.zeros((3, 3))
    for a in range(3):
        moves[a, 0], moves[a, 1] = abs(homo[a + 1] - homo[0]), abs(lumo[a + 1] - lumo[0])
        square = 0.0
        for band in range(top + 1):
            square += (energies[a + 1, band] - energies[0, band]) ** 2
        moves[a, 2] = math.sqrt(square / (top + 1))
    order = _axes(inverse, moves)
    for a in range(3):
        for kind in range(3):
            out[15 + 3 * a + kind] = math.asinh(moves[order[a], kind] / _FINE)


@kernel(error_model="numpy")
def _merged(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """All entries of ascending rows, ascending."""
    k, m = energies.shape
    levels, at = np.empty(k * m), np.zeros(k, dtype=np.int64)
    for place in range(k * m):
        least, row = np.inf, 0
        for r in range(k):
            if at[r] < m and energies[r, at[r]] < least:
                least, row = energies[r, at[r]], r
        levels[place] = least
        at[row] += 1
    return levels


@kernel(error_model="numpy")
def _axes(inverse: NDArray[np.float64], moves: NDArray[np.float64]) -> NDArray[np.int64]:
    """Axes by reciprocal length, longest first, those of equal lengths by how much bands move along them."""
    order, lengths = np.arange(3), np.empty(3)
    for a in range(3):
        lengths[a] = math.sqrt(inverse[0, a] ** 2 + inverse[1, a] ** 2 + inverse[2, a] ** 2)
    for _ in range(2):
        for a in range(2):
            one, other = order[a], order[a + 1]
            shorter = lengths[one] < lengths[other] * (1.0 - _EQUAL)
            equal = abs(lengths[one] - lengths[other]) <= _EQUAL * lengths[other]
            if shorter or (equal and moves[one, 2] < moves[other, 2]):
                order[a], order[a + 1] = other, one
    return order
