"""Remarks on crystals that can be computed and may yet not be what was meant."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.structures.checks import touching_pair
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal

__all__ = ["remarks"]

CONTACT = 0.5
"""Atoms closer than this share of the sum of their covalent radii are too close: half a bond."""
DENSEST, EMPTIEST = 0.45, 2.5
"""Volume of a crystal over what its elements have elsewhere; outside, one crystal in 600 of MC3D."""
GAP = 8.0
"""Å without an atom along a periodic axis: a slab, a chain or a molecule in a box."""
_OTHER_VOLUME = 28.0

# volume per atom of each element in crystals, Å³, H to Lr: fitted (non-negative least squares, relative) for
# this project to the volumes of the 34,970 crystals of MC3D (Huber et al., doi:10.24435/materialscloud:rw-t0,
# CC BY 4.0); elements that are not in it have 28
_VOLUMES = """
    7.2 18.7 10.6 7.9 6.8 8.4 9.3 9.1 12.0 23.2 21.0 17.8 16.2 15.8 18.2 23.6 32.1 49.4 35.8 24.7 18.5 13.8
    12.3 10.7 11.0 9.9 9.2 9.6 12.0 16.2 17.8 19.2 22.8 28.3 39.2 53.1 43.0 29.1 26.0 19.9 16.1 15.5 13.5
    12.2 12.9 14.8 20.5 24.7 26.1 27.6 29.5 35.4 48.5 66.3 53.8 36.8 31.1 26.5 26.4 26.1 26.3 26.9 27.3 26.6
    25.2 25.3 24.3 23.7 25.2 23.1 23.6 19.5 16.3 15.7 13.9 12.6 14.0 15.7 20.0 28.5 33.5 31.8 32.4 37.9 28.0
    89.6 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0 28.0
"""


def remarks(crystal: Crystal) -> list[str]:
    """Return the flags of a crystal: ``close_contact``, ``odd_density``, ``vacuum`` with its axes.

    Args:
        crystal: checked.
    """
    radii, volumes = _tables()
    numbers = crystal.numbers
    close, odd, gaps = _looked_at(
        *(crystal.lattice, crystal.frac, crystal.pbc, numbers, radii, volumes),
    )
    flags = [name for name, holds in (("close_contact", close), ("odd_density", odd)) if holds]
    empty = [f"vacuum_{axis}" for axis, gap in zip("abc", gaps.tolist(), strict=True) if gap >= GAP]
    return [*flags, "vacuum", *empty] if empty else flags


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covalent radii (Cordero et al., Dalton Trans. 2008, 2832; Å) and volumes (Å³) by atomic number."""
    from ase.data import covalent_radii

    known = [float(word) for word in _VOLUMES.split()]
    volumes = np.full(len(SYMBOLS), _OTHER_VOLUME)
    volumes[1 : len(known) + 1] = known
    return np.array(covalent_radii[: len(SYMBOLS)], dtype=np.float64), volumes


@kernel()
def _looked_at(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    numbers: NDArray[np.int64],
    radii: NDArray[np.float64],
    volumes: NDArray[np.float64],
) -> tuple[bool, bool, NDArray[np.float64]]:
    """Whether two sites are too close, whether the density is odd, and ``(3,)`` widest gaps in Å.

    A gap is measured between the planes of atoms, perpendicular to them; 0 along an axis without images.
    """
    own = np.empty(len(numbers))
    usual = 0.0
    for i in range(len(numbers)):
        own[i] = radii[numbers[i]] * CONTACT
        usual += volumes[numbers[i]]
    first, _, _ = touching_pair(lattice, frac, pbc, own)
    odd = bool(pbc.all()) and not DENSEST < abs(np.linalg.det(lattice)) / usual < EMPTIEST
    inverse = np.linalg.inv(lattice)
    gaps = np.zeros(3)
    for k in range(3):
        if not pbc[k]:
            continue
        height = 1.0 / np.sqrt(inverse[0, k] ** 2 + inverse[1, k] ** 2 + inverse[2, k] ** 2)
        if height < GAP:  # no gap is wider than the cell
            continue
        planes = np.sort(frac[:, k] - np.floor(frac[:, k]))
        widest = planes[0] + 1.0 - planes[-1]
        for i in range(1, len(planes)):
            widest = max(widest, planes[i] - planes[i - 1])
        gaps[k] = widest * height
    return first >= 0, odd, gaps
