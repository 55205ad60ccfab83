"""What happens inside a worker: build the pipeline once, then read, evaluate and write shard by shard."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from goldilocks_batch.core.errors import ErrorCode, GoldilocksError, RunError
from goldilocks_batch.results.part import write_part
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.structures.sources.reference import Piece, Reference

__all__ = ["Job", "Pipeline", "Work", "pipeline_for", "run_job"]


class Pipeline(Protocol):
    """A stateless function from references to result rows, with whatever it loaded once."""

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        """One row for every reference, in order."""


class Work(Protocol):
    """A small, hashable, picklable description from which any process can build the same pipeline."""

    @property
    def uses_gpu(self) -> bool:
        """Whether its pipelines run networks on a GPU where they see one."""

    def build(self) -> Pipeline:
        """Load what is needed; called once a process."""

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        """The rows of structures that no worker survived; needs nothing loaded."""


@dataclass(frozen=True, slots=True)
class Job:
    """One shard's work order: small enough to travel with the task.

    Attributes:
        work: what to do.
        shard: the rows to do it to.
        pieces: where those rows are read from.
        folder: where the part is written.
        fingerprint: the run the part belongs to.
        visible: paths that are there on every machine that may do the job.
    """

    work: Work
    shard: Shard
    pieces: tuple[Piece, ...]
    folder: Path
    fingerprint: str
    visible: tuple[Path, ...] = ()


_built: dict[Work, Pipeline] = {}


def pipeline_for(work: Work) -> Pipeline:
    """The pipeline of this work in this process, built at the first call; only the last one is kept.

    Raises:
        GoldilocksError: it cannot be built, which ends a run.
    """
    if work not in _built:
        try:
            pipeline = work.build()
        except GoldilocksError:
            raise
        except Exception as error:  # no shard could be done: not the fault of any structure
            message = f"the model cannot be loaded in a worker: {type(error).__name__}: {error}"
            raise RunError(ErrorCode.INTERNAL, message) from error
        _built.clear()
        _built[work] = pipeline
    return _built[work]


def run_job(job: Job) -> Report:
    """Do one shard and write its part.

    Raises:
        GoldilocksError: the pipeline cannot be built, or the part cannot be written.
    """
    pipeline = pipeline_for(job.work)
    began = time.perf_counter()
    references = _read(job)
    reading = time.perf_counter() - began
    table, report = pipeline(references, job.shard.start)
    report.spend("read", reading)
    report.peak_memory = _peak_memory()
    return _write(job, table, report)


def _read(job: Job) -> list[Reference]:
    return [reference for piece in job.pieces for reference in piece.read()]


def _write(job: Job, table: pa.Table, report: Report) -> Report:
    began = time.perf_counter()
    write_part(job.folder, job.shard, table, report, job.fingerprint)
    report.spend("write", time.perf_counter() - began)
    return report


def _peak_memory() -> int:
    """Most memory this process has had resident, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # bytes there, kilobytes elsewhere
