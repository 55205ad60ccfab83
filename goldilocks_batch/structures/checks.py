"""Whether arrays are a crystal that the models can judge."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.outcome import Reading

__all__ = ["check", "completed_cell", "from_cartesian", "overlapping_pair", "right_handed", "touching_pair"]

EMPTY_SPACE = 15.0
"""Å of empty space that a completed cell has along an axis that is not periodic."""
SHORTEST_VECTOR = 1e-6
"""Å; a lattice vector shorter than this is none."""
LEAST_VOLUME_PER_ATOM = 0.5
"""Å³; solid hydrogen at 500 GPa still has more than 1."""
LEAST_SOLIDITY = 1e-3
"""Smallest cell volume over a·b·c: below, two vectors, or one and a plane, are 0.06 degrees apart."""


def check(crystal: Crystal, *, max_sites: int, closest: float) -> None:
    """Refuse what is no crystal of the models' domain.

    Args:
        crystal: arrays of the right shapes, any values.
        max_sites: the largest number of sites.
        closest: Å; two atoms (images included) nearer than this sit on one spot.

    Raises:
        StructureError: with the code of the first check that fails.
    """
    sites = len(crystal)
    if sites == 0:
        _refuse(ErrorCode.NO_STRUCTURE, "the structure has no atoms")
    if sites > max_sites:
        _refuse(ErrorCode.TOO_MANY_SITES, f"{sites} sites, the limit is {max_sites}")
    if crystal.pbc.shape != (3,):
        _refuse(ErrorCode.SHAPE_MISMATCH, f"periodicity must be given for 3 axes, found {crystal.pbc.shape}")
    _check_finite(crystal.lattice, crystal.frac)
    volume_per_atom = _check_lattice(crystal.lattice) / sites
    if volume_per_atom < LEAST_VOLUME_PER_ATOM:
        message = f"{volume_per_atom:.3g} Å³ per atom, at least {LEAST_VOLUME_PER_ATOM} expected"
        _refuse(ErrorCode.LATTICE_COLLAPSED, message)
    first, second, distance = overlapping_pair(crystal.lattice, crystal.frac, crystal.pbc, closest)
    if first >= 0:
        names = f"{_site(crystal, first)} and {_site(crystal, second)}"
        message = f"sites {names} are {distance:.3g} Å apart, closer than {closest:g} Å"
        if first == second:
            message = f"site {_site(crystal, first)} is {distance:.3g} Å from its own periodic image"
        _refuse(ErrorCode.ATOMS_OVERLAP, message)


def from_cartesian(
    lattice: NDArray[np.float64],
    cart: NDArray[np.float64],
    numbers: NDArray[np.int64],
    pbc: NDArray[np.bool_],
) -> Reading:
    """Return a crystal from ``(n_sites, 3)`` Cartesian coordinates in Å.

    A zero vector along an axis that is not periodic is completed, and flagged.

    Raises:
        StructureError: a number is not finite, or the lattice cannot be inverted.
    """
    _check_finite(lattice, cart)
    completed = completed_cell(lattice, cart, pbc)
    whole = lattice if completed is None else completed
    _check_lattice(whole)
    crystal = Crystal(whole, cart @ np.linalg.inv(whole), numbers, pbc)
    return Reading(crystal, () if completed is None else ("cell_completed",))


def completed_cell(
    lattice: NDArray[np.float64], cart: NDArray[np.float64], pbc: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """Return the ``(3, 3)`` cell of a layer, chain or molecule that was given without one.

    Vectors that are zero along axes that are not periodic become perpendicular to the others and
    :data:`EMPTY_SPACE` longer than the atoms reach; None if there are none such.

    Args:
        lattice: ``(3, 3)``, Å.
        cart: ``(n_sites, 3)``, Å.
        pbc: ``(3,)``.
    """
    if pbc.shape != (3,) or pbc.all() or len(cart) == 0:
        return None
    zero = ~pbc & (np.sqrt(np.sum(lattice**2, axis=1)) < SHORTEST_VECTOR)
    if not zero.any() or ((~zero).any() and np.linalg.matrix_rank(lattice[~zero], tol=1e-6) < (~zero).sum()):
        return None
    whole = lattice.copy()
    # the rows of v beyond the rank span what the given vectors do not
    _, _, spanned = np.linalg.svd(lattice)
    free = list(spanned[3 - int(zero.sum()) :])
    for axis in np.flatnonzero(zero):
        direction = free.pop()
        reach = np.ptp(cart @ direction)
        whole[axis] = direction * (reach + EMPTY_SPACE)
    if np.linalg.det(whole) < 0:
        whole[np.flatnonzero(zero)[0]] *= -1
    return whole


def right_handed(crystal: Crystal) -> tuple[Crystal, bool]:
    """Return the crystal with right-handed vectors, and whether they had to be turned.

    All three vectors and all coordinates change their sign: atoms stay where they are, axes keep their order.
    """
    lattice = crystal.lattice
    if lattice.shape != (3, 3) or not np.isfinite(lattice).all() or determinant(lattice) >= 0:
        return crystal, False
    return Crystal(-lattice, -crystal.frac, crystal.numbers, crystal.pbc), True


def determinant(lattice: NDArray[np.float64]) -> float:
    """a·(b×c) in Å³."""
    vectors: list[list[float]] = lattice.tolist()
    a, b, c = vectors
    return (
        a[0] * (b[1] * c[2] - b[2] * c[1])
        - a[1] * (b[0] * c[2] - b[2] * c[0])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
    )


def _check_finite(lattice: NDArray[np.float64], coordinates: NDArray[np.float64]) -> None:
    for name, numbers in (("lattice", lattice), ("coordinates", coordinates)):
        if not np.isfinite(numbers).all():
            _refuse(ErrorCode.NOT_FINITE, f"NaN or infinity found in {name}")


def _check_lattice(lattice: NDArray[np.float64]) -> float:
    """Refuse what spans no cell; return the volume in Å³."""
    lengths = [math.hypot(*vector) for vector in lattice.tolist()]
    if min(lengths) < SHORTEST_VECTOR:
        lengths_text = ", ".join(f"{length:g}" for length in lengths)
        _refuse(ErrorCode.LATTICE_ZERO, f"a lattice vector is zero: lengths {lengths_text} Å")
    volume = abs(determinant(lattice))
    solidity = volume / (lengths[0] * lengths[1] * lengths[2])
    if solidity < LEAST_SOLIDITY:
        message = f"the lattice vectors lie in a plane: volume / abc is {solidity:.2g}"
        _refuse(ErrorCode.LATTICE_COLLAPSED, message)
    return volume


def _site(crystal: Crystal, site: int) -> str:
    return f"{site} ({SYMBOLS[crystal.numbers[site]]})"


def _refuse(code: ErrorCode, message: str) -> None:
    raise StructureError(code, message, stage=Stage.CHECK)


@kernel()
def overlapping_pair(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], pbc: NDArray[np.bool_], limit: float
) -> tuple[int, int, float]:
    """Return the first two sites closer than ``limit``, periodic images included.

    Args:
        lattice: ``(3, 3)``, Å, not singular.
        frac: ``(n_sites, 3)``.
        pbc: ``(3,)``; no images along an axis that is not periodic.
        limit: Å.

    Returns:
        Both sites (the same one twice for an atom and its own image) and their distance in Å;
        -1, -1, 0 if there are none.
    """
    return touching_pair(lattice, frac, pbc, np.full(len(frac), limit / 2))


@kernel()
def touching_pair(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    radii: NDArray[np.float64],
) -> tuple[int, int, float]:
    """Return the first two sites closer than the sum of their radii, as :func:`overlapping_pair`.

    Args:
        lattice: ``(3, 3)``, Å, not singular.
        frac: ``(n_sites, 3)``.
        pbc: ``(3,)``; no images along an axis that is not periodic.
        radii: ``(n_sites,)``, Å.
    """
    # two points closer than a limit differ by less than limit / height along each axis
    inverse = np.linalg.inv(lattice)
    steepness = np.empty(3)
    for k in range(3):
        steepness[k] = math.sqrt(inverse[0, k] ** 2 + inverse[1, k] ** 2 + inverse[2, k] ** 2)
    low = np.zeros(3, dtype=np.int64)
    high = np.zeros(3, dtype=np.int64)
    delta = np.empty(3)
    for i in range(len(frac)):
        for j in range(i, len(frac)):
            limit = radii[i] + radii[j]
            possible = True
            for k in range(3):
                delta[k] = frac[j, k] - frac[i, k]
                if pbc[k]:
                    low[k] = math.ceil(-delta[k] - limit * steepness[k])
                    high[k] = math.floor(-delta[k] + limit * steepness[k])
                    if low[k] > high[k]:
                        possible = False
                        break
            if not possible:
                continue
            for n0 in range(low[0], high[0] + 1):
                for n1 in range(low[1], high[1] + 1):
                    for n2 in range(low[2], high[2] + 1):
                        if i == j and n0 == 0 and n1 == 0 and n2 == 0:
                            continue
                        square = 0.0
                        for k in range(3):
                            part = (
                                (delta[0] + n0) * lattice[0, k]
                                + (delta[1] + n1) * lattice[1, k]
                                + (delta[2] + n2) * lattice[2, k]
                            )
                            square += part * part
                        if square < limit * limit:
                            return i, j, math.sqrt(square)
    return -1, -1, 0.0
