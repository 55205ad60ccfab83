"""Structures in ``.zip``, ``.tar.gz`` and ``.tgz`` archives, read without unpacking to disk."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources.files import (
    MAX_BYTES,
    FormatCensus,
    decoded,
    digest_of_file,
    format_of,
    id_of,
    safe_text,
)
from goldilocks_batch.structures.sources.reference import Reference, TextPayload, failed

__all__ = ["ArchiveSource", "Member", "is_archive", "open_archive"]

# what reading a damaged or encrypted member raises
UNREADABLE = (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive.

    Attributes:
        name: path in the archive.
        size: declared size, bytes, uncompressed.
        offset: where its data start in the uncompressed tar stream; unused in zip files.
    """

    name: str
    size: int
    offset: int = 0


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive this module reads."""
    return path.name.lower().endswith((".zip", ".tar.gz", ".tgz"))


@dataclass(frozen=True)
class ArchivePiece:
    """Some members of one archive."""

    path: Path
    members: tuple[Member, ...]

    def __len__(self) -> int:
        return len(self.members)

    def read(self) -> list[Reference]:
        """Return one reference a member, with its text."""
        return [self._read_member(member) for member in self.members]

    def _read_member(self, member: Member) -> Reference:
        name, structure_id = safe_text(member.name), id_of(member.name)
        source = f"{safe_text(str(self.path))}:{name}"
        if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
            message = f"member {name} points out of the archive"
            return failed(structure_id, source, ErrorCode.PATH_FORBIDDEN, message)
        try:
            data = _member_bytes(self.path, member) if member.size <= MAX_BYTES else None
        except UNREADABLE as error:
            message = f"member {name} cannot be read: {error}"
            return failed(structure_id, source, ErrorCode.FILE_UNREADABLE, message)
        if data is None or len(data) > MAX_BYTES:
            message = f"member {name} is larger than {MAX_BYTES} bytes, the limit for one structure"
            return failed(structure_id, source, ErrorCode.FILE_UNREADABLE, message)
        file_format = format_of(member.name)
        if file_format is None:
            return failed(
                structure_id, source, ErrorCode.FORMAT_UNKNOWN, f"member {name} has no known format"
            )
        return Reference(structure_id, source, TextPayload(file_format, decoded(data)))


@dataclass(frozen=True)
class ArchiveSource:
    """An archive's structure files, in the archive's order."""

    path: Path
    members: list[Member]
    digest: str
    census: FormatCensus

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
        yield [id_of(member.name) for member in self.members]

    def pieces(self, start: int, stop: int) -> Iterator[ArchivePiece]:
        """Rows ``start`` to ``stop``, as one piece."""
        yield ArchivePiece(self.path, tuple(self.members[start:stop]))

    def describe(self) -> dict[str, object]:
        """For the run record."""
        about: dict[str, object] = {"path": safe_text(str(self.path)), "kind": "archive"}
        return about | {"rows": self.rows, "digest": self.digest} | self.census.describe()


def open_archive(path: Path) -> ArchiveSource:
    """List an archive's regular files that are structures.

    Raises:
        InputError: the archive cannot be read to its end.
    """
    census = FormatCensus()
    listing = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    try:
        members = [member for member in listing(path) if census.knows(member.name)]
        digest = digest_of_file(path)
    except (*UNREADABLE, tarfile.TarError) as error:
        message = f"{path} cannot be read as an archive: {error}"
        raise InputError(ErrorCode.INPUT_UNREADABLE, message) from error
    return ArchiveSource(path, members, digest, census)


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # zero where no Unix mode was recorded
            if not info.is_dir() and kind in (0, stat.S_IFREG):
                yield Member(info.filename, info.file_size)


def _tar_members(path: Path) -> Iterator[Member]:
    with tarfile.open(path, "r:gz") as archive:
        for info in archive:
            if info.isreg() and not info.issparse():
                yield Member(info.name, info.size, info.offset_data)
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep every header


def _member_bytes(path: Path, member: Member) -> bytes:
    about = path.stat()
    opened = _opened(path, about.st_size, about.st_mtime_ns)
    if isinstance(opened, zipfile.ZipFile):
        with opened.open(member.name) as file:
            return file.read(MAX_BYTES + 1)
    opened.seek(member.offset)
    data = opened.read(member.size)
    if len(data) < member.size:
        raise EOFError("the archive ends inside it")
    return data


@lru_cache(maxsize=1)
def _opened(path: Path, _size: int, _changed: int) -> zipfile.ZipFile | gzip.GzipFile:
    """Return the archive, kept open: a zip's directory is read once, and a gzip stream only goes forward.

    Consecutive pieces in one process continue where the last one stopped.
    """
    if path.name.lower().endswith(".zip"):
        return zipfile.ZipFile(path)
    return gzip.open(path)
