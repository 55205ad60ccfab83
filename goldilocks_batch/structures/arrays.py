"""From arrays to a crystal: structures that come as numbers, as in Parquet and in databases' JSON."""

from __future__ import annotations

import numpy as np

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.checks import from_cartesian
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.outcome import Reading
from goldilocks_batch.structures.sources.reference import ArraysPayload
from goldilocks_batch.structures.species import atomic_numbers

__all__ = ["from_arrays"]


def from_arrays(payload: ArraysPayload) -> Reading:
    """Return the crystal that arrays describe, unchecked.

    Raises:
        StructureError: SHAPE_MISMATCH, the arrays do not fit each other; or a species is no element, or a
            mixture (:func:`~goldilocks_batch.structures.species.atomic_numbers`).
    """
    flags = list(payload.flags)
    numbers = atomic_numbers(payload.species, payload.definitions, flags)
    if payload.lattice.shape != (3, 3) or payload.positions.shape != (len(numbers), 3):
        shapes = f"lattice {payload.lattice.shape}, positions {payload.positions.shape}"
        message = f"{shapes} and {len(numbers)} species do not fit each other"
        raise StructureError(ErrorCode.SHAPE_MISMATCH, message, stage=Stage.READ)
    # copies: Arrow's buffers are read-only, a type of array that every numba kernel would compile for again
    lattice = np.array(payload.lattice, dtype=np.float64)
    positions = np.array(payload.positions, dtype=np.float64)
    pbc = np.ones(3, dtype=bool) if payload.pbc is None else np.array(payload.pbc, dtype=bool)
    if payload.cartesian:
        found = from_cartesian(lattice, positions, numbers, pbc)
        return Reading(found.crystal, (*flags, *found.flags))
    return Reading(Crystal(lattice, positions, numbers, pbc), tuple(flags))
