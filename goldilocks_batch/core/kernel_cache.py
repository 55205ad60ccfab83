"""Where the machine code of kernels is kept.

It is kept outside of the installation, which may be read-only and of which nothing is to be left behind: in a
folder of the project's cache that is named by the package's version and a digest of the kernels' source and
of how they are compiled.

Numba's files are pickles.  They are taken only from folders that nobody could have written to but this user,
the administrator and the owner of the package's own files.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from goldilocks_batch.core.places import cache_folder, user_cache_folder
from goldilocks_batch.core.temporary import TemporaryFolder
from goldilocks_batch.core.versions import source_digest, versions

__all__ = ["has_code", "kernel_folder", "kernel_modules"]

_PACKAGE = Path(__file__).resolve().parents[1]
#: They say how kernels are compiled.
_COMPILERS = (_PACKAGE / "core" / "compiled.py", _PACKAGE / "core" / "lanes.py")
#: What tells a module that holds kernels.
_MARK = b"\n@kernel("
#: Write permissions of others than the owner.
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@cache
def kernel_modules() -> tuple[Path, ...]:
    """The files of the package in which kernels are defined, sorted."""
    return tuple(path for path in sorted(_PACKAGE.rglob("*.py")) if _MARK in path.read_bytes())


@cache
def kernel_folder() -> Path:
    """The folder for the code of this installation's kernels; made if it is missing.

    That is ``kernels/<version>-<digest>`` in the project's cache, or, where that can't be written, in the
    user's, or in a temporary folder of the user's own.  Code that lies in a read-only cache is copied there.
    """
    key = f"{versions()['goldilocks-batch']}-{source_digest((*_COMPILERS, *kernel_modules()))[:16]}"
    filled: Path | None = None
    for base in _bases():
        folder = base / "kernels" / key
        if _own(folder):
            if filled is not None and not has_code(folder):
                _copy(filled, folder)
            return folder
        if filled is None and has_code(folder) and _trusted(folder):
            filled = folder
    raise AssertionError("a new folder cannot be written")


def has_code(folder: Path) -> bool:
    """Whether code of any kernel of this package is kept in a folder."""
    names = {path.stem for path in kernel_modules()}
    try:
        return any(path.name.split(".")[0] in names for path in folder.glob("*/*.nbi"))
    except OSError:
        return False


def _bases() -> Iterator[Path]:
    """Where a folder for kernels may be, the best place first; the last one can be written."""
    with contextlib.suppress(RuntimeError):  # there is no home
        yield cache_folder()
    with contextlib.suppress(RuntimeError):
        yield user_cache_folder()
    temporary = Path(tempfile.gettempdir()) / f"goldilocks-batch-{os.getuid()}"
    if _own(temporary):
        yield temporary
    own = TemporaryFolder("kernels")
    atexit.register(own.close)
    yield own.path


def _own(folder: Path) -> bool:
    """Make a folder; whether it is this user's own, and nobody else can write to it or to what is in it."""
    try:
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
            return False
        if about.st_mode & _OTHERS_WRITE:
            if not new:
                return False
            folder.chmod(0o700)  # so would be what is made in it
        return os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _trusted(folder: Path) -> bool:
    """Whether only this user, the administrator and the package's owner could write what is in a folder."""
    owners = {0, os.getuid(), _PACKAGE.stat().st_uid}
    try:
        found = [path.lstat() for path in (folder, *folder.rglob("*"))]
    except OSError:
        return False
    return all(
        about.st_uid in owners and not stat.S_ISLNK(about.st_mode) and not about.st_mode & _OTHERS_WRITE
        for about in found
    )


def _copy(filled: Path, folder: Path) -> None:
    """Put copies of a folder's folders in place whole: other processes may read them at the same time."""
    with contextlib.suppress(OSError):  # another process was first, or the disk is full: kernels are compiled
        for source in filled.iterdir():
            beside = folder / f".{source.name}.{uuid.uuid4().hex[:8]}"
            shutil.copytree(source, beside)
            beside.rename(folder / source.name)
