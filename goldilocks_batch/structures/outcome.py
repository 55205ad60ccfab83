"""What reading a structure is told, and what it gives back: a crystal with remarks, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["ReadOptions", "Reading", "refuse"]

LONGEST_MESSAGE = 600
"""Characters; what a file holds is quoted in messages and may be long."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What is accepted.

    Attributes:
        max_sites: the largest number of sites in a cell; more are refused before they are looked at.
        closest: Å; two atoms nearer than this, images included, are no crystal.
        allow_missing_hydrogens: go on, flagged, with a structure whose file says that hydrogens lack
            positions.
    """

    max_sites: int
    closest: float = 0.5
    allow_missing_hydrogens: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A structure as read.

    Attributes:
        crystal: in the cell as supplied.
        flags: remarks on how its file was understood; the result schema lists what they mean.
    """

    crystal: Crystal
    flags: tuple[str, ...] = ()


def refuse(code: ErrorCode, message: str, stage: Stage = Stage.READ) -> NoReturn:
    """Refuse a structure.

    Raises:
        StructureError: always.
    """
    raise StructureError(code, message[:LONGEST_MESSAGE], stage=stage)
