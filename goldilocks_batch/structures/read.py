"""From a reference to a checked crystal."""

from __future__ import annotations

import numpy as np

from goldilocks_batch.core.errors import StructureError
from goldilocks_batch.structures.arrays import from_arrays
from goldilocks_batch.structures.checks import check, completed_cell, right_handed
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.outcome import Reading, ReadOptions
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

__all__ = ["load", "read"]


def load(reference: Reference, *, max_sites: int, closest: float = 0.5) -> Crystal:
    """Read a reference's structure and check it.

    Args:
        reference: a row of the input.
        max_sites: the largest number of sites accepted.
        closest: Å; two atoms nearer than this, images included, are one spot.

    Returns:
        The crystal in the cell as supplied, right-handed.

    Raises:
        StructureError: with the reference's id, the stage (read or check) and the code of what is wrong.
    """
    return read(reference, ReadOptions(max_sites, closest)).crystal


def read(reference: Reference, options: ReadOptions) -> Reading:
    """Read a reference's structure and check it; the remarks come with it.

    Args:
        reference: a row of the input.
        options: limits and what is accepted.

    Raises:
        StructureError: with the reference's id, the stage (read or check) and the code of what is wrong.
    """
    try:
        found = _with_usual_cell(_read(reference.payload, options))
        check(found.crystal, max_sites=options.max_sites, closest=options.closest)
    except StructureError as error:
        raise StructureError(
            error.code, error.message, stage=error.stage, structure_id=reference.id
        ) from error
    return found


def _with_usual_cell(found: Reading) -> Reading:
    """The structure with a cell along every axis, and right-handed; what had to be changed is flagged."""
    crystal, flags = found.crystal, list(found.flags)
    lattice, frac, pbc = crystal.lattice, crystal.frac, crystal.pbc
    if not pbc.all() and lattice.shape == (3, 3) and np.isfinite(lattice).all() and np.isfinite(frac).all():
        cart = frac @ lattice
        completed = completed_cell(lattice, cart, pbc)
        if completed is not None:
            frac = cart @ np.linalg.inv(completed)
            crystal = Crystal(completed, frac, crystal.numbers, pbc)
            flags.append("cell_completed")
    crystal, turned = right_handed(crystal)
    if turned:
        flags.append("left_handed_cell")
    return Reading(crystal, tuple(flags))


def _read(payload: Payload, options: ReadOptions) -> Reading:
    match payload:
        case ArraysPayload():
            found = from_arrays(payload)
        case TextPayload():
            found = parse(payload.text, payload.format, options)
        case FilePayload():
            found = parse(read_text(payload.path), payload.format, options)
        case FailedPayload():
            raise payload.error
    return found
