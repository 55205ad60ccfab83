"""Structures in ``.zip``, ``.tar.gz`` and ``.tgz`` archives, read without unpacking to disk."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from goldilocks_batch.core.errors import ErrorCode, InputError, Stage, StructureError
from goldilocks_batch.structures.sources.compression import expanded
from goldilocks_batch.structures.sources.files import MAX_BYTES, decoded, digest_of_ids
from goldilocks_batch.structures.sources.formats import FormatCensus, format_of, id_of, safe_text
from goldilocks_batch.structures.sources.listing import Member, list_tar, list_zip
from goldilocks_batch.structures.sources.reference import Name, Payload, Reference, TextPayload, reference_to
from goldilocks_batch.structures.sources.state import Opened, digest_of_file

__all__ = ["ArchiveSource", "open_archive"]


@dataclass(frozen=True)
class ArchivePiece:
    """Some members of one archive."""

    file: Opened
    members: tuple[Member, ...]
    called: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.members)

    def names(self) -> list[Name]:
        """Return the members' names."""
        path = safe_text(str(self.file.path))
        ids = (self.called.get(member.name) or id_of(member.name) for member in self.members)
        return [Name(own, f"{path}:{safe_text(m.name)}") for own, m in zip(ids, self.members, strict=True)]

    def read(self) -> list[Reference]:
        """Return one reference a member, with its text.

        Raises:
            RunError: INPUT_CHANGED.
        """
        pairs = zip(self.names(), self.members, strict=True)
        return [reference_to(name, partial(_payload, self.file, member)) for name, member in pairs]


def _payload(file: Opened, member: Member) -> Payload:
    name = safe_text(member.name)
    if member.problem is not None:
        raise StructureError(*member.problem, stage=Stage.READ)
    file.check()
    data = _member_bytes(file, member) if member.size <= MAX_BYTES else None
    if data is not None:
        data = expanded(member.name, data, MAX_BYTES + 1)
    if data is None or len(data) > MAX_BYTES:
        message = f"member {name} is larger than {MAX_BYTES} bytes, the limit for one structure"
        raise StructureError(ErrorCode.FILE_UNREADABLE, message, stage=Stage.READ)
    file_format = format_of(member.name)
    if file_format is None:
        message = f"member {name} has no known format"
        raise StructureError(ErrorCode.FORMAT_UNKNOWN, message, stage=Stage.READ)
    return TextPayload(file_format, decoded(data))


@dataclass(frozen=True)
class ArchiveSource:
    """An archive's structure files, in the archive's order."""

    file: Opened
    members: list[Member]
    census: FormatCensus
    called: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Sha256 of the archive."""
        return self.file.digest

    @property
    def rows(self) -> int:
        """Number of structure files in it."""
        return len(self.members)

    @property
    def limits(self) -> list[int]:
        """Ends of the stretches that are cheap to read together: none but the last row."""
        return [self.rows]

    def ids(self) -> Iterator[list[str]]:
        """All ids in order, in batches."""
        yield [self.called.get(member.name) or id_of(member.name) for member in self.members]

    def pieces(self, start: int, stop: int) -> Iterator[ArchivePiece]:
        """Rows ``start`` to ``stop``, as one piece."""
        members = tuple(self.members[start:stop])
        called = {m.name: self.called[m.name] for m in members if m.name in self.called}
        yield ArchivePiece(self.file, members, called)

    def describe(self) -> dict[str, object]:
        """For the run record."""
        about: dict[str, object] = {"path": safe_text(str(self.file.path)), "kind": "archive"}
        about |= {"rows": self.rows, "digest": self.digest} | digest_of_ids(self.called)
        return about | self.census.describe()

    def current_digest(self) -> str:
        """The digest of what is there now.

        Raises:
            OSError: the archive cannot be read.
        """
        return digest_of_file(self.file.path)


def open_archive(path: Path) -> ArchiveSource:
    """List an archive's files that are structures, those that are links to files in it among them.

    Raises:
        InputError: the archive cannot be read to its end, or does not end as an archive does.
    """
    census = FormatCensus()
    listing = list_zip if path.name.lower().endswith(".zip") else list_tar
    try:
        members = [member for member in listing(path) if census.knows(member.name)]
        file = Opened.of(path)
    except Exception as error:  # decoders of damaged data raise anything
        message = f"{path} cannot be read as an archive: {str(error) or type(error).__name__}"
        raise InputError(ErrorCode.INPUT_UNREADABLE, message) from error
    return ArchiveSource(file, members, census)


def _member_bytes(file: Opened, member: Member) -> bytes:
    try:
        return _read(_opened(file), member)
    except Exception:
        _opened.cache_clear()  # a decoder that has failed is in no state to go on from
        raise


def _read(opened: zipfile.ZipFile | gzip.GzipFile, member: Member) -> bytes:
    if isinstance(opened, zipfile.ZipFile):
        with opened.open(member.data) as stream:
            return stream.read(MAX_BYTES + 1)
    opened.seek(member.offset)
    data = opened.read(member.size)
    if len(data) < member.size:
        raise EOFError("the archive ends inside it")
    return data


@lru_cache(maxsize=1)
def _opened(file: Opened) -> zipfile.ZipFile | gzip.GzipFile:
    """Return the archive, kept open: a zip's directory is read once, and a gzip stream only goes forward.

    Consecutive pieces in one process continue where the last one stopped.
    """
    if file.path.name.lower().endswith(".zip"):
        return zipfile.ZipFile(file.path)
    return gzip.open(file.path)
