"""The result files of a run: which of them count, joined to a table, compacted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.results.part import Part, described, read_footer, read_part, write_part
from goldilocks_batch.results.report import Report, total
from goldilocks_batch.results.shards import Shard

__all__ = ["Parts", "Scan"]

#: Rows of a compacted file: some hundred MB in memory while it is written, some tens of MB on disk.
_LARGE = 250_000
#: Rows of its row groups: what a query by id has to read.
_GROUP = 20_000


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a folder of parts.

    Attributes:
        parts: those that count, in the order of their rows, without overlaps.
        untrusted: files that do not: damaged, of another run, or covered by a longer one.
        foreign: those of them that are sound parts of another run.
    """

    parts: tuple[Part, ...]
    untrusted: tuple[Path, ...]
    foreign: tuple[Path, ...]

    @property
    def shards(self) -> list[Shard]:
        """The ranges of rows that are there."""
        return [part.shard for part in self.parts]

    @property
    def rows(self) -> int:
        """How many rows are there."""
        return sum(map(len, self.shards))

    @property
    def report(self) -> Report:
        """Counts over all rows that are there."""
        return total(part.report for part in self.parts)


class Parts:
    """The result files of one run.

    A footer is read once, as long as the file's size and time of change stay the same.

    Args:
        folder: where they are; made when it is needed.
        fingerprint: of the run: files of others do not count.
        schema: of the rows: files with other columns do not count; None accepts all.
    """

    def __init__(self, folder: Path, fingerprint: str, schema: pa.Schema | None = None) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self._columns = None if schema is None else described(schema)
        self._known: dict[Path, tuple[tuple[int, int], Part | None]] = {}
        self._schemas: list[tuple[pq.ParquetSchema, str]] = []  # those seen, described; one, as a rule

    def scan(self) -> Scan:
        """Look at the files that are there.

        A file counts if its footer can be read and agrees with itself, names this run and a range of rows,
        and holds as many rows as the range.  Where ranges overlap (a shard done whole by a worker taken for
        dead, and in pieces by others) the longer one counts: the rows are the same.
        """
        good: list[Part] = []
        untrusted: list[Path] = []
        foreign: list[Path] = []
        for path in sorted(self.folder.glob("part-*.parquet")):
            part = self._sound(path)
            if part is not None and part.fingerprint == self.fingerprint:
                if self._columns in (None, part.columns):
                    good.append(part)
                    continue
            elif part is not None:
                foreign.append(path)
            untrusted.append(path)
        kept: list[Part] = []
        for part in sorted(good, key=lambda p: (p.shard.start, -p.shard.stop)):
            if kept and part.shard.start < kept[-1].shard.stop:
                untrusted.append(part.path)
            else:
                kept.append(part)
        return Scan(tuple(kept), tuple(untrusted), tuple(foreign))

    def _sound(self, path: Path) -> Part | None:
        try:
            about = path.stat()
            stamp = about.st_size, about.st_mtime_ns
            if path not in self._known or self._known[path][0] != stamp:
                self._known[path] = stamp, read_footer(path, self._description)
        except (OSError, pa.ArrowException, KeyError, ValueError):
            self._known.pop(path, None)
            return None
        return self._known[path][1]

    def _description(self, schema: pq.ParquetSchema) -> str:
        """Names and types of columns; schemas are compared, which is faster than describing each anew."""
        for known, description in self._schemas:
            if schema.equals(known):
                return description
        self._schemas.append((schema, described(schema.to_arrow_schema())))
        return self._schemas[-1][1]

    def sweep(self) -> Scan:
        """Make the folder, and remove from it what does not count and what interrupted writers left behind.

        Returns:
            What was found, the files that have been removed among it.

        Raises:
            RunError: WRITE_FAILED, something of that name cannot be removed, as a folder.
        """
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            found = self.scan()
            for path in (*found.untrusted, *self.folder.glob(".part-*.tmp")):
                path.unlink(missing_ok=True)
        except OSError as error:
            message = f"cannot use {self.folder} for results: {error}; remove what is in the way"
            raise RunError(ErrorCode.WRITE_FAILED, message) from error
        return found

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows that are there, in the order of the inputs.

        Args:
            columns: those wanted; all by default.

        Raises:
            RunError: ROWS_LOST, there are none, a file is damaged, or files have different columns.
        """
        parts = self.scan().parts
        if not parts:
            raise RunError(ErrorCode.ROWS_LOST, f"no results in {self.folder}")
        table = _joined(parts, None if columns is None else [*columns, *({"row"} - {*columns})])
        rows = table["row"].to_numpy()
        if (rows[1:] < rows[:-1]).any():  # compacted files are in the order of the ids
            table = table.take(pa.array(rows.argsort()))
        return table if columns is None else table.select(columns)

    def compact(self, above: int = 0) -> tuple[int, int]:
        """Write few large files in place of many small ones; stopped at any moment, no row is lost or double.

        A compacted file is a part like any other, of more rows, which lie in it in the order of their ids, so
        that the row groups' statistics lead to an id.  It replaces its parts by the rule for overlaps.

        Args:
            above: do nothing if there are not more files than these.

        Returns:
            Number of files before and after.

        Raises:
            RunError: a file is damaged, or cannot be written.
        """
        parts = self.scan().parts
        if len(parts) <= above:
            return len(parts), len(parts)
        after = 0
        for group in _neighbours(parts):
            after += 1
            if len(group) == 1:
                continue
            table = _joined(group).sort_by("id")
            shard = Shard(group[0].shard.start, group[-1].shard.stop)
            report = total(part.report for part in group)
            write_part(self.folder, shard, table, report, self.fingerprint, row_group_size=_GROUP)
            for part in group:
                part.path.unlink()
        return len(parts), after


def _joined(parts: Sequence[Part], columns: list[str] | None = None) -> pa.Table:
    """The rows of several parts, in the order of the parts."""
    for part in parts:
        if part.columns != parts[0].columns:
            raise RunError(
                ErrorCode.ROWS_LOST,
                f"{part.path} has other columns than {parts[0].path}: remove the one that is not of this run "
                "and run the same command again",
            )
    return pa.concat_tables([read_part(part.path, columns) for part in parts])


def _neighbours(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Runs of parts that follow each other without a gap, of some ``_LARGE`` rows each."""
    group: list[Part] = []
    for part in parts:
        rows = part.shard.stop - group[0].shard.start if group else 0
        if group and (part.shard.start != group[-1].shard.stop or rows > _LARGE):
            yield group
            group = []
        group.append(part)
    if group:
        yield group
