"""Where inputs are written: folders, archives, or files of many rows; all appear at the end, whole."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import tarfile
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Protocol, cast

from goldilocks_batch.core.errors import ErrorCode, RunError

__all__ = ["MARKER", "Place", "archive_ending", "lines_at", "place_at", "shard_name", "staged", "vacant"]

#: Endings of archives that are written.
_ARCHIVES = (".zip", ".tar.gz", ".tgz")
_GZIP_LEVEL = 6
#: Seconds after which what an export was writing, and has not touched since, is left over.
_LEFT = 3600.0
#: Marks a folder as one that an export has written, which another may replace.
MARKER = "export.json"


class Place(Protocol):
    """Takes files of a folder each."""

    def add(self, name: str, files: Mapping[str, str]) -> None:
        """Write some files into a new folder of this name."""

    def put(self, path: Path) -> None:
        """Take a file over into the place itself, under its own name."""


class Folder:
    """Folders of a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, name: str, files: Mapping[str, str]) -> None:
        """Write files."""
        folder = self._path / name
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")

    def put(self, path: Path) -> None:
        """Move it there."""
        path.replace(self._path / path.name)


class Zip:
    """Folders in a zip file; its table of contents is kept in memory until its end."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._when = time.localtime()[:6]

    def add(self, name: str, files: Mapping[str, str]) -> None:
        """Write files."""
        for file, text in files.items():
            self._archive.writestr(self._about(f"{name}/{file}"), text.encode())

    def put(self, path: Path) -> None:
        """Copy it in."""
        about = self._about(path.name)
        about.file_size = path.stat().st_size
        with path.open("rb") as source, self._archive.open(about, "w") as target:
            shutil.copyfileobj(source, target)
        path.unlink()

    def _about(self, name: str) -> zipfile.ZipInfo:
        about = zipfile.ZipInfo(name, self._when)
        about.compress_type = zipfile.ZIP_DEFLATED
        about.external_attr = 0o100644 << 16
        return about


class Tar:
    """Folders in a compressed tar file."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._when = int(time.time())

    def add(self, name: str, files: Mapping[str, str]) -> None:
        """Write files."""
        for file, text in files.items():
            data = text.encode()
            self._write(f"{name}/{file}", len(data), io.BytesIO(data))

    def put(self, path: Path) -> None:
        """Copy it in."""
        with path.open("rb") as source:
            self._write(path.name, path.stat().st_size, source)
        path.unlink()

    def _write(self, name: str, size: int, stream: IO[bytes]) -> None:
        about = tarfile.TarInfo(name)
        about.size, about.mtime, about.mode = size, self._when, 0o644
        self._archive.addfile(about, stream)
        self._archive.members = []  # type: ignore[attr-defined]  # it would keep them all


def archive_ending(path: Path) -> str:
    """The ending by which a path is an archive, or nothing."""
    return next((ending for ending in _ARCHIVES if path.name.lower().endswith(ending)), "")


def shard_name(path: Path, shard: int, shards: int) -> str:
    """The name of one of several files: which of how many stands before the endings."""
    if shards == 1:
        return path.name
    ending = archive_ending(path) or path.suffix
    if ending == ".gz":
        ending = "".join(path.suffixes[-2:])
    digits = len(str(shards))
    return f"{path.name[: -len(ending) or None]}-{shard + 1:0{digits}d}-of-{shards}{ending}"


def vacant(path: Path, *, overwrite: bool, folder: bool) -> None:
    """Make sure that nothing is lost by writing there.

    Args:
        path: where something is to appear.
        overwrite: replace a file, or a folder that an export has written.
        folder: it is to be a folder.

    Raises:
        RunError: OUTPUT_EXISTS.
    """
    if not path.exists() or (folder and path.is_dir() and not any(path.iterdir())):
        return
    if overwrite and path.is_dir() == folder and (not folder or (path / MARKER).is_file()):
        return
    if overwrite:
        message = f"{path} was not written by an export, and is left alone: choose another --output"
    else:
        message = f"{path} is there already: choose another --output, or replace it with --overwrite"
    raise RunError(ErrorCode.OUTPUT_EXISTS, message)


@contextlib.contextmanager
def place_at(path: Path) -> Iterator[Place]:
    """A folder that is there, or a new archive by the ending of its name."""
    ending = archive_ending(path)
    if not ending:
        yield Folder(path)
    elif ending == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            yield Zip(zipped)
    else:
        with _gzipped(path) as stream, tarfile.open(fileobj=stream, mode="w|") as tarred:
            yield Tar(tarred)


@contextlib.contextmanager
def lines_at(path: Path) -> Iterator[IO[str]]:
    """A new file of text, compressed by its ending."""
    if path.suffix == ".gz":
        with _gzipped(path) as stream, io.TextIOWrapper(stream, "utf-8", newline="") as text:
            yield text
    else:
        with path.open("w", encoding="utf-8", newline="") as text:
            yield text


@contextlib.contextmanager
def _gzipped(path: Path) -> Iterator[IO[bytes]]:
    with path.open("wb") as raw, gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as stream:
        yield cast(IO[bytes], stream)


@contextlib.contextmanager
def staged(final: Path, *, folder: bool) -> Iterator[Path]:
    """A folder beside the final place, whose content takes that place when the block ends without an error.

    Args:
        final: the place.
        folder: the folder itself becomes the place; else the files in it come to lie where it is.

    Raises:
        RunError: WRITE_FAILED, the file system refuses (full, read-only, gone).
    """
    stage = final.with_name(f".{final.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    _sweep(final)
    try:
        stage.mkdir(parents=True)
        # unpublished structures are nobody else's business
        stage.chmod(stage.stat().st_mode & ~0o007)
        yield stage
        if folder:
            if final.is_dir():
                shutil.rmtree(final)
            stage.rename(final)
        else:
            for path in sorted(stage.iterdir()):
                path.chmod(path.stat().st_mode & ~0o007)
                path.replace(final.with_name(path.name))
    except OSError as error:
        raise RunError(
            ErrorCode.WRITE_FAILED,
            f"cannot write {final}: {error}. Free space or choose another output, then run the same command "
            "again",
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _sweep(final: Path) -> None:
    """Remove what exports to this place that were killed have left, and nothing has been written to since."""
    with contextlib.suppress(OSError):
        for path in final.parent.iterdir():
            if path.name.startswith(f".{final.name}.") and path.name.endswith(".tmp") and path.is_dir():
                newest = max(place.stat().st_mtime for place in (path, *path.iterdir()))
                if time.time() - newest > _LEFT:
                    shutil.rmtree(path, ignore_errors=True)
