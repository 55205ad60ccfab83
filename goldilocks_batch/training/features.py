"""Features of labelled structures, computed by the screening's own code and kept between trainings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.batch import Batch
from goldilocks_batch.errors import Stage
from goldilocks_batch.features.featurizer import Featurizer, Metallicity
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.features.table import column_names, n_columns
from goldilocks_batch.provenance import versions
from goldilocks_batch.sink import atomic_path
from goldilocks_batch.sources import ArraysPayload, FailedPayload, FilePayload, Reference, TextPayload
from goldilocks_batch.training.model_record import FEATURE_SCHEMAS

__all__ = ["Compute", "FeatureSet", "cached_features", "describe"]

_CHUNK = 256


@dataclass(frozen=True)
class FeatureSet:
    """Which features a model takes.

    Attributes:
        schema: one of :data:`~goldilocks_batch.training.model_record.FEATURE_SCHEMAS`.
        zeros: what stands for SOAP entries that vanish by symmetry.
        network: the metallicity network, for schemas with that block.
        network_digests: sha256 of its files, by the role they have in the registry.
    """

    schema: str
    zeros: Zeros = "exact"
    network: Metallicity | None = None
    network_digests: tuple[tuple[str, str], ...] = ()

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks, in order."""
        return FEATURE_SCHEMAS[self.schema]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return column_names(self.blocks)

    @property
    def digest(self) -> str:
        """Sha256 of all that decides the numbers: blocks, parameters, network, versions."""
        found = versions()
        about = {
            "blocks": self.blocks,
            "zeros": self.zeros,
            "network": self.network_digests,
            "versions": {name: found[name] for name in ("goldilocks-batch", "matminer", "spglib")},
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    @cached_property
    def featurizer(self) -> Featurizer:
        """Computes them; built when first needed."""
        return Featurizer(self.network, self.blocks, self.zeros)


#: References in, a table of :func:`describe`'s columns out; rows in order.
Compute = Callable[[Sequence[Reference]], pa.Table]


def _schema(columns: int) -> pa.Schema:
    return pa.schema(
        [
            ("error_code", pa.string()),
            ("error_message", pa.string()),
            ("numbers", pa.list_(pa.uint8())),
            ("lattice", pa.list_(pa.float64(), 9)),
            ("space_group", pa.int16()),
            ("features", pa.list_(pa.float64(), columns)),
        ]
    )


def describe(references: Sequence[Reference], features: FeatureSet, *, max_sites: int = 1000) -> pa.Table:
    """Read structures and compute what training needs to know of each: a pure function, made for workers.

    Args:
        references: the structures.
        features: which features.
        max_sites: the largest cell accepted, in sites as supplied.

    Returns:
        A row for each reference, in order: ``error_code`` and ``error_message`` if it failed; of the
        primitive cell ``numbers`` (one a site), ``lattice`` (flat, Å), ``space_group``; ``features``.
    """
    batch = Batch(references)
    batch.load(max_sites)
    alive = batch.alive
    crystals, symmetries = batch.crystals(alive), batch.symmetries(alive)
    found = features.featurizer(crystals, symmetries)
    for row, failure in found.failures.items():
        batch.fail(int(alive[row]), failure, Stage.FEATURES)
    columns: dict[str, list[object]] = {name: [None] * len(batch) for name in _schema(1).names}
    for index, failed in enumerate(batch.failures):
        if failed is not None:
            columns["error_code"][index] = str(failed.code)
            columns["error_message"][index] = failed.message
    for row, index in enumerate(alive):
        if row not in found.failures:
            columns["numbers"][index] = crystals[row].numbers
            columns["lattice"][index] = crystals[row].lattice.ravel()
            columns["space_group"][index] = symmetries[row].number
            columns["features"][index] = found.values[row]
    return pa.table(columns, schema=_schema(n_columns(features.blocks)))


def cached_features(
    references: Sequence[Reference],
    features: FeatureSet,
    folder: Path | None = None,
    *,
    compute: Compute | None = None,
) -> pa.Table:
    """What :func:`describe` gives, computed only for structures that the cache does not know.

    The cache is one Parquet file a feature set, keyed by the content of each structure; a structure that
    changes is another structure, and a feature set that changes another file.

    Args:
        references: the structures.
        features: which features.
        folder: of the cache, made if it is missing; None for no cache.
        compute: does the work, chunk by chunk or on a cluster; by default in this process.

    Raises:
        RunError: WRITE_FAILED, the cache cannot be written.
    """
    work = compute or (lambda chunk: describe(chunk, features))
    keys = [_content_digest(reference) for reference in references]
    path = folder / f"features-{features.digest[:16]}.parquet" if folder else None
    known = _read_cache(path, n_columns(features.blocks))
    have = {key: row for row, key in enumerate(known["key"].to_pylist())}
    missing = list(dict.fromkeys(row for row, key in enumerate(keys) if key not in have))
    parts = [known]
    for start in range(0, len(missing), _CHUNK):
        rows = missing[start : start + _CHUNK]
        table = work([references[row] for row in rows])
        parts.append(table.add_column(0, "key", pa.array([keys[row] for row in rows], pa.string())))
    table = pa.concat_tables(parts)
    if path is not None and missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
    place = {key: row for row, key in enumerate(table["key"].to_pylist())}
    return table.take(pa.array([place[key] for key in keys], pa.int64())).drop_columns("key")


def _read_cache(path: Path | None, columns: int) -> pa.Table:
    schema = _schema(columns).insert(0, pa.field("key", pa.string()))
    if path is not None and path.is_file():
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException):
            return schema.empty_table()  # damaged: it will be written anew
        if table.schema.equals(schema):
            return table
    return schema.empty_table()


def _content_digest(reference: Reference) -> str:
    """Sha256 of what a reference's structure is made from."""
    payload = reference.payload
    total = hashlib.sha256(type(payload).__name__.encode())
    match payload:
        case TextPayload():
            total.update(f"{payload.format}\n{payload.text}".encode())
        case FilePayload():
            total.update(f"{payload.format}\n".encode() + _bytes(payload.path))
        case ArraysPayload():
            species = payload.species
            names = species.tolist() if isinstance(species, np.ndarray) else list(species)
            about = [payload.lattice.shape, payload.positions.shape, payload.cartesian, names]
            total.update(repr([*about, payload.definitions]).encode())
            for array in (payload.lattice, payload.positions, payload.pbc):
                total.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        case FailedPayload():
            total.update(f"{payload.error.code} {payload.error.message}".encode())
    return total.hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
