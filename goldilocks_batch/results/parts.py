"""Result parts: written beside and renamed, and counted only if their footer agrees with the plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard

__all__ = ["Part", "atomic_path", "read_part", "read_results", "scan_parts", "sweep", "write_part"]

_FINGERPRINT = b"goldilocks.fingerprint"
_ROWS = b"goldilocks.rows"
_REPORT = b"goldilocks.report"
#: Footers remembered, of a kilobyte or two each.
_FOOTERS = 2**16


@dataclass(frozen=True, slots=True)
class Part:
    """A finished result file, the rows it holds, and the report kept in its footer, as JSON."""

    path: Path
    shard: Shard
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
    summary = report.to_json()
    footer = {
        _FINGERPRINT: fingerprint.encode(),
        _ROWS: f"{shard.start}-{shard.stop}".encode(),
        _REPORT: summary.encode(),
    }
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **footer})
    final = folder / f"part-{shard.start:010d}-{shard.stop:010d}.parquet"
    with atomic_path(final) as temporary:
        pq.write_table(
            table, temporary, compression="zstd", row_group_size=row_group_size, write_page_checksum=True
        )
    return Part(final, shard, summary)


def scan_parts(folder: Path, fingerprint: str) -> tuple[list[Part], list[Path]]:
    """The parts of a run that can be trusted, without overlaps, and the files that cannot.

    A file is trusted if its footer can be read, names this run and a range of rows, and holds as many
    rows as the range.  Where ranges overlap (a shard done whole by a worker taken for dead, and in pieces
    by others) the longer one is kept: the rows are the same.  Every footer is read once a process, as long
    as the file does not change.
    """
    good: list[Part] = []
    bad: list[Path] = []
    for path in sorted(folder.glob("part-*.parquet")):
        part = _trusted(path, fingerprint)
        if part is None:
            bad.append(path)
        else:
            good.append(part)
    kept: list[Part] = []
    for part in sorted(good, key=lambda p: (p.shard.start, -p.shard.stop)):
        if kept and part.shard.start < kept[-1].shard.stop:
            bad.append(part.path)
        else:
            kept.append(part)
    return kept, bad


def _trusted(path: Path, fingerprint: str) -> Part | None:
    try:
        about = path.stat()
        return _read_footer(path, fingerprint, about.st_size, about.st_mtime_ns)
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None


@lru_cache(maxsize=_FOOTERS)
def _read_footer(path: Path, fingerprint: str, _size: int, _changed: int) -> Part | None:
    # checks the magic bytes at both ends and the footer's length against the file's
    metadata = pq.read_metadata(path)
    footer = metadata.metadata or {}
    if footer[_FINGERPRINT].decode() != fingerprint:
        return None
    start, stop = footer[_ROWS].decode().split("-")
    part = Part(path, Shard(int(start), int(stop)), footer[_REPORT].decode())
    return part if metadata.num_rows == len(part.shard) == part.report.rows else None


def sweep(folder: Path, untrusted: list[Path]) -> None:
    """Remove untrusted parts and what interrupted writers left behind."""
    for path in [*untrusted, *folder.glob(".part-*.tmp")]:
        path.unlink(missing_ok=True)


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The rows of one part, without the footer, in the order they lie there.

    Raises:
        RunError: ROWS_LOST, what lies there is not what was written.
    """
    try:
        # `read_table` would treat each as a dataset, at half as much time again
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns).replace_schema_metadata(None)
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            ErrorCode.ROWS_LOST,
            f"{path} is damaged ({error}): remove it and run the same command again to compute its rows anew",
        ) from error


def read_results(folder: str | Path, columns: list[str] | None = None) -> pa.Table:
    """The result table of a finished run, in the order of the inputs.

    Args:
        folder: a run's output folder (the one with ``run.json``).
        columns: the columns wanted; all by default.

    Raises:
        RunError: ROWS_LOST, there are none, or a file is damaged.
    """
    folder = Path(folder)
    files = _outermost(sorted((folder / "results").glob("part-*.parquet")))
    if not files:
        raise RunError(ErrorCode.ROWS_LOST, f"no results in {folder / 'results'}")
    needed = None if columns is None else [*columns, *({"row"} - {*columns})]
    table = pa.concat_tables([read_part(path, needed) for path in files])
    rows = table["row"].to_numpy()
    if (rows[1:] < rows[:-1]).any():  # compacted files are in the order of the ids
        table = table.take(pa.array(rows.argsort()))
    return table if columns is None else table.select(columns)


def _outermost(files: list[Path]) -> list[Path]:
    """Leave out parts that a larger one covers: its compaction was stopped before they were removed."""
    kept: list[tuple[int, int, Path]] = []
    for path in files:
        start, stop = (int(number) for number in path.stem.removeprefix("part-").split("-"))
        kept.append((start, -stop, path))
    outer: list[Path] = []
    end = 0
    for start, negative, path in sorted(kept):
        if start >= end:
            outer.append(path)
            end = -negative
    return outer
