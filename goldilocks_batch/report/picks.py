"""The rows that lead in something, picked from batches as they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Picks"]


class Picks:
    """Rows with the largest scores.

    Args:
        most: how many are kept.
        columns: of the result table that are kept of each.
    """

    def __init__(self, most: int, columns: tuple[str, ...]) -> None:
        self._most, self._columns = most, columns
        self._kept: list[tuple[float, int, dict[str, Any]]] = []

    def add(self, batch: pa.RecordBatch, scores: NDArray[np.float64]) -> None:
        """Look at a batch; rows whose score is not a positive number are never picked."""
        least = self._kept[-1][0] if len(self._kept) == self._most else 0.0
        # equal scores count too: the first rows of the inputs win
        worthy = np.flatnonzero((scores >= least) & (scores > 0))
        if not len(worthy):
            return
        rows = batch.column("row").to_numpy(zero_copy_only=False)
        best = worthy[np.lexsort((rows[worthy], -scores[worthy]))][: self._most]
        names = [name for name in self._columns if name in batch.schema.names]
        values = batch.select(names).take(pa.array(best)).to_pylist()
        self._kept += [
            (float(scores[place]), int(rows[place]), value) for place, value in zip(best, values, strict=True)
        ]
        self._kept.sort(key=lambda item: (-item[0], item[1]))
        del self._kept[self._most :]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Those picked, the largest score first, with the score under ``score``."""
        return [{**values, "score": score} for score, _, values in self._kept]
