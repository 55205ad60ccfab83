"""Parquet manifests: one structure a row, read by row group."""

from __future__ import annotations

import contextlib
import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources.columns import string_column
from goldilocks_batch.structures.sources.dialects import DIALECTS, Decoder, decoder, find_dialect, id_column
from goldilocks_batch.structures.sources.files import digest_of_file, safe_text
from goldilocks_batch.structures.sources.reference import FailedPayload, FilePayload, Reference, failed

__all__ = ["ParquetSource", "open_parquet"]

VERSION_KEY = b"goldilocks_batch.manifest"
"""Key of the file metadata that holds the version of the package's own dialect."""
MANIFEST_VERSION = b"1"

UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class Group:
    """One row group of a manifest, with all that is needed to read it.

    Attributes:
        path: the file.
        index: the row group's number.
        first: the file's row that is its first.
        rows: its number of rows.
        dialect: name of the dialect.
        columns: the dialect's columns in this file.
        id_name: the column of ids, if there is one.
        allow_outside: whether paths may leave the manifest's folder.
    """

    path: Path
    index: int
    first: int
    rows: int
    dialect: str
    columns: tuple[str, ...]
    id_name: str | None
    allow_outside: bool


@dataclass(frozen=True, slots=True)
class Decoded:
    """A row group in memory: what to call for a row's payload, or why it cannot be read."""

    ids: list[str]
    null_ids: frozenset[int]
    payload: Decoder | None
    problem: str = ""


@dataclass(frozen=True)
class ParquetPiece:
    """Some rows of one row group."""

    group: Group
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self) -> list[Reference]:
        """Return one reference a row; the row group stays decoded for the next piece of this process."""
        decoded = _decoded_now(self.group)
        return [self._reference(decoded, row) for row in range(self.start, self.stop)]

    def _reference(self, decoded: Decoded, row: int) -> Reference:
        structure_id = decoded.ids[row]
        source = f"{safe_text(str(self.group.path))}:{self.group.first + row}"
        if decoded.payload is None:
            return failed(structure_id, source, ErrorCode.FILE_UNREADABLE, decoded.problem)
        if row in decoded.null_ids:
            message = f"column {self.group.id_name} is null here; every row needs an id of its own"
            return failed(structure_id, source, ErrorCode.NULL_VALUE, message)
        payload = decoded.payload(row)
        if isinstance(payload, FailedPayload):
            error = payload.error
            return failed(structure_id, source, error.code, error.message)
        return Reference(structure_id, source, payload)


@dataclass(frozen=True)
class ParquetSource:
    """A manifest.

    Without a column of ids, and where an id is null, a row's id is the file's stem, a colon, and its number.
    """

    path: Path
    groups: Sequence[Group]
    digest: str

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.groups[-1].first + self.groups[-1].rows if self.groups else 0

    @property
    def limits(self) -> list[int]:
        """Ends of the row groups."""
        return [group.first + group.rows for group in self.groups]

    def ids(self) -> Iterator[list[str]]:
        """All ids in order, a row group at a time."""
        for group in self.groups:
            yield _ids(group)[0]

    def pieces(self, start: int, stop: int) -> Iterator[ParquetPiece]:
        """Rows ``start`` to ``stop``, one piece a row group."""
        index = bisect_right(self.groups, start, key=lambda group: group.first) - 1
        for group in self.groups[max(index, 0) :]:
            if group.first >= stop:
                return
            first, last = max(start - group.first, 0), min(stop - group.first, group.rows)
            if first < last:
                yield ParquetPiece(group, first, last)

    def describe(self) -> dict[str, object]:
        """For the run record."""
        about: dict[str, object] = {"path": safe_text(str(self.path)), "kind": "manifest"}
        dialect = self.groups[0].dialect if self.groups else None
        return about | {"dialect": dialect, "rows": self.rows, "digest": self.digest}


def open_parquet(path: Path, *, allow_outside: bool) -> ParquetSource:
    """Open a manifest and find its dialect.

    The digest is that of the file; with the ``path`` dialect it also covers size and time of change
    of the files named.

    Raises:
        InputError: the file is no readable Parquet, or its columns make no dialect, or several.
    """
    try:
        with _open(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        digest = digest_of_file(path)
    except UNREADABLE as error:
        raise InputError(
            ErrorCode.INPUT_UNREADABLE, f"{path} is no readable Parquet file: {error}"
        ) from error
    version = (schema.metadata or {}).get(VERSION_KEY, MANIFEST_VERSION)
    if version != MANIFEST_VERSION:
        message = (
            f"{path} is a manifest of version {version.decode()}, {MANIFEST_VERSION.decode()} is read here"
        )
        raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    dialect, columns = find_dialect(schema, str(path))
    id_name = id_column(schema, str(path))
    groups, first = [], 0
    for index, rows in enumerate(sizes):
        groups.append(Group(path, index, first, rows, dialect.name, columns, id_name, allow_outside))
        first += rows
    if dialect.name == "path":
        digest = _digest_with_files(digest, groups)
    return ParquetSource(path, groups, digest)


def _open(path: Path) -> pq.ParquetFile:
    about = path.stat()
    footer = _footer(path, about.st_size, about.st_mtime_ns)
    return pq.ParquetFile(path, metadata=footer, page_checksum_verification=True)


# it describes every row group: parsed for each of them again, the time would grow as their square
@lru_cache(maxsize=1)
def _footer(path: Path, _size: int, _changed: int) -> pq.FileMetaData:
    return pq.read_metadata(path)


def _read(group: Group, columns: Sequence[str]) -> pa.Table:
    with _open(group.path) as file:
        table = file.read_row_group(group.index, columns=list(columns), use_threads=False)
    if table.num_rows != group.rows:
        raise pa.ArrowInvalid(f"row group {group.index} has {table.num_rows} rows, {group.rows} expected")
    return table


def _ids(group: Group) -> tuple[list[str], frozenset[int]]:
    """Return the ids of a row group, and the rows whose id had to be made up because it is null.

    An id column that cannot be read gives numbered ids; the rows fail for that reason later.
    """
    found: list[str | None] = [None] * group.rows
    readable = False
    if group.id_name is not None:
        with contextlib.suppress(*UNREADABLE):
            found = string_column(_read(group, [group.id_name])[group.id_name])
            readable = True
    stem = safe_text(group.path.stem)
    ids = [f"{stem}:{group.first + row}" if given is None else given for row, given in enumerate(found)]
    return ids, frozenset(row for row, given in enumerate(found) if readable and given is None)


def _decoded_now(group: Group) -> Decoded:
    try:
        about = group.path.stat()
    except OSError:
        return _decoded.__wrapped__(group, 0, 0)
    return _decoded(group, about.st_size, about.st_mtime_ns)


# consecutive pieces share a row group, and each process reads pieces in order
@lru_cache(maxsize=1)
def _decoded(group: Group, _size: int, _changed: int) -> Decoded:
    ids, null_ids = _ids(group)
    dialect = next(dialect for dialect in DIALECTS if dialect.name == group.dialect)
    columns = group.columns if group.id_name is None else (group.id_name, *group.columns)
    try:
        table = _read(group, columns)
        payload = decoder(dialect, table, group.path.parent, allow_outside=group.allow_outside)
    except UNREADABLE as error:
        return Decoded(ids, null_ids, None, f"row group {group.index} cannot be read: {error}")
    return Decoded(ids, null_ids, payload)


def _digest_with_files(digest: str, groups: Sequence[Group]) -> str:
    total = hashlib.sha256(digest.encode())
    for group in groups:
        payload_of = _decoded.__wrapped__(group, 0, 0).payload
        if payload_of is None:
            continue
        for row in range(group.rows):
            payload = payload_of(row)
            if isinstance(payload, FilePayload):
                total.update(_state(payload.path))
    return total.hexdigest()


def _state(path: Path) -> bytes:
    try:
        about = path.stat()
    except OSError:
        return b"missing\n"
    return f"{about.st_size} {about.st_mtime_ns}\n".encode()
