"""Features of labelled structures, computed by the screening's own code and kept between trainings."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.artifacts.record import FEATURE_SCHEMAS
from goldilocks_batch.artifacts.resolved import ResolvedFile
from goldilocks_batch.config.choices import Cell
from goldilocks_batch.core.errors import ErrorCode, GoldilocksError, RunError, Stage
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.core.temporary import TemporaryFolder
from goldilocks_batch.core.versions import source_of, versions
from goldilocks_batch.features.featurizer import Featurizer
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.features.table import column_names, n_columns
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.screening.featurization import build_featurizer
from goldilocks_batch.structures.sources.reference import (
    ArraysPayload,
    FailedPayload,
    FilePayload,
    Reference,
    TextPayload,
)

__all__ = ["Compute", "Describer", "FeatureSet", "cached_features", "content_digest"]

_CHUNK = 256


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Which features a model takes, and of which structures: small, hashable, picklable.

    Attributes:
        schema: one of :data:`~goldilocks_batch.artifacts.record.FEATURE_SCHEMAS`.
        zeros: what stands for SOAP entries that vanish by symmetry.
        files: the metallicity network's, for schemas with that block.
        max_sites: the largest cell accepted, in sites as supplied.
        cell: the one that features are of.
    """

    schema: str
    zeros: Zeros = "exact"
    files: tuple[ResolvedFile, ...] = ()
    max_sites: int = 1000
    cell: Cell = "exact"

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
        """Sha256 of all that decides the numbers: blocks, parameters, network, versions, source."""
        found = versions()
        about = {
            "blocks": self.blocks,
            "zeros": self.zeros,
            "network": [(file.role, file.sha256) for file in self.files],
            "max_sites": self.max_sites,
            "cell": self.cell,
            "versions": {name: found[name] for name in ("goldilocks-batch", "dscribe", "matminer", "spglib")},
            "source": source_of("structures", "networks", "features"),
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


class Compute(Protocol):
    """Describes structures and leaves the tables of :class:`Describer` as Parquet files in a folder.

    What is in the folder when it is interrupted has not to be computed again.
    """

    def __call__(self, references: Sequence[Reference], features: FeatureSet, folder: Path) -> None:
        """Write one row for each reference, in any order, to any number of ``part-*.parquet`` files."""


class Describer:
    """All that training needs to know of structures; made once a process, stateless between calls."""

    def __init__(self, features: FeatureSet) -> None:
        self._features = features
        blocks, zeros = features.blocks, features.zeros
        self._featurizer: Featurizer | None = build_featurizer(features.files, blocks, zeros)

    def __call__(self, references: Sequence[Reference]) -> pa.Table:
        """Read structures and compute their features.

        Returns:
            A row for each reference, in order: ``key``, the digest of its content; ``stage``,
            ``error_code`` and ``error_message`` if it failed; of the cell ``numbers`` (one a
            site), ``lattice`` (flat, Å), ``frac`` (flat), ``pbc``, ``space_group``; ``supplied``, the lattice
            of the cell as supplied; ``features``.
        """
        batch = Batch(references)
        batch.load(self._features.max_sites, self._features.cell)
        assert self._featurizer is not None  # noqa: S101 - every schema has blocks
        alive = batch.alive
        crystals, symmetries = batch.crystals(alive), batch.symmetries(alive)
        supplied = batch.supplied_crystals(alive)
        found = self._featurizer(crystals, symmetries)
        for row, failure in found.failures.items():
            batch.fail(int(alive[row]), failure, Stage.FEATURES)
        described: list[dict[str, object]] = [
            {"key": content_digest(reference), **_failure(failed)}
            for reference, failed in zip(references, batch.failures, strict=True)
        ]
        for row, index in enumerate(alive):
            if row not in found.failures:
                described[index] |= {
                    "numbers": crystals[row].numbers,
                    "lattice": crystals[row].lattice.ravel(),
                    "supplied": supplied[row].lattice.ravel(),
                    "frac": crystals[row].frac.ravel(),
                    "pbc": crystals[row].pbc,
                    "space_group": symmetries[row].number,
                    "features": found.values[row],
                }
        return pa.Table.from_pylist(described, schema=_schema(self._features))

    @staticmethod
    def failed(
        references: Sequence[Reference], features: FeatureSet, code: ErrorCode, message: str
    ) -> pa.Table:
        """The same rows for structures that no worker survived."""
        failure = _failure(RunError(code, message, stage=Stage.WORKER))
        rows = [{"key": content_digest(reference), **failure} for reference in references]
        return pa.Table.from_pylist(rows, schema=_schema(features))


def cached_features(
    references: Sequence[Reference],
    features: FeatureSet,
    folder: Path | None = None,
    *,
    compute: Compute | None = None,
) -> pa.Table:
    """What a :class:`Describer` gives, computed only for structures that the cache does not know.

    The cache has a folder for each feature set, named by its digest, and rows in it are found by the content
    of the structure: a structure that changes is another structure, a feature set that changes another
    folder.  Files are only ever added, so trainings may share a cache, at the same time too.  Structures
    that took their worker with them are tried again.

    Args:
        references: the structures.
        features: which features.
        folder: of the cache, made if it is missing; None for no cache.
        compute: does the work; by default this process.

    Returns:
        A row for each reference, in order, without ``key``.

    Raises:
        RunError: WRITE_FAILED, the cache cannot be written.
        KeyboardInterrupt: what was computed until then is in the cache.
    """
    keys = [content_digest(reference) for reference in references]
    with _cache_of(folder, features) as place:
        known = _Known(place, features)
        missing: dict[str, Reference] = {}
        for key, reference in zip(keys, references, strict=True):
            if key not in known.settled:
                missing.setdefault(key, reference)
        if missing:
            attempt = place / uuid.uuid4().hex
            try:
                attempt.mkdir(parents=True)
            except OSError as error:
                message = f"cannot write the feature cache {folder}: {error}"
                raise RunError(ErrorCode.WRITE_FAILED, message) from error
            try:
                (compute or _describe_here)(list(missing.values()), features, attempt)
            finally:
                with contextlib.suppress(OSError):  # not empty: there is something to keep
                    attempt.rmdir()
            known = _Known(place, features)
        return known.take(keys)


@contextlib.contextmanager
def _cache_of(folder: Path | None, features: FeatureSet) -> Iterator[Path]:
    """The cache's folder of a feature set; one that vanishes if no cache is wanted."""
    if folder is not None:
        yield folder.absolute() / f"features-{features.digest[:16]}"
    else:
        with TemporaryFolder("features") as temporary:
            yield temporary


def _describe_here(references: Sequence[Reference], features: FeatureSet, folder: Path) -> None:
    """In this process, a chunk a file."""
    describe = Describer(features)
    for start in range(0, len(references), _CHUNK):
        table = describe(references[start : start + _CHUNK])
        with atomic_path(folder / f"part-{start:010d}.parquet") as temporary:
            pq.write_table(table, temporary, compression="zstd")


class _Known:
    """All rows of a cache folder that can be read.

    Attributes:
        settled: keys of the structures that need not be tried again.
    """

    def __init__(self, folder: Path, features: FeatureSet) -> None:
        schema = _schema(features)
        tables = [_read_part(path, schema) for path in sorted(folder.glob("*/part-*.parquet"))]
        self._table = pa.concat_tables([schema.empty_table(), *tables])
        rows = list(zip(self._table["key"].to_pylist(), self._table["stage"].to_pylist(), strict=True))
        lost = {key: row for row, (key, stage) in enumerate(rows) if stage == Stage.WORKER}
        sound = {key: row for row, (key, stage) in enumerate(rows) if stage != Stage.WORKER}
        self._place = lost | sound
        self.settled = frozenset(sound)

    def take(self, keys: Sequence[str]) -> pa.Table:
        """The rows of some structures, in order."""
        rows = pa.array([self._place[key] for key in keys], pa.int64())
        return self._table.take(rows).drop_columns("key")


def _read_part(path: Path, schema: pa.Schema) -> pa.Table:
    """A file of the cache; nothing if it is damaged, so that its structures are computed anew."""
    try:
        table = pq.read_table(path).replace_schema_metadata(None)
    except (OSError, pa.ArrowException):
        return schema.empty_table()
    return table if table.schema.equals(schema) else schema.empty_table()


def _schema(features: FeatureSet) -> pa.Schema:
    return pa.schema(
        [
            ("key", pa.string()),
            ("stage", pa.string()),
            ("error_code", pa.string()),
            ("error_message", pa.string()),
            ("numbers", pa.list_(pa.uint8())),
            ("lattice", pa.list_(pa.float64(), 9)),
            ("supplied", pa.list_(pa.float64(), 9)),
            ("frac", pa.list_(pa.float64())),
            ("pbc", pa.list_(pa.bool_(), 3)),
            ("space_group", pa.int16()),
            ("features", pa.list_(pa.float64(), n_columns(features.blocks))),
        ]
    )


def _failure(error: GoldilocksError | None) -> dict[str, object]:
    if error is None:
        return {}
    return {"stage": str(error.stage), "error_code": str(error.code), "error_message": error.message}


def content_digest(reference: Reference) -> str:
    """Sha256 of what a reference's structure is made from; not of its id or place."""
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
