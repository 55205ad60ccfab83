"""Structures in memory as references, and references as a source of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from goldilocks_batch.core.errors import ConfigError, ErrorCode, StructureError
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.parsers import from_pymatgen
from goldilocks_batch.structures.sources.reference import ArraysPayload, FailedPayload, Payload, Reference

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

__all__ = ["MemorySource", "reference_of"]


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


def reference_of(index: int, structure: Any) -> Reference:
    """A reference to a structure in memory; its id is the index.

    Args:
        index: among others of the same call.
        structure: a pymatgen ``Structure``, ASE ``Atoms`` or `Crystal`.

    Raises:
        ConfigError: CONFIG_INVALID, it is none of these.
    """
    if isinstance(structure, Crystal):
        payload: Payload = _crystal_payload(structure)
    elif hasattr(structure, "get_atomic_numbers") and hasattr(structure, "get_scaled_positions"):  # ASE
        payload = ArraysPayload(
            np.array(structure.cell[:], dtype=float),
            np.array(structure.get_positions(), dtype=float),
            True,
            np.array(structure.get_atomic_numbers()),
            pbc=np.array(structure.pbc, dtype=bool),
        )
    elif hasattr(structure, "lattice") and hasattr(structure, "frac_coords"):  # pymatgen
        payload = _pymatgen_payload(structure)
    else:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"structure {index} is a {type(structure).__name__}; expected a pymatgen Structure, ASE Atoms "
            "or a Crystal; files are screened with goldilocks_batch.run",
        )
    return Reference(str(index), f"{type(structure).__name__} {index}", payload)


def _crystal_payload(crystal: Crystal) -> ArraysPayload:
    return ArraysPayload(crystal.lattice, crystal.frac, False, crystal.numbers, pbc=crystal.pbc)


def _pymatgen_payload(structure: Structure) -> Payload:
    try:
        return _crystal_payload(from_pymatgen(structure))
    except StructureError as error:  # disorder, dummy species
        return FailedPayload(error)
