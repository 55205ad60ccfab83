"""An input file as it was when a run opened it, and whether it still is that file."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from goldilocks_batch.core.errors import ErrorCode, RunError

__all__ = ["BY_TIME", "Opened", "changed", "digest_of_file", "digest_of_files"]

#: So many files, of so many bytes in all, have their contents digested; more of them their sizes and times.
_MODEST_FILES, _MODEST_BYTES = 20_000, 2**29
#: For run records: what the digest of more of them is made of.
BY_TIME = "sizes and times of change"


def digest_of_file(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_files(files: Sequence[tuple[str, Path]]) -> tuple[str, bool]:
    """Return a digest of many files, and whether it is of their contents.

    It covers their names, and their contents where that is modest work; else their sizes and times of
    change, so that a file changed without either is not seen, and one that is only touched is.

    Args:
        files: the names that count, and where the files lie.
    """
    states = [_state(path) for _, path in files]
    modest = len(states) <= _MODEST_FILES and sum(state.st_size for state in states if state) <= _MODEST_BYTES
    digest = hashlib.sha256()
    for (name, path), state in zip(files, states, strict=True):
        digest.update(f"{name}\0{_content(path, state) if modest else _times(state)}\n".encode())
    return digest.hexdigest(), modest


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):  # gone, or a dangling link, or a name that is none
        return None


def _content(path: Path, state: os.stat_result | None) -> str:
    if state is None or not stat.S_ISREG(state.st_mode):  # opening a pipe would wait for its other end
        return "none"
    try:
        return digest_of_file(path)
    except OSError:
        return "unreadable"


def _times(state: os.stat_result | None) -> str:
    return "none" if state is None else f"{state.st_size}\0{state.st_mtime_ns}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose content is known; travels with what is to be read from it.

    Attributes:
        path: where it lies.
        size: bytes.
        changed: when it was changed last, ns since the epoch.
        digest: sha256 of its content.
    """

    path: Path
    size: int
    changed: int
    digest: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """A file as it is now.

        Raises:
            OSError: it cannot be read.
        """
        about = path.stat()
        return cls(path, about.st_size, about.st_mtime_ns, digest_of_file(path))

    def check(self) -> None:
        """Make sure that the file holds what it held; contents are read again only if its time has changed.

        Raises:
            RunError: INPUT_CHANGED.
            OSError: it is not there, or cannot be read.
        """
        about = self.path.stat()
        if (about.st_size, about.st_mtime_ns) == (self.size, self.changed):
            return
        if about.st_size != self.size or _digest(self.path, about.st_mtime_ns) != self.digest:
            raise changed(str(self.path))


# a file that was only touched is read once more, not once for each of its pieces
@lru_cache(maxsize=8)
def _digest(path: Path, _changed: int) -> str:
    return digest_of_file(path)


def changed(what: str) -> RunError:
    """The error for an input that is another than at the start of a run."""
    return RunError(
        ErrorCode.INPUT_CHANGED,
        f"{what} has changed since the run began: its rows would be mixed with those of the former content. "
        "Put the former content back and run the same command again, or begin anew with another --output",
    )
