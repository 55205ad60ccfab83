"""Writers of a format to a place: a folder for every row, or lines of a file; in shards if wanted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO, Protocol

from goldilocks_batch.core.names import Names
from goldilocks_batch.exports.formats.interface import Files, Lines, Notes
from goldilocks_batch.exports.formats.table import Csv
from goldilocks_batch.exports.places import Place, archive_ending, lines_at, place_at, shard_name
from goldilocks_batch.exports.rows import Item

__all__ = ["INDEX", "FilesWriter", "LinesWriter", "Writer"]

#: The table beside folders: which folder is which row's, with all there is to know of its k-points.
INDEX = "kpoints.csv"


class Writer(Protocol):
    """Takes rows in the order of the run."""

    def begin(self, shard: int) -> None:
        """Further rows are of this shard; shards come in ascending order."""

    def write(self, item: Item, notes: Notes) -> None:
        """Write a row; nothing of it is left if this fails."""

    def close(self) -> None:
        """Complete what was written."""

    def abandon(self) -> None:
        """Let go of files; what was completed stays so."""


class LinesWriter:
    """One file a shard.

    Args:
        form: makes the lines.
        stage: folder to write to.
        final: whose name, with the shard's number, the files have.
        shards: how many there are.
    """

    def __init__(self, form: Lines, stage: Path, final: Path, shards: int) -> None:
        self._form, self._stage, self._final, self._shards = form, stage, final, shards
        self._open = contextlib.ExitStack()
        self._file: IO[str] | None = None
        self.begin(0)

    def begin(self, shard: int) -> None:
        """Begin a file."""
        self._open.close()
        path = self._stage / shard_name(self._final, shard, self._shards)
        self._file = self._open.enter_context(lines_at(path))
        self._file.write(self._form.head)

    def write(self, item: Item, notes: Notes) -> None:
        """Write a row."""
        text = self._form.lines(item, notes)
        if self._file is not None:
            self._file.write(text)

    def close(self) -> None:
        """Complete the file."""
        self._open.close()

    abandon = close


class FilesWriter:
    """A folder a row, in a folder or in archives, with an index of them.

    Args:
        form: makes the files.
        stage: folder to write to.
        final: the folder, or the archive whose name, with the shard's number, the archives have.
        shards: how many there are; in a folder, folders of that many folders of rows.
        names: of the rows' folders.
    """

    def __init__(self, form: Files, stage: Path, final: Path, shards: int, names: Names) -> None:
        self._form, self._stage, self._final, self._shards, self._names = form, stage, final, shards, names
        self._table = Csv(first=("folder",))
        self._open = contextlib.ExitStack()
        self._place: Place | None = None
        self._index: IO[str] | None = None
        self._prefix = ""
        self.renamed = 0
        self.begin(0)

    def begin(self, shard: int) -> None:
        """Begin an archive, or a folder within the folder."""
        archive = archive_ending(self._final)
        if self._shards > 1 and not archive:
            self._prefix = f"{shard + 1:0{len(str(self._shards))}d}/"
        if self._place is not None and not archive:
            return  # all shards are in one folder
        self.close()
        path = self._stage / shard_name(self._final, shard, self._shards) if archive else self._stage
        self._place = self._open.enter_context(place_at(path))
        self._index = self._open.enter_context(lines_at(self._stage / f".{INDEX}"))
        self._index.write(self._table.head)

    def write(self, item: Item, notes: Notes) -> None:
        """Write a row's files and its line of the index."""
        name = self._names[item.id]
        texts = self._form.files(item, notes)
        folder = self._prefix + name
        line = self._table.lines(item, Notes(), folder)
        if self._place is not None and self._index is not None:
            self._place.add(folder, texts)
            self._index.write(line)
        self.renamed += name != item.id

    def close(self) -> None:
        """Complete the archive or the folder."""
        if self._place is not None and self._index is not None:
            self._index.close()
            path = self._stage / f".{INDEX}"
            self._place.put(path.rename(self._stage / INDEX))
        self._open.close()
        self._place = self._index = None

    def abandon(self) -> None:
        """Let go of the archive or the folder."""
        self._open.close()
