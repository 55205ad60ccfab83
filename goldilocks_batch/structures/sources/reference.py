"""One structure of an input, not yet looked at: an id, where it came from, and what was found there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, RunError, Stage, StructureError

__all__ = [
    "ArraysPayload",
    "FailedPayload",
    "FilePayload",
    "Format",
    "Name",
    "Payload",
    "Piece",
    "Reference",
    "TextPayload",
    "failed",
    "reference_to",
]


class Format(StrEnum):
    """Text formats of a single structure."""

    CIF = "cif"
    POSCAR = "poscar"
    XYZ = "xyz"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class TextPayload:
    """The text of one structure."""

    format: Format
    text: str


@dataclass(frozen=True, slots=True)
class FilePayload:
    """A file that holds one structure; read by the worker that needs it."""

    path: Path
    format: Format


@dataclass(frozen=True, slots=True, eq=False)
class ArraysPayload:
    """A structure that already is numbers, unchecked.

    Attributes:
        lattice: Å, meant to be ``(3, 3)`` with rows a, b, c.
        positions: meant to be ``(n_sites, 3)``; Å if ``cartesian``, else fractional.
        cartesian: what ``positions`` are.
        species: atomic numbers ``(n_sites,)``, or one species string a site.
        pbc: ``(3,)`` bool, or None for a crystal periodic along all axes.
        definitions: OPTIMADE's ``species`` list as JSON, where the strings of ``species`` are its names.
        flags: remarks on the structure that are not in the arrays.
    """

    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    cartesian: bool
    species: NDArray[np.integer] | Sequence[str]
    pbc: NDArray[np.bool_] | None = None
    definitions: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedPayload:
    """Nothing usable was found; the error says why."""

    error: StructureError


Payload = TextPayload | FilePayload | ArraysPayload | FailedPayload


@dataclass(frozen=True, slots=True)
class Reference:
    """One input row.

    Attributes:
        id: the structure's id, unique over all inputs.
        source: for people: the file, or the manifest or archive with the row or member.
        payload: what was found.
    """

    id: str
    source: str
    payload: Payload


class Name(NamedTuple):
    """What a reference is called.

    Attributes:
        id: the structure's id.
        source: for people.
    """

    id: str
    source: str


class Piece(Protocol):
    """Consecutive rows of one source: small, picklable, self-contained; read in a worker."""

    def __len__(self) -> int:
        """Number of references :meth:`read` returns."""

    def names(self) -> list[Name]:
        """Return the names of the references; no payload is read, and whatever is wrong, none is missing."""

    def read(self) -> list[Reference]:
        """Return exactly ``len(self)`` references in the source's order, whatever is wrong with them.

        Raises:
            RunError: INPUT_CHANGED, the source is not the one that was opened.
        """


def reference_to(name: Name, read: Callable[[], Payload]) -> Reference:
    """Return a reference to what ``read`` returns; whatever it raises fails this reference alone.

    Args:
        name: of the reference.
        read: reads the payload.

    Raises:
        RunError: as ``read`` does: that is about the whole source.
    """
    try:
        payload = read()
    except StructureError as error:
        return failed(*name, error.code, error.message)
    except RunError:
        raise
    except Exception as error:  # decoders of damaged data raise anything
        said = str(error) or type(error).__name__
        return failed(*name, ErrorCode.FILE_UNREADABLE, f"{name.source} cannot be read: {said}")
    if isinstance(payload, FailedPayload):
        return failed(*name, payload.error.code, payload.error.message)
    return Reference(*name, payload)


def failed(structure_id: str, source: str, code: ErrorCode, message: str) -> Reference:
    """Return a reference whose reading has already failed."""
    error = StructureError(code, message, stage=Stage.READ, structure_id=structure_id)
    return Reference(structure_id, source, FailedPayload(error))
