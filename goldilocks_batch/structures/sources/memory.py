"""References that have been read already, as a source of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from goldilocks_batch.structures.sources.reference import Reference

__all__ = ["MemorySource"]


@dataclass(frozen=True, slots=True)
class MemoryPiece:
    """Some references; they travel with the piece."""

    references: tuple[Reference, ...]

    def __len__(self) -> int:
        return len(self.references)

    def read(self) -> list[Reference]:
        """Return the references."""
        return list(self.references)


@dataclass(frozen=True)
class MemorySource:
    """References in memory, such as those of labelled structures; their ids must be unique."""

    references: tuple[Reference, ...]

    @property
    def rows(self) -> int:
        """Number of references."""
        return len(self.references)

    @property
    def limits(self) -> list[int]:
        """One stretch: any cut is as good as another."""
        return [self.rows]

    @cached_property
    def digest(self) -> str:
        """Sha256 of the ids: what they stand for may not have been read yet."""
        return hashlib.sha256("\n".join(r.id for r in self.references).encode()).hexdigest()

    def ids(self) -> Iterator[list[str]]:
        """All ids, at once."""
        yield [reference.id for reference in self.references]

    def pieces(self, start: int, stop: int) -> Iterator[MemoryPiece]:
        """Rows ``start`` to ``stop`` as one piece."""
        yield MemoryPiece(self.references[start:stop])

    def describe(self) -> dict[str, object]:
        """For a record."""
        return {"path": "memory", "kind": "memory", "rows": self.rows, "digest": self.digest}
