"""Structures in files of their own: directories and single files."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goldilocks_batch.core.errors import ErrorCode, InputError, Stage, StructureError
from goldilocks_batch.structures.sources.compression import DAMAGED, expanded
from goldilocks_batch.structures.sources.formats import KNOWN_NAMES, FormatCensus, format_of, id_of, safe_text
from goldilocks_batch.structures.sources.reference import FilePayload, Name, Reference, failed
from goldilocks_batch.structures.sources.state import BY_TIME, digest_of_file, digest_of_files

__all__ = [
    "FilesSource",
    "decoded",
    "digest_of_ids",
    "open_directory",
    "open_file",
    "read_text",
    "reference_to_file",
]

MAX_BYTES = 64 * 2**20
"""The largest file or archive member that is read as one structure, bytes."""

RECORD = "run.json"
#: A run's record tells what it is in so many bytes.
_BEGINNING = 4096


def read_text(path: Path) -> str:
    """Return the text of a structure file, expanded if it is compressed, as :func:`decoded`.

    Raises:
        StructureError: the file is missing, unreadable, or larger than :data:`MAX_BYTES`.
    """
    name = safe_text(str(path))
    try:
        if not path.is_file():
            found = "is not a regular file" if path.exists() else "does not exist"
            raise StructureError(ErrorCode.FILE_NOT_FOUND, f"{name} {found}", stage=Stage.READ)
        with path.open("rb") as file:
            data = expanded(path.name, file.read(MAX_BYTES + 1), MAX_BYTES + 1)
    except DAMAGED as error:
        message = f"{name} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise StructureError(ErrorCode.FILE_UNREADABLE, message, stage=Stage.READ) from error
    if len(data) > MAX_BYTES:
        message = f"{name} is larger than {MAX_BYTES} bytes, the limit for one structure"
        raise StructureError(ErrorCode.FILE_UNREADABLE, message, stage=Stage.READ)
    return decoded(data)


def decoded(data: bytes) -> str:
    """Return the text of a file: UTF-16 where a byte-order mark or zero bytes say so, else UTF-8.

    Bytes that are none become U+FFFD; a byte-order mark is left out.
    """
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return data.decode("utf-16", "replace")
    if len(data) > 3 and data[:4].count(0) == 2 and not len(data) % 2:
        return data.decode("utf-16-le" if data[1] == 0 else "utf-16-be", "replace")
    return data.decode("utf-8-sig", "replace")


def reference_to_file(structure_id: str, path: Path) -> Reference:
    """Return a reference to a file that is opened later; one of unknown format has failed already."""
    source = safe_text(str(path))
    file_format = format_of(path.name)
    if file_format is None:
        message = f"{source} has no known format; known are {KNOWN_NAMES}"
        return failed(structure_id, source, ErrorCode.FORMAT_UNKNOWN, message)
    return Reference(structure_id, source, FilePayload(path, file_format))


def digest_of_ids(called: Mapping[str, str]) -> dict[str, object]:
    """For the run record: a digest of the ids that depend on other inputs, nothing if none do."""
    if not called:
        return {}
    lines = "".join(f"{safe_text(name)}\0{own}\n" for name, own in sorted(called.items()))
    return {"ids": hashlib.sha256(lines.encode()).hexdigest()}


@dataclass(frozen=True)
class FilesPiece:
    """Some files of a directory, by their paths relative to it, or one single file."""

    root: Path
    paths: tuple[str, ...]
    called: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def names(self) -> list[Name]:
        """Return the files' names."""
        return [Name(self._id(name), safe_text(str(self.root / name))) for name in self.paths]

    def read(self) -> list[Reference]:
        """Return one reference a file; nothing is opened yet."""
        return [reference_to_file(self._id(name), self.root / name) for name in self.paths]

    def _id(self, name: str) -> str:
        return self.called.get(name) or id_of(name)


@dataclass(frozen=True)
class FilesSource:
    """A directory's structure files, sorted by path, or a single file.

    ``called`` holds the ids of files that would share theirs with others, by name.
    """

    path: Path
    kind: str
    root: Path
    names: Sequence[str]
    digest: str
    census: FormatCensus = field(default_factory=FormatCensus)
    of_contents: bool = True
    called: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of files."""
        return len(self.names)

    @property
    def limits(self) -> list[int]:
        """Ends of the stretches that are cheap to read together: none but the last row."""
        return [self.rows]

    def ids(self) -> Iterator[list[str]]:
        """All ids in order, in batches."""
        yield [self.called.get(name) or id_of(name) for name in self.names]

    def pieces(self, start: int, stop: int) -> Iterator[FilesPiece]:
        """Rows ``start`` to ``stop``, as one piece."""
        names = tuple(self.names[start:stop])
        called = {name: self.called[name] for name in names if name in self.called} if self.called else {}
        yield FilesPiece(self.root, names, called)

    def describe(self) -> dict[str, object]:
        """For the run record."""
        about: dict[str, object] = {"path": safe_text(str(self.path)), "kind": self.kind}
        about |= {"rows": self.rows, "digest": self.digest}
        if not self.of_contents:
            about["digest_of"] = BY_TIME
        about |= digest_of_ids(self.called)
        return about | self.census.describe() if self.kind == "directory" else about

    def current_digest(self) -> str:
        """The digest of the same files as they are now.

        Raises:
            OSError: a single file cannot be read.
        """
        return _digest(self.path, self.names)[0] if self.kind == "directory" else digest_of_file(self.path)


def open_file(path: Path) -> FilesSource:
    """Open one structure file as a source of one row.

    Raises:
        InputError: the name's ending is not one of a known format, or the file cannot be read.
    """
    if format_of(path.name) is None:
        message = (
            f"{path} has no known format; known are {KNOWN_NAMES}; *.jsonl, *.parquet, *.zip, *.tar.gz, *.tgz"
        )
        raise InputError(ErrorCode.FORMAT_UNKNOWN, message)
    try:
        digest = digest_of_file(path)
    except OSError as error:
        raise InputError(ErrorCode.INPUT_UNREADABLE, f"{path} cannot be read: {error}") from error
    return FilesSource(path, "file", path.parent, [path.name], digest)


def open_directory(path: Path) -> FilesSource:
    """List a directory's structure files, recursively; links are followed, loops of them are not.

    The digest covers every listed file's relative path and its content
    (:func:`~goldilocks_batch.structures.sources.state.digest_of_files`).

    Raises:
        InputError: a folder in it cannot be listed.
    """
    census = FormatCensus()
    try:
        names = sorted(_walk(path, "", (), census))
    except OSError as error:
        raise InputError(ErrorCode.INPUT_UNREADABLE, f"{path} cannot be listed: {error}") from error
    digest, of_contents = _digest(path, names)
    return FilesSource(path, "directory", path, names, digest, census, of_contents)


def _digest(root: Path, names: Sequence[str]) -> tuple[str, bool]:
    return digest_of_files([(safe_text(name), root / name) for name in names])


def _walk(
    root: Path, prefix: str, above: tuple[tuple[int, int], ...], census: FormatCensus, *, of_run: bool = False
) -> Iterator[str]:
    folder = root / prefix
    about = folder.stat()
    here = (about.st_dev, about.st_ino)
    if here in above:  # a link to a folder that holds it
        return
    has_record = _is_record(folder / RECORD)
    of_run = of_run or has_record
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.is_dir():
                yield from _walk(root, f"{name}/", (*above, here), census, of_run=of_run)
            elif entry.name == RECORD and has_record:
                census.ignored["(records of runs)"] += 1
            elif census.knows(name, of_run=of_run):  # a dangling link keeps its row, which then fails
                yield name


def _is_record(path: Path) -> bool:
    """Whether a ``run.json`` is what a run of this package keeps in its output folder, and no structure."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError:
        return False
    return all(f'"{key}":'.encode() in beginning for key in ("state", "started", "fingerprint"))
