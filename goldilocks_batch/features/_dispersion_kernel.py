"""Compiled summary of a cell's bands: gap, states at the Fermi level, dispersion and energies of meshes."""

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
#: Energies that differ by less are equal, eV per atom.
_LEAST = 1e-6
#: Part of an electron that rounding may leave.
_LITTLE = 1e-9


@kernel(error_model="numpy")
def describe(
    numbers: NDArray[np.int64],
    energies: NDArray[np.float64],
    equal: NDArray[np.int64],
    inverse: NDArray[np.float64],
    orbitals: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Gap, states at the Fermi level, dispersion of bands, and how energies of meshes differ.

    Args:
        numbers: ``(n,)`` atomic numbers of the cell.
        energies: ``(p, m)``, ascending, eV, at points of different energies.
        equal: ``(8,)``, the row of point i, halfway along reciprocal vector a if bit a of i is set.
        inverse: ``(3, 3)`` of the lattice, 1/Å.
        orbitals: ``(119, 6)``, the table of orbitals.
        out: ``(29,)`` is filled, in the order of :data:`~goldilocks_batch.features.bands.BANDS_LABELS`; it
            is left as it is if energies of any point are not finite.
    """
    for i in range(len(energies)):
        if not math.isfinite(energies[i, 0]):
            return
    m, atoms, electrons = energies.shape[1], len(numbers), 0.0
    for z in numbers:
        electrons += orbitals[z, _ELECTRONS]
    full = int((electrons + 0.1) // 2.0)
    even = abs(electrons - 2.0 * full) < 0.1
    bottom = min(full, m - 1)
    top = max(min(full, m) - 1, 0) if even else bottom  # the band that is half full is both
    weights = _weights(equal, 0, len(energies))
    homo, lumo = energies[:, top], energies[:, bottom].copy()
    if full >= m:  # no orbital is empty: the next state is a free electron
        lumo = np.maximum(homo, 0.0)
    # lowest and highest energies of the full and of the empty band, least and whole distance of the two
    lowest, highest, least, whole = np.full(2, np.inf), np.full(2, -np.inf), np.inf, 0.0
    deepest = energies[0, 0]
    for i in range(len(energies)):
        if weights[i] > 0:
            lowest[0], highest[0] = min(lowest[0], homo[i]), max(highest[0], homo[i])
            lowest[1], highest[1] = min(lowest[1], lumo[i]), max(highest[1], lumo[i])
            least = min(least, lumo[i] - homo[i])
            whole += weights[i] * (lumo[i] - homo[i])
            deepest = min(deepest, energies[i, 0])
    finest, fermi = _filled(energies, weights, electrons)
    out[0], out[1], out[2] = 1.0, lowest[1] - highest[0], least
    out[3], out[4] = whole / len(equal), lumo[0] - homo[0]
    out[5] = 1.0 if even else 0.0
    for w in range(4):
        states = _states(energies, weights, fermi, (0.05, 0.15, 0.5, 1.5)[w])
        out[6 + w] = math.log1p(10.0 * states / atoms)
    out[10], out[11], out[12] = fermi, highest[0] - deepest, highest[0] - fermi
    out[13], out[14] = highest[0] - lowest[0], highest[1] - lowest[1]
    moves = np.zeros((3, 3))
    for a in range(3):
        i = equal[1 << a]
        moves[a, 0], moves[a, 1] = abs(homo[i] - homo[0]), abs(lumo[i] - lumo[0])
        square = 0.0
        for band in range(top + 1):
            square += (energies[i, band] - energies[0, band]) ** 2
        moves[a, 2] = math.sqrt(square / (top + 1))
    order = _axes(inverse, moves)
    centre, _ = _filled(energies, _weights(equal[:1], 0, len(energies)), electrons)
    out[24] = _distance(centre, finest, atoms)
    for a in range(3):
        for kind in range(3):
            out[15 + 3 * a + kind] = math.asinh(moves[order[a], kind] / _FINE)
        coarser, _ = _filled(energies, _weights(equal, 1 << order[a], len(energies)), electrons)
        out[25 + a] = _distance(coarser, finest, atoms)
    out[28] = max(out[25], out[26], out[27])


@kernel()
def _weights(equal: NDArray[np.int64], without: int, rows: int) -> NDArray[np.int64]:
    """``(rows,)``: how many points, of those that have no bit in common with ``without``, are each row's."""
    weights = np.zeros(rows, dtype=np.int64)
    for i in range(len(equal)):
        if not i & without:
            weights[equal[i]] += 1
    return weights


@kernel(error_model="numpy")
def _filled(
    energies: NDArray[np.float64], weights: NDArray[np.int64], electrons: float
) -> tuple[float, float]:
    """Band energy of a cell whose lowest levels hold two electrons each, and its Fermi level.

    Args:
        energies: ``(p, m)``, ascending.
        weights: ``(p,)`` how many points of the mesh have the energies of a row.
        electrons: of the cell.
    """
    p, m = energies.shape
    at, points = np.zeros(p, dtype=np.int64), weights.sum()
    left, total, last = 0.5 * electrons * points, 0.0, 0.0
    while True:
        level, row = np.inf, -1
        for r in range(p):
            if weights[r] > 0 and at[r] < m and energies[r, at[r]] < level:
                level, row = energies[r, at[r]], r
        if row < 0:  # no orbital is empty: the next state is a free electron
            level = max(last, 0.0)
        if row < 0 or left < _LITTLE:
            return 2.0 * total / points, 0.5 * (last + level)
        share = min(float(weights[row]), left)
        left, total, last = left - share, total + share * level, level
        if share < weights[row] - _LITTLE:  # the next state is one of this level
            return 2.0 * total / points, level
        at[row] += 1


@kernel(error_model="numpy")
def _states(energies: NDArray[np.float64], weights: NDArray[np.int64], middle: float, width: float) -> float:
    """States of a cell at an energy, each spread over a width: 1/eV times the square root of π."""
    states = 0.0
    for row in range(len(energies)):
        if weights[row] > 0:
            for level in energies[row]:
                x = (level - middle) / width
                if abs(x) < 6.0:
                    states += weights[row] * math.exp(-x * x)
    return states / (width * weights.sum())


@kernel(error_model="numpy")
def _distance(energy: float, other: float, atoms: int) -> float:
    """Decimal logarithm of how far two energies of a cell are apart, eV per atom; -6 if they are equal."""
    return math.log10(abs(energy - other) / atoms + _LEAST)


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
