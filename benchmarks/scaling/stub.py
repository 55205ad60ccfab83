"""A screening without the science: real references in, rows of the real width out, nothing computed.

What a run of it takes is what the machinery takes: planning, handing out, reading, writing, counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.results.report import Report
from goldilocks_batch.screening.pipeline import Screening
from goldilocks_batch.screening.rows import report_of
from goldilocks_batch.structures.sources.reference import ArraysPayload, Reference

__all__ = ["StubWork"]


@dataclass(frozen=True, slots=True)
class StubWork:
    """Gives every structure the row that ``screening`` gives a simple cubic crystal.

    Attributes:
        screening: whose model, and whose table.
    """

    screening: Screening

    @property
    def uses_gpu(self) -> bool:
        """It runs no networks."""
        return False

    def build(self) -> StubPipeline:
        """Load the model and compute the one row."""
        return StubPipeline(self.screening)

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        """Rows of structures that no worker survived."""
        return self.screening.failed(references, first_row, code, message)


class StubPipeline:
    """The pipeline of :class:`StubWork`."""

    def __init__(self, screening: Screening) -> None:
        payload = ArraysPayload(4.0 * np.eye(3), np.zeros((1, 3)), False, np.array([29]))
        self._row, _ = screening.build()([Reference("copper", "nowhere", payload)], 0)

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        """The same row for every reference, under its own id, source and place."""
        count = len(references)
        table = self._row.take(pa.array(np.zeros(count, dtype=np.int64)))
        own = {
            "id": [reference.id for reference in references],
            "source": [reference.source for reference in references],
            "row": range(first_row, first_row + count),
        }
        for name, values in own.items():
            field = table.schema.field(name)
            table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
        return table, report_of(table, {})
