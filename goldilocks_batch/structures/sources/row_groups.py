"""Row groups of Parquet manifests: what is read of them, and what is not read of hostile ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.structures.sources.columns import escaped, list_sizes, string_column
from goldilocks_batch.structures.sources.dialect_rows import Decoder, decoder
from goldilocks_batch.structures.sources.dialects import DIALECTS
from goldilocks_batch.structures.sources.formats import safe_text
from goldilocks_batch.structures.sources.state import Opened

__all__ = ["Decoded", "Group", "Ids", "decoded", "opened_parquet", "read_ids", "read_sources"]

#: Values of a column in one row group from which on it is read in batches.  A manifest of a million crystals
#: in one row group has more; so has one row of a few kilobytes whose numbers are all the same.
_MANY = 2**24
#: Rows of such a batch.
_BATCH = 1024
#: Values of one row in one column that are kept: those of a million sites.
_LONGEST = 3_000_000


@dataclass(frozen=True, slots=True)
class Group:
    """One row group of a manifest, with all that is needed to read it.

    Attributes:
        file: the file, as it was opened.
        index: the row group's number.
        first: the file's row that is its first.
        rows: its number of rows.
        dialect: name of the dialect.
        columns: the dialect's columns in this file.
        id_name: the column of ids, if there is one.
        allow_outside: whether paths may leave the manifest's folder.
        url_name: the column of addresses, if it was fetched from databases.
    """

    file: Opened
    index: int
    first: int
    rows: int
    dialect: str
    columns: tuple[str, ...]
    id_name: str | None
    allow_outside: bool
    url_name: str | None = None

    @property
    def path(self) -> Path:
        """The file's path."""
        return self.file.path


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids of a row group.

    Attributes:
        ids: one a row; the file's stem, a colon and the row's number where none can be read.
        wrong: rows whose id is not one, and why.
        problem: why the column cannot be read, or nothing.
    """

    ids: list[str]
    wrong: dict[int, tuple[ErrorCode, str]]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A row group in memory.

    Attributes:
        ids: of its rows.
        payload: what to call for a row's payload; None if the row group cannot be read.
        problem: why it cannot be read.
        long: rows that are not kept, with the column and its number of values.
    """

    ids: Ids
    payload: Decoder | None
    problem: str
    long: dict[int, tuple[str, int]]


def opened_parquet(path: Path) -> pq.ParquetFile:
    """Open a file, whose footer is read once as long as the file does not change."""
    about = path.stat()
    footer = _footer(path, about.st_size, about.st_mtime_ns)
    return pq.ParquetFile(path, metadata=footer, page_checksum_verification=True)


# it describes every row group: parsed for each of them again, the time would grow as their square
@lru_cache(maxsize=1)
def _footer(path: Path, _size: int, _changed: int) -> pq.FileMetaData:
    return pq.read_metadata(path)


def read_ids(group: Group) -> Ids:
    """Read the ids of a row group; nothing else of it is read.

    If the column cannot be read, ids are numbered; the rows fail for that reason when they are read.

    Raises:
        RunError: INPUT_CHANGED.
    """
    found: list[str | bytes | None] = [None] * group.rows
    problem = ""
    if group.id_name is not None:
        try:
            found = string_column(_read(group, [group.id_name])[0][group.id_name])
        except RunError:
            raise
        except Exception as error:  # damaged pages raise anything
            problem = _problem(group, error)
    stem = safe_text(group.path.stem)
    ids: list[str] = []
    wrong: dict[int, tuple[ErrorCode, str]] = {}
    for row, given in enumerate(found):
        if isinstance(given, str):
            ids.append(given)
        elif given is None:
            ids.append(f"{stem}:{group.first + row}")
            if group.id_name is not None and not problem:
                message = f"column {group.id_name} is null here; every row needs an id of its own"
                wrong[row] = ErrorCode.NULL_VALUE, message
        else:
            ids.append(escaped(given))
            message = f"column {group.id_name} holds {given!r} here, which is no UTF-8; write the id in UTF-8"
            wrong[row] = ErrorCode.ID_INVALID, message
    return Ids(ids, wrong, problem)


def read_sources(group: Group) -> list[str]:
    """Read where the rows of a row group come from: the addresses of databases' entries, or their places.

    Raises:
        RunError: INPUT_CHANGED.
    """
    path = safe_text(str(group.path))
    places = [f"{path}:{group.first + row}" for row in range(group.rows)]
    if group.url_name is None:
        return places
    try:
        found = string_column(_read(group, [group.url_name])[0][group.url_name])
    except RunError:
        raise
    except Exception:  # damaged pages raise anything; the rows fail for that where it matters
        return places
    return [escaped(url) if url else place for url, place in zip(found, places, strict=True)]


def _problem(group: Group, error: Exception) -> str:
    return f"row group {group.index} cannot be read: {str(error) or type(error).__name__}"


# consecutive pieces share a row group, and each process reads pieces in order
@lru_cache(maxsize=1)
def decoded(group: Group) -> Decoded:
    """Read a row group; the last one stays in memory.

    Raises:
        RunError: INPUT_CHANGED.
    """
    ids = read_ids(group)
    if ids.problem:
        return Decoded(ids, None, ids.problem, {})
    dialect = next(dialect for dialect in DIALECTS if dialect.name == group.dialect)
    try:
        table, long = _read(group, group.columns)
        payload = decoder(dialect, table, group.path.parent, allow_outside=group.allow_outside)
    except RunError:
        raise
    except Exception as error:  # damaged pages raise anything
        return Decoded(ids, None, _problem(group, error), {})
    return Decoded(ids, payload, "", long)


def _read(group: Group, columns: Sequence[str]) -> tuple[pa.Table, dict[int, tuple[str, int]]]:
    """The columns of a row group; rows too long to be kept are null, and are named."""
    group.file.check()
    long: dict[int, tuple[str, int]] = {}
    with opened_parquet(group.path) as file:
        many = _large_columns(file, group.index).intersection(columns)
        few = [name for name in columns if name not in many]
        table = file.read_row_group(group.index, columns=few, use_threads=False)
        for name in columns:
            if name in many:
                parts = [_kept(part, name, first, long) for first, part in _batches(file, group.index, name)]
                table = table.append_column(name, pa.chunked_array(parts))
    group.file.check()
    if table.num_rows != group.rows:
        raise pa.ArrowInvalid(f"row group {group.index} has {table.num_rows} rows, {group.rows} expected")
    return table, long


def _large_columns(file: pq.ParquetFile, index: int) -> set[str]:
    about = file.metadata.row_group(index)
    chunks = (about.column(place) for place in range(about.num_columns))
    return {chunk.path_in_schema.partition(".")[0] for chunk in chunks if chunk.num_values > _MANY}


def _batches(file: pq.ParquetFile, index: int, name: str) -> Iterator[tuple[int, pa.Array]]:
    first = 0
    for batch in file.iter_batches(_BATCH, row_groups=[index], columns=[name], use_threads=False):
        yield first, batch.column(0)
        first += len(batch)


def _kept(part: pa.Array, name: str, first: int, long: dict[int, tuple[str, int]]) -> pa.Array:
    """A batch with nulls in place of the rows that are too long, which are noted in ``long``."""
    sizes = list_sizes(part)
    pieces, at = [], 0
    for row in map(int, np.flatnonzero(sizes > _LONGEST)):
        long.setdefault(first + row, (name, int(sizes[row])))
        pieces += [part.slice(at, row - at), pa.nulls(1, part.type)]
        at = row + 1
    # copied, so that the values left out are freed
    return pa.concat_arrays([*pieces, part.slice(at)]) if pieces else part
