"""What a format is: a folder of files for every row, or lines of one file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from goldilocks_batch.exports.rows import Item

__all__ = ["Files", "Lines", "Notes"]


@dataclass(slots=True)
class Notes:
    """What a user of what was written should know, and for how many rows."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str) -> None:
        """Count a row."""
        self.counts[what] += 1


class Files(Protocol):
    """A format of several files a row."""

    def files(self, item: Item, notes: Notes) -> dict[str, str]:
        """Texts by file name."""


class Lines(Protocol):
    """A format of one file for many rows."""

    @property
    def head(self) -> str:
        """What comes before the first row."""

    def lines(self, item: Item, notes: Notes) -> str:
        """A row."""
