"""Parquet manifests: one structure a row, read by row group."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from goldilocks_batch.core.errors import ErrorCode, InputError, Stage, StructureError
from goldilocks_batch.structures.sources.columns import is_text
from goldilocks_batch.structures.sources.dialects import find_dialect, id_column
from goldilocks_batch.structures.sources.formats import safe_text
from goldilocks_batch.structures.sources.reference import FilePayload, Name, Payload, Reference, reference_to
from goldilocks_batch.structures.sources.row_groups import (
    Decoded,
    Group,
    Ids,
    decoded,
    opened_parquet,
    read_ids,
    read_sources,
)
from goldilocks_batch.structures.sources.state import BY_TIME, Opened, digest_of_file, digest_of_files

__all__ = ["DATABASES_KEY", "ParquetSource", "open_parquet", "origin_of"]

VERSION_KEY = b"goldilocks_batch.manifest"
"""Key of the file metadata that holds the version of the package's own dialect."""
MANIFEST_VERSION = b"1"
DATABASES_KEY = b"goldilocks_batch.databases"
"""Key of the file metadata that tells, as JSON, which databases a manifest was fetched from, and when."""


def origin_of(schema: pa.Schema) -> dict[str, Any] | None:
    """Return what a fetched manifest says of its making; None for any other."""
    try:
        origin = json.loads((schema.metadata or {})[DATABASES_KEY])
    except (LookupError, ValueError, RecursionError):
        return None
    return origin if isinstance(origin, dict) else None


@dataclass(frozen=True)
class ParquetPiece:
    """Some rows of one row group."""

    group: Group
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def names(self) -> list[Name]:
        """Return the rows' names; of the file only the columns of ids and addresses are read."""
        return self._names(read_ids(self.group))

    def _names(self, ids: Ids) -> list[Name]:
        sources = read_sources(self.group)
        return [Name(ids.ids[row], sources[row]) for row in range(self.start, self.stop)]

    def read(self) -> list[Reference]:
        """Return one reference a row; the row group stays decoded for the next piece of this process.

        Raises:
            RunError: INPUT_CHANGED.
        """
        found = decoded(self.group)
        return [
            reference_to(name, partial(_payload, found, row))
            for row, name in enumerate(self._names(found.ids), self.start)
        ]


def _payload(found: Decoded, row: int) -> Payload:
    if found.payload is None:
        raise StructureError(ErrorCode.FILE_UNREADABLE, found.problem, stage=Stage.READ)
    if row in found.ids.wrong:
        code, message = found.ids.wrong[row]
        raise StructureError(code, message, stage=Stage.READ)
    if row in found.long:
        column, values = found.long[row]
        message = f"column {column} holds {values:,} values here, more than any structure needs"
        raise StructureError(ErrorCode.TOO_MANY_SITES, message, stage=Stage.READ)
    return found.payload(row)


@dataclass(frozen=True)
class ParquetSource:
    """A manifest.

    Without a column of ids, and where an id is null, a row's id is the file's stem, a colon, and its number.
    """

    path: Path
    groups: Sequence[Group]
    digest: str
    of_contents: bool = True
    origin: dict[str, Any] | None = None

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
            yield read_ids(group).ids

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
        about |= {"dialect": dialect, "rows": self.rows, "digest": self.digest}
        if self.origin is not None:
            about["databases"] = self.origin
        return about if self.of_contents else about | {"digest_of": BY_TIME}

    def current_digest(self) -> str:
        """The digest of what is there now.

        Raises:
            OSError: the manifest cannot be read.
        """
        digest = digest_of_file(self.path)
        named = bool(self.groups) and self.groups[0].dialect == "path"
        return _digest_with_files(digest, self.groups)[0] if named else digest


def open_parquet(
    path: Path, *, allow_outside: bool, dialect: str | None = None, id_name: str | None = None
) -> ParquetSource:
    """Open a manifest and find its dialect.

    Args:
        path: of the manifest.
        allow_outside: let the paths of a ``path`` manifest leave its folder.
        dialect: the dialect, where its columns make several.
        id_name: the column of ids, where it is none of the usual names.

    The digest is that of the file; with the ``path`` dialect it also covers the files named
    (:func:`~goldilocks_batch.structures.sources.state.digest_of_files`).

    Raises:
        InputError: the file is no readable Parquet, or its columns make no dialect, or several.
    """
    try:
        with opened_parquet(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        opened = Opened.of(path)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(
            ErrorCode.INPUT_UNREADABLE, f"{path} is no readable Parquet file: {error}"
        ) from error
    version = (schema.metadata or {}).get(VERSION_KEY, MANIFEST_VERSION)
    if version != MANIFEST_VERSION:
        message = (
            f"{path} is a manifest of version {version.decode()}, {MANIFEST_VERSION.decode()} is read here"
        )
        raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    found, columns = find_dialect(schema, str(path), dialect)
    id_name = id_column(schema, str(path), id_name)
    fetched = origin_of(schema) is not None and schema.names.count("url") == 1
    url_name = "url" if fetched and is_text(schema.field("url").type) else None
    groups, first = [], 0
    for index, rows in enumerate(sizes):
        group = Group(opened, index, first, rows, found.name, columns, id_name, allow_outside, url_name)
        groups.append(group)
        first += rows
    if found.name == "path":
        return ParquetSource(path, groups, *_digest_with_files(opened.digest, groups))
    return ParquetSource(path, groups, opened.digest, origin=origin_of(schema))


def _digest_with_files(digest: str, groups: Sequence[Group]) -> tuple[str, bool]:
    """The digest of a manifest and the files that it names, and whether it is of their contents."""
    files: list[tuple[str, Path]] = []
    for group in groups:
        found = decoded(group)
        for row in range(group.rows if found.payload is not None else 0):
            payload = reference_to(Name("", ""), partial(_payload, found, row)).payload
            if isinstance(payload, FilePayload):
                files.append((str(group.first + row), payload.path))
    of_files, contents = digest_of_files(files)
    return hashlib.sha256(f"{digest} {of_files}".encode()).hexdigest(), contents
