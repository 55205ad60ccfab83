"""Where model files are looked for, and what of an entry of the registry lies there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from goldilocks_batch.artifacts.cache import read_pins
from goldilocks_batch.artifacts.registry import Entry, FileEntry

__all__ = ["Places", "holding", "names_expected", "names_there"]


@dataclass(frozen=True, slots=True)
class Places:
    """Where model files are looked for, in this order.

    Attributes:
        artifacts: a folder laid out ``<organisation>/<repository>/<file>`` that the user named, or None.
        cache: the project's own folder of that layout, or None.
        fetch: puts an entry's files into the cache, or raises ModelError; None: the network is not asked.
        lacking: told of what is in neither folder, which then counts as what the registry says it is: for a
            plan, that fetches nothing.
    """

    artifacts: Path | None = None
    cache: Path | None = None
    fetch: Callable[[Entry], None] | None = None
    lacking: Callable[[Entry], None] | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """Those of the two folders that there are."""
        return tuple(folder for folder in (self.artifacts, self.cache) if folder is not None)


def holding(entry: Entry, places: Places) -> Path | None:
    """The first of the two folders that holds an entry.

    A part of an ensemble counts as the ensemble in a folder of the user's, which is then refused for it; in
    the cache it is what an interrupted fetch leaves.
    """
    for folder in places.folders:
        there = names_there(entry, folder / entry.repository)
        if there and (
            folder == places.artifacts or there >= names_expected(entry, folder / entry.repository)
        ):
            return folder
    return None


def names_there(entry: Entry, repository: Path) -> set[str]:
    """Names of the files of an entry that are there."""
    path = repository / entry.path
    if isinstance(entry, FileEntry):
        return {path.name} if path.is_file() else set()
    return {file.name for file in path.glob(f"*{entry.ending}") if file.is_file()}


def names_expected(entry: Entry, repository: Path) -> set[str]:
    """Names of the files that an entry must have, as far as the registry or the lock file knows them."""
    if isinstance(entry, FileEntry):
        return {entry.path.rsplit("/", 1)[-1]}
    listed = read_pins(repository).folders.get(entry.path)
    return set(entry.sha256) or set(listed.names if listed else ())
