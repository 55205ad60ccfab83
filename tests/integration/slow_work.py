"""A screening that takes its time: work for minutes without the processor of minutes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.results.report import Report
from goldilocks_batch.screening.pipeline import Screener, Screening
from goldilocks_batch.structures.sources.reference import Reference


@dataclass(frozen=True)
class SlowScreening:
    """Waits before every shard."""

    screening: Screening
    seconds: float

    @property
    def uses_gpu(self) -> bool:
        return False

    def build(self) -> SlowScreener:
        return SlowScreener(self.screening.build(), self.seconds)

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        return self.screening.failed(references, first_row, code, message)


class SlowScreener:
    def __init__(self, screener: Screener, seconds: float) -> None:
        self._screener = screener
        self._seconds = seconds

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        time.sleep(self._seconds)
        return self._screener(references, first_row)
