"""``predict``: a few structures already in memory, the table back in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.errors import ConfigError, ErrorCode, StructureError
from goldilocks_batch.screening.pipeline import Screening
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.parsers import from_pymatgen
from goldilocks_batch.structures.sources.reference import ArraysPayload, FailedPayload, Payload, Reference

if TYPE_CHECKING:
    import pyarrow as pa
    from pymatgen.core.structure import Structure

__all__ = ["predict"]


def predict(structures: Iterable[Any], **options: Any) -> pa.Table:
    """Bounds on kdist and k-point meshes for structures in memory, in this process.

    The same checks, features and model as :func:`goldilocks_batch.run`, without files, workers and resume.
    For more than some thousands of structures write them to a manifest and ``run`` it.

    Args:
        structures: pymatgen ``Structure``, ASE ``Atoms`` or
            :class:`~goldilocks_batch.structures.crystal.Crystal` objects, mixed as you like.
        **options: those of :class:`~goldilocks_batch.config.run.RunConfig` about the model and the meshes:
            ``model``, ``confidence``, ``grid``, ``equal_axes``, ``single_site``, ``max_sites``,
            ``artifacts``, ``offline``, ``registry``, ``device``, ``precision``.

    Returns:
        A table in the result schema, one row for every structure in order; ids are the positions.  A
        structure without a prediction has a row that says why.

    Raises:
        ConfigError: an unknown option or value, or an object that is no structure.
        ModelError: the model is unknown, or its files are missing, altered or not acceptable.
    """
    config = RunConfig().updated(**options)
    references = [_reference(index, structure) for index, structure in enumerate(structures)]
    table, _ = Screening.from_config(config).build()(references, 0)
    return table


def _reference(index: int, structure: Any) -> Reference:
    if isinstance(structure, Crystal):
        payload: Payload = _crystal_payload(structure)
    elif hasattr(structure, "get_atomic_numbers") and hasattr(structure, "get_scaled_positions"):  # ASE
        payload = ArraysPayload(
            np.array(structure.cell[:], dtype=float),
            np.array(structure.get_positions(), dtype=float),
            True,
            np.array(structure.get_atomic_numbers()),
            pbc=np.array(structure.pbc, dtype=bool),
        )
    elif hasattr(structure, "lattice") and hasattr(structure, "frac_coords"):  # pymatgen
        payload = _pymatgen_payload(structure)
    else:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"structure {index} is a {type(structure).__name__}; expected a pymatgen Structure, ASE Atoms "
            "or a Crystal; files are screened with goldilocks_batch.run",
        )
    return Reference(str(index), f"{type(structure).__name__} {index}", payload)


def _crystal_payload(crystal: Crystal) -> ArraysPayload:
    return ArraysPayload(crystal.lattice, crystal.frac, False, crystal.numbers, pbc=crystal.pbc)


def _pymatgen_payload(structure: Structure) -> Payload:
    try:
        return _crystal_payload(from_pymatgen(structure))
    except StructureError as error:  # disorder, dummy species
        return FailedPayload(error)
