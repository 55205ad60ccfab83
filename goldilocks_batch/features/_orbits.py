"""Atoms that a symmetry operation maps on each other closely enough to share one SOAP vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import Symmetry

__all__ = ["distinct_atoms"]

#: Largest misfit of an operation that is trusted, Å.  The space group is searched with 0.01 Å, which would
#: let SOAP vectors of "equal" atoms differ visibly in an unrelaxed crystal.
TOLERANCE = 1e-4


def distinct_atoms(
    crystal: Crystal, symmetry: Symmetry | None, tolerance: float = TOLERANCE
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """One atom of each orbit, and the sizes of the orbits.

    Args:
        crystal: the crystal.
        symmetry: its symmetry; None makes every atom distinct.
        tolerance: Å; operations that map the crystal on itself less well are not used.

    Returns:
        ``(k,)`` indices, ascending, and ``(k,)`` multiplicities, as floats.
    """
    if symmetry is None or len(symmetry.rotations) < 2 or len(crystal) < 2:
        return np.arange(len(crystal), dtype=np.int64), np.ones(len(crystal))
    rotations = np.asarray(symmetry.rotations, dtype=np.float64)
    first = _orbits(crystal.lattice, crystal.frac, rotations, symmetry.translations, tolerance)
    centers, counts = np.unique(first, return_counts=True)
    return centers, counts.astype(np.float64)


@kernel(error_model="numpy")
def _image(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
    i: int,
    tolerance: float,
) -> int:
    """The atom on which an operation maps atom i, -1 if there is none within the tolerance."""
    ga = rotation[0, 0] * frac[i, 0] + rotation[0, 1] * frac[i, 1] + rotation[0, 2] * frac[i, 2]
    gb = rotation[1, 0] * frac[i, 0] + rotation[1, 1] * frac[i, 1] + rotation[1, 2] * frac[i, 2]
    gc = rotation[2, 0] * frac[i, 0] + rotation[2, 1] * frac[i, 1] + rotation[2, 2] * frac[i, 2]
    ga += translation[0]
    gb += translation[1]
    gc += translation[2]
    for j in range(len(frac)):
        a, b, c = ga - frac[j, 0], gb - frac[j, 1], gc - frac[j, 2]
        a, b, c = a - np.rint(a), b - np.rint(b), c - np.rint(c)
        x = a * lattice[0, 0] + b * lattice[1, 0] + c * lattice[2, 0]
        y = a * lattice[0, 1] + b * lattice[1, 1] + c * lattice[2, 1]
        z = a * lattice[0, 2] + b * lattice[1, 2] + c * lattice[2, 2]
        if x * x + y * y + z * z < tolerance * tolerance:
            return j
    return -1


@kernel(error_model="numpy")
def _holds(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
    tolerance: float,
) -> bool:
    """Whether an operation keeps the metric of the lattice and maps every atom on an atom."""
    # R^T M R = M for the metric M = L L^T; its entries are squared lengths
    turned = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            for k in range(3):
                turned[a, k] += rotation[b, a] * lattice[b, k]
    for a in range(3):
        for b in range(a, 3):
            new, old, scale = 0.0, 0.0, 0.0
            for k in range(3):
                new += turned[a, k] * turned[b, k]
                old += lattice[a, k] * lattice[b, k]
                scale += abs(lattice[a, k]) + abs(lattice[b, k])
            if abs(new - old) > tolerance * scale:
                return False
    for i in range(len(frac)):  # noqa: SIM110 numba has no all()
        if _image(lattice, frac, rotation, translation, i, tolerance) < 0:
            return False
    return True


@kernel(error_model="numpy")
def _orbits(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.int64]:
    """For each atom the first atom that an operation maps on it; operations are tested when first needed."""
    n = len(frac)
    first = np.full(n, -1, dtype=np.int64)
    tested = np.zeros(len(rotations), dtype=np.int8)
    for i in range(n):
        if first[i] >= 0:
            continue
        first[i] = i
        for g in range(len(rotations)):
            if tested[g] < 0:
                continue
            j = _image(lattice, frac, rotations[g], translations[g], i, tolerance)
            if j < 0 or first[j] >= 0:
                continue
            if tested[g] == 0:
                holds = _holds(lattice, frac, rotations[g], translations[g], tolerance)
                tested[g] = 1 if holds else -1
            if tested[g] > 0:
                first[j] = i
    return first
