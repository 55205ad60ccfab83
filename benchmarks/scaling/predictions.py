"""Tables of what the model predicts, from the records of two stub runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from benchmarks.scaling.model import Costs, fitted, predicted
from goldilocks_batch.config import RunConfig
from goldilocks_batch.sizing import shard_rows, typical_seconds

__all__ = ["costs_of", "print_predictions"]

#: Share of its time that the client with the scheduler may be busy before workers begin to wait for it.
_BUSY = 0.5


def costs_of(few: Path, many: Path, row: float) -> Costs:
    """Costs from the records of two runs, of few rows a shard and of many.

    Args:
        few: JSON that ``scale stub --external --record`` wrote for a shard size of one row.
        many: the same for shards of some hundred rows and a million rows in all.
        row: of a process, to compute a row, s; what the stub took to read and write it is contained.
    """
    cpu, large = _processor_times(few, many), _read(many)
    part_bytes, row_bytes = _fit(_read(few), large, "bytes")
    return Costs(
        row=row,
        shard=cpu["children"][0] + cpu["worker"][0],
        start=large["first"] - large["planning"],
        client_shard=cpu["client"][0] + cpu["scheduler"][0],
        plan_row=large["planning"] / large["rows"],
        end_part=1.3e-3,  # `scale plan`, wall time
        end_row=5.2e-6,  # `scale compact` after shards of 5,000 rows
        part_bytes=part_bytes,
        row_bytes=max(row_bytes, 60.0),  # the stub's equal rows compress better than real ones
        manifest_row=285.0,  # examples/make_manifest.py, row groups of 1,000
        footer_row=0.6,
    )


def _processor_times(few: Path, many: Path) -> dict[str, tuple[float, float]]:
    """Seconds of a shard and of a row, by process."""
    small, large = ({**record, **record["cpu"]} for record in (_read(few), _read(many)))
    return {name: _fit(small, large, name) for name in small["cpu"]}


def _fit(few: dict[str, Any], many: dict[str, Any], name: str) -> tuple[float, float]:
    runs = [(record["shards"], record["rows"], record[name]) for record in (few, many)]
    return fitted(*runs)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def print_predictions(few: Path, many: Path) -> None:
    """A line for every model, number of rows and number of workers."""
    print("| processor time of the | a shard ms | a row µs |\n| --- | ---: | ---: |")
    for name, (shard, row) in _processor_times(few, many).items():
        print(f"| {name} | {1e3 * shard:.1f} | {1e6 * row:.0f} |")
    config = RunConfig(device="cpu")
    kinds = {"forest": typical_seconds(config, "forest"), "constant": typical_seconds(config, "constant")}
    costs = {kind: costs_of(few, many, row) for kind, row in kinds.items()}
    print(
        "| model | rows | workers | shard rows | seconds | once | efficiency | waits for | shared limit "
        "| at workers |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- | ---: |"
    )
    for kind, row in kinds.items():
        for rows in (1_000_000, 10_000_000):
            for workers in (16, 128, 1024):
                size = shard_rows(rows, row, workers)
                found = predicted(costs[kind], rows, workers, size)
                saturation, name = found.saturation
                print(
                    f"| {kind} | {rows:,} | {workers:,} | {size:,} | {found.seconds:,.0f} "
                    f"| {found.once:,.0f} | {found.efficiency:.2f} | {found.limit} "
                    f"| {name} | {saturation:,.0f} |"
                )
    print("| workers | seconds of work a shard should have at least |\n| ---: | ---: |")
    for workers in (16, 128, 1024, 4096):
        print(f"| {workers:,} | {math.ceil(workers * costs['forest'].client_shard / _BUSY)} |")
