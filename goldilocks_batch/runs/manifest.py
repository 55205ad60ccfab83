"""Any inputs as one compact manifest: structures as numbers, which are the fastest to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.core.temporary import sweep_beside
from goldilocks_batch.results.schema import failure_schema
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.read import load
from goldilocks_batch.structures.sources.parquet import MANIFEST_VERSION, VERSION_KEY
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import SourceSet

__all__ = ["MANIFEST_SCHEMA", "ManifestSummary", "write_manifest"]

GROUP_ROWS = 1000

MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False, metadata={"text": "unique id"}),
        pa.field("source", pa.string(), nullable=False, metadata={"text": "where it was read from"}),
        pa.field("cell", pa.list_(pa.float64(), 9), metadata={"unit": "Å", "text": "rows a, b, c, flat"}),
        pa.field("frac", pa.list_(pa.float64()), metadata={"text": "fractional coordinates, flat"}),
        pa.field("numbers", pa.list_(pa.uint8()), metadata={"text": "atomic numbers"}),
        pa.field("pbc", pa.list_(pa.bool_(), 3), metadata={"text": "periodic along a, b, c"}),
    ],
    metadata={VERSION_KEY: MANIFEST_VERSION},
)
"""Columns of the package's own dialect, and its version."""


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """What was written.

    Attributes:
        path: the manifest.
        rows: its rows.
        failed: structures left out.
        failures_path: the table that lists them, None if there are none.
    """

    path: Path
    rows: int
    failed: int
    failures_path: Path | None


@dataclass(slots=True)
class _Group:
    """Rows of one row group, sound and broken."""

    references: list[Reference] = field(default_factory=list)
    crystals: list[Crystal] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)


def write_manifest(sources: SourceSet, output: Path, *, max_sites: int) -> ManifestSummary:
    """Write every sound structure of the inputs, cells and coordinates as supplied, to one Parquet file.

    Structures that cannot be read are left out and listed in ``<output>.failures.parquet``.  One row group
    at a time is in memory.  Reading the manifest gives the same crystals to the last bit.

    Args:
        sources: the opened inputs.
        output: the file to write; an existing one is replaced when the new one is complete.
        max_sites: the largest number of sites accepted.

    Raises:
        RunError: the file system refuses.
    """
    failures_path = output.with_name(output.name.removesuffix(".parquet") + ".failures.parquet")
    for path in (output, failures_path):
        sweep_beside(path)
    rows = failed = 0
    with (
        atomic_path(failures_path) as failures_temporary,
        atomic_path(output) as temporary,
        pq.ParquetWriter(failures_temporary, failure_schema(), compression="zstd") as failures,
        pq.ParquetWriter(
            temporary, MANIFEST_SCHEMA, compression="zstd", use_dictionary=False, write_page_checksum=True
        ) as manifest,
    ):
        for group in _groups(sources, max_sites):
            if group.crystals:
                manifest.write_table(_table(group.references, group.crystals), row_group_size=GROUP_ROWS)
            if group.failures:
                failures.write_table(pa.Table.from_pylist(group.failures, schema=failure_schema()))
            rows += len(group.crystals)
            failed += len(group.failures)
    if not failed:
        failures_path.unlink()
    return ManifestSummary(output, rows, failed, failures_path if failed else None)


def _groups(sources: SourceSet, max_sites: int) -> Iterator[_Group]:
    """All rows, ``GROUP_ROWS`` sound ones at a time."""
    group = _Group()
    for start in range(0, sources.rows, GROUP_ROWS):
        for piece in sources.pieces(start, min(start + GROUP_ROWS, sources.rows)):
            for reference in piece.read():
                try:
                    crystal = load(reference, max_sites=max_sites)
                except StructureError as error:
                    group.failures.append(_failure(reference, error))
                    continue
                except Exception as error:  # whatever it is, it costs one row
                    message = f"unexpected {type(error).__name__}: {error}"
                    unforeseen = StructureError(ErrorCode.INTERNAL, message, stage=Stage.READ)
                    group.failures.append(_failure(reference, unforeseen))
                    continue
                group.references.append(reference)
                group.crystals.append(crystal)
                if len(group.crystals) == GROUP_ROWS:
                    yield group
                    group = _Group()
    yield group


def _failure(reference: Reference, error: StructureError) -> dict[str, str]:
    return {
        "id": reference.id,
        "source": reference.source,
        "stage": str(error.stage),
        "error_code": str(error.code),
        "error_message": error.message,
    }


def _table(references: Sequence[Reference], crystals: Sequence[Crystal]) -> pa.Table:
    sites = np.array([len(crystal) for crystal in crystals])
    cells = np.concatenate([crystal.lattice.ravel() for crystal in crystals])
    pbc = np.concatenate([crystal.pbc for crystal in crystals])
    frac = np.concatenate([crystal.frac.ravel() for crystal in crystals])
    numbers = np.concatenate([crystal.numbers for crystal in crystals]).astype(np.uint8)
    columns = [
        pa.array([reference.id for reference in references], pa.string()),
        pa.array([reference.source for reference in references], pa.string()),
        pa.FixedSizeListArray.from_arrays(pa.array(cells), 9),
        pa.ListArray.from_arrays(_offsets(3 * sites), pa.array(frac)),
        pa.ListArray.from_arrays(_offsets(sites), pa.array(numbers)),
        pa.FixedSizeListArray.from_arrays(pa.array(pbc), 3),
    ]
    return pa.Table.from_arrays(columns, schema=MANIFEST_SCHEMA)


def _offsets(lengths: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int32())
