"""All inputs of a run as one sequence of rows."""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.databases.query import is_database, shown
from goldilocks_batch.structures.sources.archive import ArchiveSource, open_archive
from goldilocks_batch.structures.sources.entries import EntriesSource, open_entries
from goldilocks_batch.structures.sources.files import FilesSource, open_directory, open_file
from goldilocks_batch.structures.sources.formats import (
    is_archive,
    is_json,
    is_json_lines,
    is_parquet,
    safe_text,
)
from goldilocks_batch.structures.sources.memory import MemorySource
from goldilocks_batch.structures.sources.naming import Named, distinct, told
from goldilocks_batch.structures.sources.parquet import ParquetSource, open_parquet
from goldilocks_batch.structures.sources.reference import Piece
from goldilocks_batch.structures.sources.state import changed

__all__ = ["SourceSet", "open_sources"]

Source = FilesSource | ArchiveSource | EntriesSource | ParquetSource | MemorySource

_log = logging.getLogger(__name__)
NAMED_IN_ERRORS = 5


@dataclass(frozen=True)
class SourceSet:
    """Several inputs, one after the other; their rows are numbered through."""

    sources: tuple[Source, ...]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """``(n_sources + 1,)``; source i holds the rows ``starts[i]`` to ``starts[i + 1]``."""
        starts = [0]
        for source in self.sources:
            starts.append(starts[-1] + source.rows)
        return tuple(starts)

    @property
    def rows(self) -> int:
        """Number of rows of all inputs."""
        return self.starts[-1]

    @property
    def fingerprint(self) -> str:
        """A sha256 that changes when an input's content or the order of the inputs changes."""
        total = hashlib.sha256()
        for source in self.sources:
            total.update(f"{type(source).__name__} {source.rows} {source.digest}\n".encode())
        return total.hexdigest()

    @property
    def boundaries(self) -> tuple[int, ...]:
        """Ends of the stretches that are best read whole (inputs, row groups); the last one is ``rows``."""
        ends = {
            start + limit
            for start, source in zip(self.starts, self.sources, strict=False)
            for limit in source.limits
        }
        return tuple(sorted(ends))

    def describe(self) -> list[dict[str, object]]:
        """One entry an input, for the run record: path, kind, rows, digest, and what is particular to it."""
        return [source.describe() for source in self.sources]

    def pieces(self, start: int, stop: int) -> tuple[Piece, ...]:
        """Rows ``start`` to ``stop`` as pieces that a worker can read.

        Raises:
            IndexError: the rows are not all there.
        """
        if not 0 <= start <= stop <= self.rows:
            raise IndexError(f"rows {start} to {stop} of {self.rows}")
        pieces: list[Piece] = []
        for offset, source in zip(self.starts, self.sources, strict=False):
            first, last = max(start - offset, 0), min(stop - offset, source.rows)
            if first < last:
                pieces += source.pieces(first, last)
        return tuple(pieces)

    @property
    def ignored(self) -> Counter[str]:
        """How many files, members and lines of the inputs are no structures, by their ending or kind."""
        total: Counter[str] = Counter()
        for source in self.sources:
            if isinstance(source, FilesSource | ArchiveSource):
                total += source.census.ignored
            elif isinstance(source, EntriesSource):
                total += source.ignored
        return total

    @property
    def compared_by_time(self) -> list[str]:
        """Paths of the inputs whose digests are not of contents."""
        return [str(about["path"]) for about in self.describe() if "digest_of" in about]

    def check_unchanged(self) -> None:
        """Make sure that the inputs still hold what they held when they were opened.

        Raises:
            RunError: INPUT_CHANGED.
        """
        for source in self.sources:
            try:
                same = source.current_digest() == source.digest
            except OSError:
                same = False
            if not same:
                raise changed(str(source.describe()["path"]))

    def ids(self) -> Iterator[list[str]]:
        """All ids in order, in batches."""
        for source in self.sources:
            yield from source.ids()


def open_sources(
    inputs: Sequence[Path],
    *,
    allow_outside: bool = False,
    dialect: str | None = None,
    id_column: str | None = None,
    strict_ids: bool = False,
    check_ids: bool = True,
) -> SourceSet:
    """Open inputs of any kind: directories, archives, Parquet manifests, files of one structure or of many.

    Args:
        inputs: what to read, in this order.
        allow_outside: let the paths of a ``path`` manifest leave the manifest's folder.
        dialect: of manifests whose columns make several.
        id_column: the column of manifests, or the name in entries of JSON, that holds the ids, in place of
            the usual ones.
        strict_ids: refuse files that would share their ids; else they are called by more of their paths.
        check_ids: make sure that no id occurs twice, and say what is not read; inputs whose digests are
            known need that no more.

    Raises:
        InputError: an input is missing, unreadable or of unknown kind, a manifest's columns make no
            dialect or several, there is not one row, or two rows have the same id.
    """

    def opened(given: Path) -> Source:
        if is_database(given):
            raise InputError(
                ErrorCode.INPUT_NOT_FOUND,
                f"{shown(given)} is for run and array alone; goldilocks-batch fetch makes a manifest of it",
            )
        path = given.absolute()  # workers may run in another folder
        if path.is_dir():
            return open_directory(path)
        if not path.exists():
            raise InputError(ErrorCode.INPUT_NOT_FOUND, f"{path} does not exist")
        if is_parquet(path.name):
            return open_parquet(path, allow_outside=allow_outside, dialect=dialect, id_name=id_column)
        if is_archive(path.name):
            return open_archive(path)
        entries = open_entries(path, id_column) if is_json(path.name) or is_json_lines(path.name) else None
        return open_file(path) if entries is None else entries

    found = [opened(Path(path)) for path in inputs]
    sources = SourceSet(tuple(found if strict_ids else _renamed(found)))
    if sources.rows == 0:
        what = "; ".join(f"{source.describe()['path']}: {_nothing_in(source)}" for source in found)
        raise InputError(ErrorCode.INPUT_EMPTY, f"no structure in the inputs: {what or 'none given'}")
    if check_ids:
        for source in found:
            if not_read := _of_many(source):
                _log.warning("%s: %s", source.describe()["path"], not_read)
        _refuse_duplicates(sources)
    return sources


def _renamed(sources: Sequence[Source]) -> list[Source]:
    """The inputs with different ids for all structures that are files."""
    named, places = [], []
    for place, source in enumerate(sources):
        if isinstance(source, FilesSource):
            named.append(Named(source.root, source.names))
        elif isinstance(source, ArchiveSource):
            named.append(Named(source.file.path, [member.name for member in source.members]))
        else:
            continue
        places.append(place)
    called = distinct(named)
    told(named, called)
    renamed = list(sources)
    for place, names in zip(places, called, strict=True):
        source = sources[place]
        if names and isinstance(source, FilesSource | ArchiveSource):
            renamed[place] = replace(source, called=names)
    return renamed


def _nothing_in(source: Source) -> str:
    about = source.describe()
    endings = about.get("ignored_endings")
    if not isinstance(endings, dict) or not endings:
        return "empty"
    others = f"{about['ignored']:,} other files ({', '.join(f'{name} {n:,}' for name, n in endings.items())})"
    return f"{others}; {not_read}" if (not_read := _of_many(source)) else others


def _of_many(source: Source) -> str:
    """Which files of a directory or archive may hold many structures, and how they are read; "" for none."""
    names = source.census.of_many if isinstance(source, FilesSource | ArchiveSource) else []
    if not names:
        return ""
    named = ", ".join(safe_text(name) for name in sorted(names)[:NAMED_IN_ERRORS])
    more = f", and {len(names) - NAMED_IN_ERRORS:,} more" if len(names) > NAMED_IN_ERRORS else ""
    how = "unpack the archive and name" if isinstance(source, ArchiveSource) else "name"
    return (
        f"{named}{more} may hold many structures and {'is' if len(names) == 1 else 'are'} not read with it; "
        f"to read such a file, {how} it as an input of its own"
    )


def _refuse_duplicates(sources: SourceSet) -> None:
    """Raise if an id occurs twice; needs 16 bytes a row, and reads equal hashes again to be sure."""
    hashes = np.empty(sources.rows, dtype=np.int64)
    row = 0
    for ids in sources.ids():
        hashes[row : row + len(ids)] = np.fromiter(map(hash, ids), dtype=np.int64, count=len(ids))
        row += len(ids)
    ordered = np.sort(hashes)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(repeated):
        return
    places = _places(sources, np.isin(hashes, repeated))
    named = [(structure_id, rows) for structure_id, rows in places.items() if len(rows) > 1]
    if named:
        message = "; ".join(
            f"{structure_id!r} in {' and '.join(_place(sources, row) for row in rows)}"
            for structure_id, rows in named[:NAMED_IN_ERRORS]
        )
        raise InputError(
            ErrorCode.DUPLICATE_ID, f"ids must be unique over all inputs; found more than once: {message}"
        )


def _places(sources: SourceSet, suspect: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Return the rows of suspect ids, two of each at most; stops once enough true repetitions are known."""
    places: dict[str, list[int]] = {}
    repeated = row = 0
    for ids in sources.ids():
        for inside in np.flatnonzero(suspect[row : row + len(ids)]):
            rows = places.setdefault(ids[inside], [])
            if len(rows) < 2:
                rows.append(row + int(inside))
                repeated += len(rows) == 2
        if repeated >= NAMED_IN_ERRORS:
            break
        row += len(ids)
    return places


def _place(sources: SourceSet, row: int) -> str:
    index = bisect_right(sources.starts, row) - 1
    return f"{sources.sources[index].describe()['path']} (row {row - sources.starts[index]})"
