"""All sites of a cell from the listed ones: images under the symmetry, special positions completed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.core.errors import ErrorCode, Stage
from goldilocks_batch.structures.cif.operations import Operations
from goldilocks_batch.structures.outcome import refuse

__all__ = ["Expanded", "expand", "same_sites"]

SURE_MOVE = 0.05
"""Å; a site is moved this far to its special position without further evidence."""
FURTHEST_MOVE = 0.25
"""Å; further than :data:`SURE_MOVE` it is moved only if the file's own contents then fit."""
UNREMARKED = 5e-5 * (1 + 1e-6)
"""Fractional; what rounding to four decimals explains is not flagged."""
SAME = 1e-4
"""Fractional; images of a site closer than this, once it is on its special position, are one site."""


@dataclass(frozen=True, slots=True, eq=False)
class Expanded:
    """A cell with all its sites.

    Attributes:
        frac: ``(n, 3)`` in the cell, by listed site.
        listed: ``(n,)`` place of the listed site that each is an image of.
        orbits: ``(n_listed,)`` sites of each orbit.
        completed: whether a site was moved by more than rounding.
        far: a message on a site that was moved further than :data:`SURE_MOVE`, None if there is none.
    """

    frac: NDArray[np.float64]
    listed: NDArray[np.int64]
    orbits: NDArray[np.int64]
    completed: bool
    far: str | None


def expand(
    frac: NDArray[np.float64],
    labels: list[str],
    lattice: NDArray[np.float64],
    operations: Operations,
    max_sites: int,
) -> Expanded:
    """Apply the operations to every listed site.

    Args:
        frac: ``(n_listed, 3)``.
        labels: of the listed sites.
        lattice: ``(3, 3)``, Å.
        operations: of the space group.
        max_sites: the largest number of sites.

    Raises:
        StructureError: TOO_MANY_SITES.
    """
    if operations.are_trivial:
        wrapped, listed, orbits = _as_listed(frac)
        return Expanded(wrapped, listed, orbits, completed=False, far=None)
    completed, far = False, None
    exact = np.empty_like(frac)
    count = 0
    for place, site in enumerate(frac):
        exact[place], shift, move, images = _completed(site, lattice, operations)
        count += images
        if count > max_sites:
            message = (
                f"the symmetry makes more than {max_sites} sites of {len(frac)} listed ones, the limit is"
            )
            refuse(ErrorCode.TOO_MANY_SITES, f"{message} {max_sites}", Stage.CHECK)
        completed |= bool(np.abs(shift).max() > UNREMARKED)
        if move > SURE_MOVE and far is None:
            shown, meant = (" ".join(f"{x:.5f}" for x in at) for at in (site, exact[place]))
            far = (
                f"site {labels[place][:40]} ({shown}) lies {move:.2g} Å off a special position; "
                f"write {meant} if it is meant to lie on it"
            )
    everything, listed, orbits = _images(exact, operations.rotations, operations.translations)
    return Expanded(everything, listed, orbits, completed, far)


def same_sites(first: Expanded, second: Expanded) -> bool:
    """Whether two readings put the same atoms on the same places."""
    if len(first.frac) != len(second.frac) or not np.array_equal(first.orbits, second.orbits):
        return False
    for site in range(len(first.orbits)):
        here, there = first.frac[first.listed == site], second.frac[second.listed == site]
        apart = here[:, None, :] - there[None, :, :]
        apart -= np.rint(apart)
        if not (np.abs(apart).max(axis=2) < SAME).any(axis=1).all():
            return False
    return True


def _completed(
    site: NDArray[np.float64], lattice: NDArray[np.float64], operations: Operations
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, int]:
    """Return the special position that a site is meant to be on, the shift to it and the number of images.

    The shift is given in fractional coordinates and as a length in Å.

    Operations that carry the site close to itself are its site symmetry if the mean of the images, which
    they then keep, is kept by them and no others.
    """
    nothing = np.zeros(3)
    shifts = operations.rotations @ site + operations.translations - site
    shifts -= np.rint(shifts)
    distances = np.sqrt(np.sum((shifts @ lattice) ** 2, axis=1))
    for reach in (2 * FURTHEST_MOVE, 2 * SURE_MOVE, 0.01):
        near = distances < reach
        if np.count_nonzero(near) < 2:
            continue
        shift = shifts[near].mean(axis=0)
        moved = site + shift
        kept = operations.rotations @ moved + operations.translations - moved
        kept -= np.rint(kept)
        fixed = np.sqrt(np.sum((kept @ lattice) ** 2, axis=1)) < 1e-6
        move = float(np.sqrt(np.sum((shift @ lattice) ** 2)))
        if np.array_equal(fixed, near) and move <= FURTHEST_MOVE:
            return moved, shift, move, len(operations) // int(np.count_nonzero(near))
    return site, nothing, 0.0, len(operations)


@kernel()
def _as_listed(
    frac: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The sites wrapped into the cell, each an orbit of its own."""
    return frac - np.floor(frac), np.arange(len(frac)), np.ones(len(frac), dtype=np.int64)


@kernel()
def _images(
    frac: NDArray[np.float64],
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return all different images, wrapped into the cell, the listed site of each, and sites by orbit."""
    room = len(frac) * len(rotations)
    found = np.empty((room, 3))
    listed = np.empty(room, dtype=np.int64)
    orbits = np.zeros(len(frac), dtype=np.int64)
    count = 0
    image = np.empty(3)
    for site in range(len(frac)):
        first = count
        for n in range(len(rotations)):
            for k in range(3):
                value = translations[n, k]
                for m in range(3):
                    value += rotations[n, k, m] * frac[site, m]
                image[k] = value - np.floor(value)
            known = False
            for other in range(first, count):
                close = True
                for k in range(3):
                    difference = image[k] - found[other, k]
                    if abs(difference - np.rint(difference)) > SAME:
                        close = False
                        break
                if close:
                    known = True
                    break
            if known:
                continue
            found[count] = image
            listed[count] = site
            count += 1
            orbits[site] += 1
    return found[:count], listed[:count], orbits
