"""The structures of a run, read again from its recorded inputs; of a changed one each row is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from goldilocks_batch.core.errors import ErrorCode, GoldilocksError, RunError
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources

__all__ = ["Inputs"]


#: Rows that are read at once: of a compressed archive all that comes before is decompressed again each time.
_AHEAD = 5000


class Inputs:
    """The inputs of a run, in order; opened when a row of them is asked for.

    Args:
        entries: the run record's ``inputs``: path, rows and digest of each.
        allow_outside: let a manifest name files outside its own folder, as in the run.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], *, allow_outside: bool) -> None:
        self._inputs = [_Input(entry, allow_outside) for entry in entries]
        self._rows = sum(source.rows for source in self._inputs)
        self._first = 0
        self._ahead: list[Reference | GoldilocksError] = []

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
        return next((source.path for source in self._inputs if path.is_relative_to(source.path)), None)

    def _read(self, start: int, stop: int) -> list[Reference | GoldilocksError]:
        found: list[Reference | GoldilocksError] = []
        offset = 0
        for source in self._inputs:
            first, last = max(start - offset, 0), min(stop - offset, source.rows)
            if first < last:
                found += source.read(first, last)
            offset += source.rows
        lacking = stop - start - len(found)
        return found + [_changed("the record of the run", "names fewer rows than the results")] * lacking

    def check_unchanged(self) -> None:
        """Make sure that the inputs that were read still hold what they held.

        Raises:
            RunError: INPUT_CHANGED.
        """
        for source in self._inputs:
            source.check_unchanged()


class _Input:
    """One input; whether it is the run's is found out when it is first read."""

    def __init__(self, entry: Mapping[str, Any], allow_outside: bool) -> None:
        self.rows = int(entry["rows"])
        self.path = str(entry["path"])
        self._digest = entry["digest"]
        self._by_time = entry.get("digest_of")
        self._allow_outside = allow_outside
        self._opened = False

    @cached_property
    def _source(self) -> SourceSet | GoldilocksError:
        """The input, or why it cannot be used."""
        try:
            source = open_sources((Path(self.path),), allow_outside=self._allow_outside, check_ids=False)
        except GoldilocksError as error:
            return error
        (about,) = source.describe()
        if (about["rows"], about["digest"], about.get("digest_of")) != (
            self.rows,
            self._digest,
            self._by_time,
        ):
            return _changed(self.path, "is not what it was when the run read it")
        self._opened = True
        return source

    def read(self, start: int, stop: int) -> Iterator[Reference | GoldilocksError]:
        source = self._source
        if isinstance(source, GoldilocksError):
            yield from [source] * (stop - start)
            return
        for piece in source.pieces(start, stop):
            try:
                yield from piece.read()
            except RunError as error:  # changed while it is read
                yield from [error] * len(piece)

    def check_unchanged(self) -> None:
        if self._opened and isinstance(self._source, SourceSet):
            self._source.check_unchanged()


def _changed(path: str, what: str) -> RunError:
    return RunError(
        ErrorCode.INPUT_CHANGED,
        f"{path} {what}: its structures are not those that the rows are of. Put the former content back, or "
        "run again",
    )
