"""Some structures on their way through the stages, and what has gone wrong with each so far."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.choices import Cell
from goldilocks_batch.core.errors import (
    ErrorCode,
    FeatureError,
    GoldilocksError,
    RunError,
    Stage,
    StructureError,
)
from goldilocks_batch.structures.cells import Cells, find_cells, reduced_cell
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.outcome import ReadOptions
from goldilocks_batch.structures.plausible import remarks
from goldilocks_batch.structures.read import read
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.symmetry import SYMPREC, Symmetry

__all__ = ["Batch"]

Result = TypeVar("Result")


@dataclass(slots=True)
class Batch:
    """Structures side by side; index i is the same structure in every list.

    Attributes:
        references: the inputs.
        supplied: the cell as supplied, None where reading failed.
        cells: the exact primitive cell and the one that the model is asked on, with their symmetries, None
            where a stage before it failed.
        failures: why a structure goes no further, None while it does.
        flags: remarks.
        seconds: time spent by stage, s.
    """

    references: Sequence[Reference]
    supplied: list[Crystal | None] = field(init=False)
    cells: list[Cells | None] = field(init=False)
    failures: list[GoldilocksError | None] = field(init=False)
    flags: list[list[str]] = field(init=False)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def __post_init__(self) -> None:
        count = len(self.references)
        self.supplied = [None] * count
        self.cells = [None] * count
        self.failures = [None] * count
        self.flags = [[] for _ in range(count)]

    @classmethod
    def failed(cls, references: Sequence[Reference], code: ErrorCode, message: str) -> Self:
        """A batch of structures that could not even be tried."""
        batch = cls(references)
        for index in range(len(batch)):
            batch.fail(index, RunError(code, message), Stage.WORKER)
        return batch

    def __len__(self) -> int:
        return len(self.references)

    @property
    def alive(self) -> NDArray[np.int64]:
        """``(n_alive,)`` indices of the structures that have not failed, ascending."""
        return np.array([i for i, failure in enumerate(self.failures) if failure is None], dtype=np.int64)

    def crystals(self, indices: NDArray[np.int64]) -> list[Crystal]:
        """Cells that the model is asked on, at ``indices``, all of which must be alive."""
        return [_known(self.cells[i]).asked for i in indices]

    def symmetries(self, indices: NDArray[np.int64]) -> list[Symmetry]:
        """The symmetries of these cells."""
        return [_known(self.cells[i]).asked_symmetry for i in indices]

    def supplied_crystals(self, indices: NDArray[np.int64]) -> list[Crystal]:
        """The same structures in the cells they were supplied in."""
        return [_known(self.supplied[i]) for i in indices]

    def primitive_cells(self, indices: NDArray[np.int64]) -> list[tuple[Crystal, Symmetry]]:
        """Their exact primitive cells, and the symmetry of each."""
        return [(_known(self.cells[i]).primitive, _known(self.cells[i]).symmetry) for i in indices]

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time that a block takes to a stage's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - began

    def fail(self, index: int, error: GoldilocksError, stage: Stage) -> None:
        """Let a structure go no further."""
        if error.stage is None:
            error.stage = stage
        self.failures[index] = error

    def load(
        self,
        max_sites: int,
        cell: Cell = "averaged",
        *,
        symprec: float = SYMPREC,
        allow_missing_hydrogens: bool = False,
    ) -> None:
        """Read and check every structure, and find its cells and their symmetry.

        Args:
            max_sites: the largest cell accepted, in sites as supplied.
            cell: the one that the model is asked on.
            symprec: distance tolerance of the exact primitive cell and its symmetry, Å.
            allow_missing_hydrogens: go on with structures whose files say that hydrogens lack positions.
        """
        options = ReadOptions(max_sites, allow_missing_hydrogens=allow_missing_hydrogens)
        reduced: list[Crystal | None] = [None] * len(self)
        self._each(Stage.CHECK, self.supplied, lambda i: self._read(i, options))
        self._each(Stage.PRIMITIVE, reduced, lambda i: reduced_cell(_known(self.supplied[i]), cell))
        self._each(
            Stage.SYMMETRY,
            self.cells,
            lambda i: find_cells(_known(self.supplied[i]), _known(reduced[i]), cell, symprec),
        )
        for index in self.alive:
            if not _known(self.supplied[index]).pbc.all():
                self.flags[index].append("low_dimensional")
            if _known(self.cells[index]).averaged:
                self.flags[index].append("averaged_cell")

    def _read(self, index: int, options: ReadOptions) -> Crystal:
        """The structure as supplied; what its file and its atoms give rise to is flagged."""
        found = read(self.references[index], options)
        self.flags[index] += [*found.flags, *remarks(found.crystal)]
        return found.crystal

    def _each(self, stage: Stage, results: list[Result | None], work: Callable[[int], Result]) -> None:
        """Do something with every structure alive; what it raises fails that structure alone."""
        with self.timed(stage.value):
            for index in self.alive:
                try:
                    results[index] = work(index)
                except GoldilocksError as error:
                    self.fail(index, error, stage)
                except Exception as error:  # one structure must not end a shard
                    self.fail(index, _unforeseen(error, stage), stage)


def _unforeseen(error: Exception, stage: Stage) -> GoldilocksError:
    kind = FeatureError if stage is Stage.SYMMETRY else StructureError
    return kind(
        ErrorCode.INTERNAL, f"unexpected {type(error).__name__} in stage {stage}: {error}", stage=stage
    )


def _known(value: Result | None) -> Result:
    if value is None:
        raise LookupError("asked for a stage's result of a structure that never reached it")
    return value
