"""Files of many structures as JSON: OPTIMADE's JSON Lines, lists and tables of databases' entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

from goldilocks_batch.core.errors import ErrorCode, InputError, Stage, StructureError
from goldilocks_batch.structures.sources.compression import COMPRESSED, DAMAGED, opened, plain_name
from goldilocks_batch.structures.sources.entry_listing import Entry, entries_of, lines_of
from goldilocks_batch.structures.sources.files import MAX_BYTES, decoded
from goldilocks_batch.structures.sources.formats import is_json_lines, safe_text
from goldilocks_batch.structures.sources.reference import (
    Format,
    Name,
    Payload,
    Reference,
    TextPayload,
    reference_to,
)
from goldilocks_batch.structures.sources.state import Opened, digest_of_file

__all__ = ["EntriesSource", "open_entries"]


@dataclass(frozen=True)
class EntriesPiece:
    """Some entries of one file."""

    file: Opened
    first: int
    entries: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def names(self) -> list[Name]:
        """Return the entries' names."""
        path = safe_text(str(self.file.path))
        return [Name(entry.id, f"{path}:{self.first + row}") for row, entry in enumerate(self.entries)]

    def read(self) -> list[Reference]:
        """Return one reference an entry, with its text.

        Raises:
            RunError: INPUT_CHANGED.
        """
        pairs = zip(self.names(), self.entries, strict=True)
        return [reference_to(name, partial(_payload, self.file, entry)) for name, entry in pairs]


def _payload(file: Opened, entry: Entry) -> Payload:
    file.check()
    if entry.size > MAX_BYTES:
        message = f"the entry has {entry.size:,} bytes, the limit for one structure is {MAX_BYTES:,}"
        raise StructureError(ErrorCode.FILE_UNREADABLE, message, stage=Stage.READ)
    data = _compressed(file, entry) if file.path.suffix.lower() in COMPRESSED else _plain(file, entry)
    if len(data) < entry.size:
        raise EOFError("the file ends inside the entry")
    return TextPayload(Format.JSON, decoded(data))


def _plain(file: Opened, entry: Entry) -> bytes:
    with file.path.open("rb") as stream:
        stream.seek(entry.start)
        return stream.read(entry.size)


def _compressed(file: Opened, entry: Entry) -> bytes:
    try:
        stream = _stream(file)
        stream.seek(entry.start)
        return stream.read(entry.size)
    except Exception:
        _stream.cache_clear()  # a decoder that has failed is in no state to go on from
        raise


# a compressed stream only goes forward; consecutive pieces of one process continue where the last one stopped
@lru_cache(maxsize=1)
def _stream(file: Opened) -> IO[bytes]:
    return opened(file.path)


@dataclass(frozen=True)
class EntriesSource:
    """A file of entries, in its order."""

    file: Opened
    entries: list[Entry]
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def digest(self) -> str:
        """Sha256 of the file."""
        return self.file.digest

    @property
    def rows(self) -> int:
        """Number of entries that are, or may be, structures."""
        return len(self.entries)

    @property
    def limits(self) -> list[int]:
        """Ends of the stretches that are cheap to read together: none but the last row."""
        return [self.rows]

    def ids(self) -> Iterator[list[str]]:
        """All ids in order, at once."""
        yield [entry.id for entry in self.entries]

    def pieces(self, start: int, stop: int) -> Iterator[EntriesPiece]:
        """Rows ``start`` to ``stop``, as one piece."""
        yield EntriesPiece(self.file, start, tuple(self.entries[start:stop]))

    def describe(self) -> dict[str, object]:
        """For the run record."""
        about: dict[str, object] = {"path": safe_text(str(self.file.path)), "kind": "entries"}
        about |= {"rows": self.rows, "digest": self.digest, "ignored": self.ignored.total()}
        return about | {"ignored_endings": dict(self.ignored.most_common(8))}

    def current_digest(self) -> str:
        """The digest of what is there now.

        Raises:
            OSError: the file cannot be read.
        """
        return digest_of_file(self.file.path)


def open_entries(path: Path, id_name: str | None = None) -> EntriesSource | None:
    """List the entries of a file of JSON or JSON Lines.

    Args:
        path: of the file.
        id_name: where entries keep their ids, if under none of the usual names.

    Returns:
        None for a JSON file of one structure, or of something else.

    Raises:
        InputError: the file cannot be read to its end, or ends amid an entry.
    """
    ignored: Counter[str] = Counter()
    stem = safe_text(Path(plain_name(path.name)).stem)
    entries: list[Entry] | None = []
    try:
        file = Opened.of(path)
        with opened(path) as stream:
            if is_json_lines(path.name):
                entries = list(lines_of(stream, stem, id_name, ignored))
            else:
                entries = entries_of(stream.read(), stem, id_name, ignored)
    except (*DAMAGED, MemoryError, RecursionError, ValueError) as error:
        message = f"{path} cannot be read as JSON: {str(error) or type(error).__name__}"
        raise InputError(ErrorCode.INPUT_UNREADABLE, message) from error
    return None if entries is None else EntriesSource(file, entries, ignored)
