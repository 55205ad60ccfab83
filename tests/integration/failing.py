"""A screening in which chosen structures fail as native code can: crash, hang, fill the memory."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.attempt import Assignment, screening_of
from goldilocks_batch.screening.pipeline import Screener, Screening
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import open_sources
from tests.integration.runs import FINGERPRINT, config

Failure = Literal["crash", "hang", "fill_memory", "spoil_process", "end_worker"]

#: Set in a process that is of no use any more, as one with a broken GPU context.
spoiled = False


@dataclass(frozen=True)
class FailingScreening:
    """The real screening, but the structures named fail.

    Attributes:
        screening: the real one.
        failures: id of a structure and how it fails.
        log: a line for every shard begun: its rows.
        pause: s, before every shard.
    """

    screening: Screening
    failures: tuple[tuple[str, Failure], ...]
    log: Path
    pause: float = 0.0

    @property
    def uses_gpu(self) -> bool:
        return False

    def build(self) -> FailingScreener:
        return FailingScreener(self, self.screening.build())

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        return self.screening.failed(references, first_row, code, message)


class FailingScreener:
    def __init__(self, work: FailingScreening, screener: Screener) -> None:
        self._work = work
        self._screener = screener

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        with self._work.log.open("a") as log:
            log.write(f"{first_row} {len(references)}\n")
        time.sleep(self._work.pause)
        failures = dict(self._work.failures)
        for reference in references:
            fail(failures.get(reference.id))
        if spoiled:
            raise RuntimeError("an unspecified launch failure, and every one after it")
        return self._screener(references, first_row)


def logged(
    manifest: Path, folder: Path, failures: tuple[tuple[str, Failure], ...] = (), *, pause: float = 0.0
) -> Assignment[FailingScreening]:
    """A run in a folder whose shards leave a line each in its log; to be carried out by :func:`process`."""
    settings = config(manifest, folder / "run")
    results = folder / "run" / "results"
    results.mkdir(parents=True)
    work = FailingScreening(screening_of(settings), failures, folder / "log", pause)
    return Assignment(work, open_sources(settings.inputs), Parts(results, FINGERPRINT))


def fail(failure: Failure | None) -> None:
    match failure:
        case "crash":
            ctypes.string_at(0)
        case "hang":  # in native code, with the interpreter's lock held
            ctypes.PyDLL(None).sleep(1000)
        case "fill_memory":
            taken = []
            while True:
                taken.append(np.ones(2**22))
        case "end_worker":  # as when its node is lost
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(1000)
        case "spoil_process":
            global spoiled
            spoiled = True
            return
        case None:
            return
    os._exit(99)
