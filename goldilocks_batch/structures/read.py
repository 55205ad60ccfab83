"""From a reference to a checked crystal."""

from __future__ import annotations

import numpy as np

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.checks import check, from_cartesian
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.parsers import parse
from goldilocks_batch.structures.sources.files import read_text
from goldilocks_batch.structures.sources.reference import (
    ArraysPayload,
    FailedPayload,
    FilePayload,
    Payload,
    Reference,
    TextPayload,
)
from goldilocks_batch.structures.species import atomic_numbers

__all__ = ["load"]


def load(reference: Reference, *, max_sites: int, overlap: float = 0.1) -> Crystal:
    """Read a reference's structure and check it.

    Args:
        reference: a row of the input.
        max_sites: the largest number of sites accepted.
        overlap: Å; two atoms closer than this, images included, are one spot.

    Returns:
        The crystal in the cell as supplied.

    Raises:
        StructureError: with the reference's id, the stage (read or check) and the code of what is wrong.
    """
    try:
        crystal = _read(reference.payload)
        check(crystal, max_sites=max_sites, overlap=overlap)
    except StructureError as error:
        raise StructureError(
            error.code, error.message, stage=error.stage, structure_id=reference.id
        ) from error
    return crystal


def _read(payload: Payload) -> Crystal:
    match payload:
        case ArraysPayload():
            return _from_arrays(payload)
        case TextPayload():
            return parse(payload.text, payload.format)
        case FilePayload():
            return parse(read_text(payload.path), payload.format)
        case FailedPayload():
            raise payload.error


def _from_arrays(payload: ArraysPayload) -> Crystal:
    numbers = atomic_numbers(payload.species, payload.definitions)
    if payload.lattice.shape != (3, 3) or payload.positions.shape != (len(numbers), 3):
        shapes = f"lattice {payload.lattice.shape}, positions {payload.positions.shape}"
        message = f"{shapes} and {len(numbers)} species do not fit each other"
        raise StructureError(ErrorCode.SHAPE_MISMATCH, message, stage=Stage.READ)
    # copies: Arrow's buffers are read-only, a type of array that every numba kernel would compile for again
    lattice = np.array(payload.lattice, dtype=np.float64)
    positions = np.array(payload.positions, dtype=np.float64)
    pbc = np.ones(3, dtype=bool) if payload.pbc is None else np.array(payload.pbc, dtype=bool)
    if payload.cartesian:
        return from_cartesian(lattice, positions, numbers, pbc)
    return Crystal(lattice, positions, numbers, pbc)
