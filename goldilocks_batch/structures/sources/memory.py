"""Structures in memory as references, and references as a source of their own."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from goldilocks_batch.core.errors import ConfigError, ErrorCode, InputError, StructureError
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.numerals import charge_and_moments
from goldilocks_batch.structures.parsers import from_pymatgen
from goldilocks_batch.structures.sources.reference import (
    ArraysPayload,
    FailedPayload,
    Name,
    Payload,
    Reference,
)

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

__all__ = ["MemorySource", "reference_of", "references_of"]


@dataclass(frozen=True, slots=True)
class MemoryPiece:
    """Some references; they travel with the piece."""

    references: tuple[Reference, ...]

    def __len__(self) -> int:
        return len(self.references)

    def names(self) -> list[Name]:
        """Return the references' names."""
        return [Name(reference.id, reference.source) for reference in self.references]

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

    def current_digest(self) -> str:
        """The digest: what is in memory does not change."""
        return self.digest

    def ids(self) -> Iterator[list[str]]:
        """All ids, at once."""
        yield [reference.id for reference in self.references]

    def pieces(self, start: int, stop: int) -> Iterator[MemoryPiece]:
        """Rows ``start`` to ``stop`` as one piece."""
        yield MemoryPiece(self.references[start:stop])

    def describe(self) -> dict[str, object]:
        """For a record."""
        return {"path": "memory", "kind": "memory", "rows": self.rows, "digest": self.digest}


def references_of(structures: Any, ids: str | Sequence[str] | None = None) -> list[Reference]:
    """References to structures in memory.

    Args:
        structures: one, or many, mixed, of pymatgen's ``Structure``, ASE's ``Atoms`` and `Crystal`.
        ids: what to call them; their places, from 0, by default.

    Raises:
        ConfigError: CONFIG_INVALID, one is none of these, or there are not as many ids.
        InputError: DUPLICATE_ID, an id occurs twice.
    """
    found = [structures] if _is_one(structures) else list(structures)
    references = [reference_of(index, structure) for index, structure in enumerate(found)]
    if ids is None:
        return references
    names = [ids] if isinstance(ids, str) else [str(name) for name in ids]
    if len(names) != len(found):
        message = f"{len(names)} ids for {len(found)} structures; each structure takes one"
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise InputError(ErrorCode.DUPLICATE_ID, f"the id '{twice}' occurs more than once; ids must differ")
    return [replace(reference, id=name) for reference, name in zip(references, names, strict=True)]


def _is_one(structures: Any) -> bool:
    """Whether it is a structure, or anything else that is no series of them.

    Structures of pymatgen and ASE are series too, of their sites.
    """
    if hasattr(structures, "frac_coords") or hasattr(structures, "get_atomic_numbers"):
        return True
    return not isinstance(structures, Iterable) or isinstance(structures, str | bytes)


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
            flags=charge_and_moments(
                float(structure.get_initial_charges().sum()), structure.get_initial_magnetic_moments()
            ),
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
        payload = _crystal_payload(from_pymatgen(structure))
        moments = [
            structure.site_properties.get("magmom"),
            *(getattr(s, "spin", 0) for s in structure.species),
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a charge that is not that of the oxidation states
            charge = structure.charge
        return replace(payload, flags=charge_and_moments(charge, moments))
    except StructureError as error:  # disorder, dummy species
        return FailedPayload(error)
