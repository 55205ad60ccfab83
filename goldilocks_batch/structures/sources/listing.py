"""What is in an archive: its files, and its links to them; an archive that is cut or damaged is refused."""

from __future__ import annotations

import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, cast

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.structures.sources.formats import safe_text

__all__ = ["Member", "list_tar", "list_zip"]

#: Links that lead to one another, at most, as on Linux.
_LINKS = 40
#: Bytes of the longest path that a link in a zip file may hold.
_LONGEST_PATH = 4096
_BLOCK = tarfile.BLOCKSIZE
_AT_ONCE = 2**20


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: path in the archive.
        data: path of the member that holds its data: its own, or where links lead.
        size: declared size, bytes, uncompressed.
        offset: where its data start in the uncompressed tar stream; unused in zip files.
        problem: why it cannot be read, None if nothing is known against it.
    """

    name: str
    data: str
    size: int = 0
    offset: int = 0
    problem: tuple[ErrorCode, str] | None = None


@dataclass(frozen=True, slots=True)
class _Link:
    """A link, and the path in the archive that it stands for; a hard link is to what came before it."""

    name: str
    target: str
    hard: bool = False


def list_zip(path: Path) -> list[Member]:
    """Return the members of a zip file that are no folders.

    Raises:
        Exception: it cannot be read; of many kinds.
    """
    with zipfile.ZipFile(path) as archive:
        return _resolved(list(_zip_entries(archive)))


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[Member | _Link]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # zero where no Unix mode was recorded
        if info.is_dir() or kind == stat.S_IFDIR:
            continue
        if kind == stat.S_IFLNK:
            yield _zip_link(archive, info)
        elif kind in (0, stat.S_IFREG):
            yield Member(info.filename, info.filename, info.file_size)
        else:
            yield _unreadable(info.filename, "is no regular file")


def _zip_link(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member | _Link:
    try:
        with archive.open(info) as stream:
            target = stream.read(_LONGEST_PATH).decode("utf-8", "surrogateescape")
    except Exception as error:  # decoders of damaged data raise anything
        return _unreadable(info.filename, f"is a link that cannot be read: {error}")
    return _Link(info.filename, posixpath.join(posixpath.dirname(info.filename), target))


def list_tar(path: Path) -> list[Member]:
    """Return the members of a compressed tar file that are no folders; it is read to its end.

    Raises:
        Exception: it cannot be read, or does not end as it should; of many kinds.
    """
    with tarfile.open(path, "r:gz") as archive:
        entries = list(_tar_entries(archive))
        _check_end(archive)
    return _resolved(entries)


def _tar_entries(archive: tarfile.TarFile) -> Iterator[Member | _Link]:
    for info in archive:
        if info.issym():
            yield _Link(info.name, posixpath.join(posixpath.dirname(info.name), info.linkname))
        elif info.islnk():
            yield _Link(info.name, info.linkname, hard=True)
        elif info.issparse():
            yield _unreadable(info.name, "is stored with holes (a sparse file): archive it without")
        elif info.isreg():
            yield Member(info.name, info.name, info.size, info.offset_data)
        elif not info.isdir():
            yield _unreadable(info.name, "is no regular file")
        archive.members.clear()  # type: ignore[attr-defined]  # it would keep every header


def _check_end(archive: tarfile.TarFile) -> None:
    """Make sure that the listing ended at the end: `tarfile` takes any block that is no header for it.

    After the last member come blocks of zeros and nothing else (POSIX.1-2017, pax, "ustar Interchange
    Format"); reading on to the end of the stream also checks its length and checksum (RFC 1952).

    Raises:
        ReadError: a header is damaged, or the archive is cut.
        OSError, EOFError, zlib.error: the compressed stream is damaged or cut.
    """
    stream = cast("IO[bytes]", archive.fileobj)
    stream.seek(archive.offset)  # where the last header was looked for
    zeros = 0
    while block := stream.read(_AT_ONCE):
        if block.count(0) != len(block):
            place = archive.offset + zeros
            raise tarfile.ReadError(
                f"what stands at byte {place} of its content is no member, and not the end: it is damaged, "
                "or several archives are joined"
            )
        zeros += len(block)
    if zeros < _BLOCK:
        raise tarfile.ReadError("it ends without the blocks that end an archive: it was cut")


def _unreadable(name: str, why: str) -> Member:
    return Member(name, name, problem=(ErrorCode.FILE_UNREADABLE, f"member {safe_text(name)} {why}"))


def _resolved(entries: list[Member | _Link]) -> list[Member]:
    """The members, with links as the members that they stand for, in the archive's order."""
    # of several members of one name the last one counts, as when an archive is unpacked
    known = {posixpath.normpath(entry.name): entry for entry in entries}
    earlier: dict[str, Member | _Link] = {}
    members: list[Member] = []
    for entry in entries:
        first = (
            earlier.get(posixpath.normpath(entry.target)) if isinstance(entry, _Link) and entry.hard else None
        )
        members.append(_checked(_followed(entry, known, first)))
        earlier[posixpath.normpath(entry.name)] = entry
    return members


def _followed(
    entry: Member | _Link, known: dict[str, Member | _Link], first: Member | _Link | None
) -> Member:
    """The member that a link leads to, by its own name; ``first``: where it leads first, if that is known."""
    name, steps = entry.name, 0
    while isinstance(entry, _Link):
        target = posixpath.normpath(entry.target)
        if target.startswith(("/", "../")) or target == "..":
            message = f"member {safe_text(name)} is a link out of the archive, to {safe_text(target)}"
            return Member(name, name, problem=(ErrorCode.PATH_FORBIDDEN, message))
        found, first, steps = first or known.get(target), None, steps + 1
        if found is None or steps > _LINKS:
            what = "no file of the archive" if found is None else "itself"
            message = f"member {safe_text(name)} is a link to {safe_text(target)}, which is {what}"
            return Member(name, name, problem=(ErrorCode.FILE_NOT_FOUND, message))
        entry = found
    return replace(entry, name=name)


def _checked(member: Member) -> Member:
    if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
        message = f"member {safe_text(member.name)} points out of the archive"
        return replace(member, problem=(ErrorCode.PATH_FORBIDDEN, message))
    return member
