"""A judgement on a model, kept with what it was made from, and written as a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.training.card import report
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.figures import Evaluation
from goldilocks_batch.training.plots import draw

__all__ = ["Judged", "failures_file", "write_judged"]

_FAILURES = "failures.parquet"


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Figures, and what they were made from, for plots.

    Attributes:
        evaluation: the figures.
        dataset: the rows.
        bounds: by confidence, ``(n, 3)``, 1/Å.
        remarks: what one should know before one reads the figures.
    """

    evaluation: Evaluation
    dataset: Dataset
    bounds: Mapping[float, NDArray[np.float64]]
    remarks: tuple[str, ...] = ()


def write_judged(judged: Judged, output: Path) -> None:
    """Write ``evaluation.md`` and ``.json``, ``predictions.parquet``, ``failures.parquet`` and the plots.

    ``predictions.parquet`` has a row for each label: id, formula, ``kdist`` or the limit ``at_most``, and the
    bounds at each confidence.  ``failures.parquet`` lists the structures that have no features, if any.

    Raises:
        RunError: WRITE_FAILED.
    """
    evaluation = json.dumps(judged.evaluation.to_dict(), indent=1) + "\n"
    files = {
        "evaluation.json": evaluation.encode(),
        "evaluation.md": report(judged.evaluation, remarks=judged.remarks).encode(),
        "predictions.parquet": _parquet(_predictions(judged)),
        **failures_file(judged.dataset),
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / _FAILURES).unlink(missing_ok=True)  # an earlier evaluation's
        for name, data in files.items():
            (output / name).write_bytes(data)
    except OSError as error:
        message = f"cannot write the evaluation to {output}: {error}"
        raise RunError(ErrorCode.WRITE_FAILED, message) from error
    draw(judged.dataset, judged.bounds, judged.evaluation, output)


def failures_file(data: Dataset) -> dict[str, bytes]:
    """``failures.parquet`` by name: the structures without features, and why; empty if there are none."""
    return {_FAILURES: _parquet(data.failures)} if data.failures.num_rows else {}


def _parquet(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    found: bytes = buffer.getvalue().to_pybytes()
    return found


def _predictions(judged: Judged) -> pa.Table:
    data = judged.dataset
    columns: dict[str, Any] = {
        "id": data.ids,
        "formula": data.formulas,
        "kdist": pa.array(data.kdist, from_pandas=True),
        "at_most": pa.array(np.where(data.censored, data.at_most, np.nan), from_pandas=True),
    }
    for confidence, bounds in judged.bounds.items():
        columns.setdefault("median", bounds[:, 1])
        columns |= {f"lower_{confidence:g}": bounds[:, 0], f"upper_{confidence:g}": bounds[:, 2]}
    return pa.table(columns)
