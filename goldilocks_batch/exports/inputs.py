"""The structures of a run, read again from its recorded inputs; of a changed one each row is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from goldilocks_batch.core.errors import ErrorCode, GoldilocksError, RunError
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import Source, SourceSet, open_sources

__all__ = ["Inputs"]


#: Rows that are read at once: of a compressed archive all that comes before is decompressed again each time.
_AHEAD = 5000


class Inputs:
    """The inputs of a run, in order; opened when a row of them is asked for.

    Args:
        entries: the run record's ``inputs``: path, rows and digest of each.
        reading: how they are opened, as in the run; see
            :func:`~goldilocks_batch.structures.sources.sourceset.open_sources`.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], reading: Mapping[str, Any]) -> None:
        self._entries = [(str(entry["path"]), int(entry["rows"]), _identity(entry)) for entry in entries]
        self._reading = dict(reading)
        self._rows = sum(rows for _, rows, _ in self._entries)
        self._first = 0
        self._ahead: list[Reference | GoldilocksError] = []
        self._opened: list[Source | GoldilocksError] | None = None
        #: Whether ids are those of the run: files are called by more of their paths where other inputs have
        #: files of the same names, so that they are not known where one of the inputs is missing.
        self.ids_known = True

    def read(self, start: int, stop: int) -> list[Reference | GoldilocksError]:
        """Rows ``start`` to ``stop`` of all inputs; in place of a row that cannot be had, why.

        Some thousand rows after them are read along, for who asks in ascending order.
        """
        if not self._first <= start <= stop <= self._first + len(self._ahead):
            self._ahead = []  # before others take their place
            self._ahead = self._read(start, max(stop, min(start + _AHEAD, self._rows)))
            self._first = start
        return self._ahead[start - self._first : stop - self._first]

    def folder_around(self, path: Path) -> str | None:
        """The folder among the inputs that a path lies in, if there is one."""
        return next((around for around, _, _ in self._entries if path.is_relative_to(around)), None)

    def check_unchanged(self) -> None:
        """Make sure that the inputs that were read still hold what they held.

        Raises:
            RunError: INPUT_CHANGED.
        """
        SourceSet(
            tuple(s for s in self._opened or () if not isinstance(s, GoldilocksError))
        ).check_unchanged()

    def _read(self, start: int, stop: int) -> list[Reference | GoldilocksError]:
        if self._opened is None:
            self._opened = self._open()
        found: list[Reference | GoldilocksError] = []
        offset = 0
        for (_, rows, _), source in zip(self._entries, self._opened, strict=True):
            first, last = max(start - offset, 0), min(stop - offset, rows)
            if first < last:
                found += _references(source, first, last)
            offset += rows
        lacking = stop - start - len(found)
        return found + [_changed("the record of the run", "names fewer rows than the results")] * lacking

    def _open(self) -> list[Source | GoldilocksError]:
        """The inputs; in place of one that is not what it was, why."""
        opened: list[Source | GoldilocksError]
        try:
            together = open_sources(
                [Path(path) for path, _, _ in self._entries], **self._reading, check_ids=False
            )
            opened = list(together.sources)
        except GoldilocksError:
            self.ids_known = False
            opened = [self._open_alone(path) for path, _, _ in self._entries]
        for place, ((path, _, identity), source) in enumerate(zip(self._entries, opened, strict=True)):
            if not isinstance(source, GoldilocksError) and _identity(source.describe()) != identity:
                opened[place] = _changed(path, "is not what it was when the run read it")
                self.ids_known = False
        return opened

    def _open_alone(self, path: str) -> Source | GoldilocksError:
        try:
            (source,) = open_sources((Path(path),), **self._reading, check_ids=False).sources
        except GoldilocksError as error:
            return error
        return source


def _identity(entry: Mapping[str, Any]) -> tuple[object, ...]:
    """Of an input's description, what makes it the same input."""
    return entry["rows"], entry["digest"], entry.get("digest_of")


def _references(
    source: Source | GoldilocksError, start: int, stop: int
) -> Iterator[Reference | GoldilocksError]:
    """Rows of one input; in place of each that cannot be had, why."""
    if isinstance(source, GoldilocksError):
        yield from [source] * (stop - start)
        return
    for piece in source.pieces(start, stop):
        try:
            yield from piece.read()
        except RunError as error:  # changed while it is read
            yield from [error] * len(piece)


def _changed(path: str, what: str) -> RunError:
    return RunError(
        ErrorCode.INPUT_CHANGED,
        f"{path} {what}: its structures are not those that the rows are of. Put the former content back, or "
        "run again",
    )
