"""The project's cache of model files, and the lock files that pin what no registry pins.

The cache is laid out ``<organisation>/<repository>/<file>``, as ``--artifacts`` is, so a copy of it on
another machine is used by naming it there.  Beside the files of a repository lies ``goldilocks-lock.json``:
the digests that its files had when they were first fetched, and the commit they are of.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from goldilocks_batch.artifacts.folder import PLAIN_NAME, SHA256, RecordPart, parsed_json, read_plain
from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError
from goldilocks_batch.core.files import atomic_path

__all__ = [
    "LOCK_FILE",
    "Locked",
    "LockedFolder",
    "Pins",
    "changed_pins",
    "exclusive",
    "note_origin",
    "origin_of",
    "read_pins",
]

LOCK_FILE = "goldilocks-lock.json"
_LARGEST_LOCK = 4 * 2**20
_ORIGINS = ".fetched-from.json"


class Locked(RecordPart):
    """A file as it was first fetched."""

    sha256: str = Field(pattern=SHA256)
    size_bytes: int = Field(ge=0)
    revision: str


class LockedFolder(RecordPart):
    """What a folder of checkpoints held when it was first listed: an ensemble is these, no more, no fewer."""

    names: tuple[Annotated[str, Field(pattern=PLAIN_NAME)], ...] = Field(min_length=1)
    revision: str


class Pins(RecordPart):
    """The lock file of a repository; keys are paths inside it."""

    lock_version: Literal[1] = 1
    files: dict[str, Locked] = Field(default_factory=dict)
    folders: dict[str, LockedFolder] = Field(default_factory=dict)


def read_pins(repository: Path) -> Pins:
    """The lock file in a repository's folder; empty if there is none.

    Raises:
        ModelError: ARTIFACT_INVALID or ARTIFACT_FORBIDDEN, it is no such file.
    """
    if not (repository / LOCK_FILE).exists():
        return Pins()
    return parsed_json(Pins, read_plain(repository, LOCK_FILE, _LARGEST_LOCK), repository / LOCK_FILE)


class _Origins(RecordPart):
    """Addresses that files came from, by their paths in a repository; nothing is decided by them."""

    fetched_from: dict[str, str] = Field(default_factory=dict)


def origin_of(file: Path) -> str | None:
    """The address that a file was fetched from, as its repository's folder tells; None if it does not."""
    for repository in file.parents[:3]:
        if (repository / _ORIGINS).exists():
            return _origins(repository).get(file.relative_to(repository).as_posix())
    return None


def note_origin(repository: Path, path: str, address: str) -> None:
    """Write down where a file came from; whoever writes keeps others out.

    Raises:
        RunError: WRITE_FAILED.
    """
    known = _Origins(fetched_from=_origins(repository) | {path: address})
    with atomic_path(repository / _ORIGINS) as temporary:
        temporary.write_text(known.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _origins(repository: Path) -> dict[str, str]:
    """What is known of a repository's files; nothing if that file is damaged."""
    with contextlib.suppress(ModelError):
        data = read_plain(repository, _ORIGINS, _LARGEST_LOCK)
        return parsed_json(_Origins, data, repository / _ORIGINS).fetched_from
    return {}


@contextlib.contextmanager
def changed_pins(repository: Path) -> Iterator[Pins]:
    """Add to the dictionaries of what this yields; the lock file is written when the block ends well.

    Raises:
        ModelError: as :func:`read_pins`.
        RunError: WRITE_FAILED.
    """
    with exclusive(repository / ".lock.mutex"):
        pins = read_pins(repository)
        before = pins.model_dump_json()
        yield pins
        after = pins.model_dump_json(indent=1)
        if pins.model_dump_json() != before:
            with atomic_path(repository / LOCK_FILE) as temporary:
                temporary.write_text(after + "\n", encoding="utf-8")


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep other processes of this machine out of a block; the file is left behind, empty.

    Where the file system has no locks nobody is kept out: files are put in place whole all the same.

    Raises:
        RunError: WRITE_FAILED, the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a")
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot write to {path.parent}: {error}") from error
    with stream:
        with contextlib.suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
