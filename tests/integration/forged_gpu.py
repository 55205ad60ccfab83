"""Networks on a GPU that is not there: the CPU's in its place, with a limit of memory, and brittle."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.core.machine import gpu_memory_share
from goldilocks_batch.networks import devices
from goldilocks_batch.networks.alignn import gpu
from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.alignn.cpu import CpuEnsemble
from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.graphs.collate import GraphBatch
from goldilocks_batch.results.report import Report
from goldilocks_batch.screening import pipeline
from goldilocks_batch.screening.pipeline import Screener, Screening
from goldilocks_batch.structures.sources.reference import Reference

#: The GPU whose name it is, in the rows.
NAME = "forged GPU"


@dataclass(frozen=True)
class OnForgedGpu:
    """The real screening, where a process that has been dealt a GPU finds one.

    Attributes:
        screening: the real one.
        log: a line for every shard begun: process, GPU, memory that it may take there.
        breaks_context: atomic number of an atom that breaks the context of its process on the GPU.
        evaluations: so many batches fit in a process; then somebody else has taken the memory.
    """

    screening: Screening
    log: Path
    breaks_context: int = 0
    evaluations: int = 10**9

    @property
    def uses_gpu(self) -> bool:
        return True

    def build(self) -> Logged:
        if os.environ.get("CUDA_VISIBLE_DEVICES"):
            _forge(self)
        return Logged(self.log, self.screening.build())

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        return self.screening.failed(references, first_row, code, message)


class Logged:
    def __init__(self, log: Path, screener: Screener) -> None:
        self._log = log
        self._screener = screener

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        where = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
        with self._log.open("a") as log:
            log.write(f"{os.getpid()};{where};{gpu_memory_share()}\n")
        return self._screener(references, first_row)


def _forge(work: OnForgedGpu) -> None:
    """What asks torch about the GPU is answered here; this process does nothing else."""
    asked: Any = devices
    asked.resolved_device = lambda _device: "cuda"
    asked.limited_memory = gpu_memory_share
    asked.free_cached_memory = lambda: None
    made: Any = gpu
    made.gpu_ensemble = lambda *given: Ensemble(work, *given[:3])
    named: Any = pipeline
    named.device_name = lambda _device: NAME
    named.GPU_BATCH = 5


class Ensemble:
    """The networks on the CPU."""

    def __init__(
        self,
        work: OnForgedGpu,
        architecture: Architecture,
        checkpoints: Sequence[Checkpoint],
        elements: NDArray[np.float32],
    ) -> None:
        self._ensemble = CpuEnsemble(architecture, checkpoints, elements)
        self._work = work
        self._left = work.evaluations
        self._broken = False

    def __call__(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> NDArray[np.float32]:
        self._broken |= self._work.breaks_context in batch.numbers
        if self._broken:
            raise RuntimeError("CUDA error: unspecified launch failure")
        if self._left <= 0:
            raise RuntimeError("CUDA error: out of memory")
        self._left -= 1
        return self._ensemble(batch, additional, skip_alignn=skip_alignn)
