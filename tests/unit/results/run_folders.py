"""Folders of runs with made-up rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from goldilocks_batch.results.part import Part, write_part
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.schema import result_schema
from goldilocks_batch.results.shards import Identity, Shard

IDENTITY = Identity({"inputs": ["made up"], "version": "1"})
RUN = IDENTITY.fingerprint


def rows(shard: Shard) -> pa.Table:
    """Result rows, empty but for their numbers, ids in another order, and a value."""
    schema = result_schema()
    numbers = range(shard.start, shard.stop)
    values: dict[str, Any] = {
        "id": [f"id-{(row * 37) % 1000:04d}" for row in numbers],
        "row": list(numbers),
        "status": ["ok"] * len(shard),
        "kdist": [row / 7 for row in numbers],
    }
    nothing = [None] * len(shard)
    return pa.table({name: values.get(name, nothing) for name in schema.names}, schema=schema)


def part(output: Path, start: int, stop: int, fingerprint: str = RUN) -> Part:
    """Write a part of a run; one of its rows failed."""
    shard, results = Shard(start, stop), output / "results"
    results.mkdir(exist_ok=True)
    return write_part(results, shard, rows(shard), Report(len(shard), len(shard) - 1), fingerprint)


def record(output: Path, count: int, **values: Any) -> Path:
    """Write the record of a run of so many rows."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    known = {
        "state": "running",
        "started": started,
        "fingerprint": RUN,
        "identity": dict(IDENTITY.parts),
        "rows": count,
        "attempts": [{"started": started, "state": "running"}],
    }
    path = output / "run.json"
    path.write_text(json.dumps(known | values, indent=2), encoding="utf-8")
    return path
