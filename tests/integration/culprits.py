"""A screening in which chosen structures do what native code does at its worst."""

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

Crime = Literal["crash", "hang", "eat", "poison", "ravage"]

#: Set in a process that is of no use any more, as one with a broken GPU context.
poisoned = False


@dataclass(frozen=True)
class Sabotaged:
    """The real screening, but the structures named commit a crime.

    Attributes:
        screening: the real one.
        crimes: id of a structure and what it does.
        log: a line for every shard begun: its rows.
        pause: s, before every shard.
    """

    screening: Screening
    crimes: tuple[tuple[str, Crime], ...]
    log: Path
    pause: float = 0.0

    @property
    def uses_gpu(self) -> bool:
        return False

    def build(self) -> Saboteur:
        return Saboteur(self, self.screening.build())

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        return self.screening.failed(references, first_row, code, message)


class Saboteur:
    def __init__(self, work: Sabotaged, screener: Screener) -> None:
        self._work = work
        self._screener = screener

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        with self._work.log.open("a") as log:
            log.write(f"{first_row} {len(references)}\n")
        time.sleep(self._work.pause)
        crimes = dict(self._work.crimes)
        for reference in references:
            commit(crimes.get(reference.id))
        if poisoned:
            raise RuntimeError("an unspecified launch failure, and every one after it")
        return self._screener(references, first_row)


def logged(
    manifest: Path, folder: Path, crimes: tuple[tuple[str, Crime], ...] = (), *, pause: float = 0.0
) -> Assignment[Sabotaged]:
    """A run in a folder whose shards leave a line each in its log; to be carried out by :func:`process`."""
    settings = config(manifest, folder / "run")
    results = folder / "run" / "results"
    results.mkdir(parents=True)
    work = Sabotaged(screening_of(settings), crimes, folder / "log", pause)
    return Assignment(work, open_sources(settings.inputs), Parts(results, FINGERPRINT))


def commit(crime: Crime | None) -> None:
    match crime:
        case "crash":
            ctypes.string_at(0)
        case "hang":  # in native code, with the interpreter's lock held
            ctypes.PyDLL(None).sleep(1000)
        case "eat":
            hoard = []
            while True:
                hoard.append(np.ones(2**22))
        case "ravage":  # the worker goes, as with its node
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(1000)
        case "poison":
            global poisoned
            poisoned = True
            return
        case None:
            return
    os._exit(99)
