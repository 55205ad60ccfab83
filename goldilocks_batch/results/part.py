"""One result file: written beside and renamed, and sound only if its footer agrees with itself."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard

__all__ = ["Part", "described", "read_footer", "read_part", "write_part"]

_FINGERPRINT = b"goldilocks.fingerprint"
_ROWS = b"goldilocks.rows"
_REPORT = b"goldilocks.report"
_DIGEST = b"goldilocks.digest"


@dataclass(frozen=True, slots=True)
class Part:
    """A result file whose footer is sound.

    Attributes:
        path: the file.
        shard: the rows it holds.
        fingerprint: of the run it belongs to.
        columns: names and types of its columns.
        summary: its report, as JSON.
    """

    path: Path
    shard: Shard
    fingerprint: str
    columns: str
    summary: str

    @property
    def report(self) -> Report:
        """The report; decoded each time, for there may be tens of thousands of parts in memory."""
        return Report.from_json(self.summary)


def write_part(
    folder: Path,
    shard: Shard,
    table: pa.Table,
    report: Report,
    fingerprint: str,
    *,
    row_group_size: int | None = None,
) -> Part:
    """Write the rows of one shard as a part of the run with this fingerprint.

    Args:
        folder: an existing folder.
        shard: the rows' place; ``len(shard)`` must equal the table's rows.
        table: the rows, in any order: that of the inputs is in the column ``row``.
        report: what is to be told of them without reading them.
        fingerprint: the run's identity, kept like the report in the file's footer.
        row_group_size: rows of a row group, for a file of many rows.

    Raises:
        RunError: ROWS_LOST if the count does not agree; WRITE_FAILED if the file system refuses.
    """
    if table.num_rows != len(shard):
        raise RunError(
            ErrorCode.ROWS_LOST,
            f"{table.num_rows} result rows for the {len(shard)} input rows {shard.start}-{shard.stop}",
        )
    final = folder / f"part-{shard.start:010d}-{shard.stop:010d}.parquet"
    part = Part(final, shard, fingerprint, described(table.schema), report.to_json())
    footer = {
        _FINGERPRINT: fingerprint.encode(),
        _ROWS: f"{shard.start}-{shard.stop}".encode(),
        _REPORT: part.summary.encode(),
        _DIGEST: _digest(part),
    }
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **footer})
    with atomic_path(final) as temporary:
        pq.write_table(
            table, temporary, compression="zstd", row_group_size=row_group_size, write_page_checksum=True
        )
    return part


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The rows of one part, without the footer, in the order they lie there.

    Raises:
        RunError: ROWS_LOST, what lies there is not what was written.
    """
    try:
        # `read_table` would treat each as a dataset, at half as much time again
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(columns).replace_schema_metadata(None)
            if table.num_rows != file.metadata.num_rows:
                raise pa.ArrowInvalid(
                    f"{table.num_rows} rows where its footer tells of {file.metadata.num_rows}"
                )
            return table
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            ErrorCode.ROWS_LOST,
            f"{path} is damaged ({error}): remove it and run the same command again to compute its rows anew",
        ) from error


def read_footer(path: Path, describe: Callable[[pq.ParquetSchema], str]) -> Part | None:
    """The part that a file's footer tells of, None if it does not agree with itself.

    Args:
        path: the file.
        describe: gives what :func:`described` gives for the columns of a Parquet file.

    Raises:
        OSError, pyarrow.ArrowException, KeyError, ValueError: it is no such footer.
    """
    # checks the magic bytes at both ends and the footer's length against the file's
    metadata = pq.read_metadata(path)
    footer = metadata.metadata or {}
    start, stop = footer[_ROWS].decode().split("-")
    part = Part(
        path,
        Shard(int(start), int(stop)),
        sys.intern(footer[_FINGERPRINT].decode()),
        describe(metadata.schema),
        footer[_REPORT].decode(),
    )
    if footer.get(_DIGEST, _digest(part)) != _digest(part):  # older versions wrote none
        return None
    return part if metadata.num_rows == len(part.shard) == part.report.rows else None


def _digest(part: Part) -> bytes:
    """Sha256 over what a footer tells: Parquet has checksums for pages alone."""
    told = (part.fingerprint, f"{part.shard.start}-{part.shard.stop}", part.columns, part.summary)
    return hashlib.sha256("\n".join(told).encode()).hexdigest().encode()


def described(schema: pa.Schema) -> str:
    """Names and types of columns, a line each; Parquet renames the items of lists."""
    return "\n".join(f"{field.name}: {field.type}".replace("<element: ", "<item: ") for field in schema)
