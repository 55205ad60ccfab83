"""Folders of runs with made-up rows, as pages are written of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.results.part import write_part
from goldilocks_batch.results.schema import result_schema
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.screening.rows import report_of

FINGERPRINT = "made-up"
FORMULAS = ["Si", "NaCl", "Al2O3", "FeO", "CsPbI3", "UO2", "H2O", "Xe", None]
#: What nobody may be made to run, in every text that comes from inputs.
HOSTILE = '<script>window.stolen=1</script><img src=x onerror="window.stolen=1">\'"&\u202e{{7*7}}</style>'


def rows(count: int, seed: int = 0, *, failed: float = 0.1, hostile: bool = False) -> pa.Table:
    """Result rows of all kinds."""
    random = np.random.default_rng(seed)
    bad = random.random(count) < failed
    lower = np.exp(random.normal(-1.4, 0.4, count))
    median = lower * (1 + random.random(count))
    upper = median * (1 + random.random(count))
    codes = [code.value for code in ErrorCode if code.ends == "row"]
    mark = HOSTILE if hostile else ""
    points = random.integers(1, 5000, count)
    made: dict[str, list[Any]] = {
        "id": [f"id-{row}{mark}" for row in range(count)],
        "source": [f"/nowhere/{mark}manifest.parquet:{row}" for row in range(count)],
        "row": list(range(count)),
        "status": ["failed" if b else "ok" for b in bad],
        "stage": ["check" if b else "done" for b in bad],
        "error_code": [codes[row % len(codes)] if b else None for row, b in enumerate(bad)],
        "error_message": [f"found {row}{mark}" if b else None for row, b in enumerate(bad)],
        "formula": [FORMULAS[i] for i in random.integers(0, len(FORMULAS), count)],
        "flags": [
            [f for f, has in zip(("far_from_training", "vacuum", "vacuum_c"), some, strict=True) if has]
            for some in random.random((count, 3)) < 0.3
        ],
    }
    numbers: dict[str, Any] = {
        "n_sites": random.integers(1, 300, count),
        "n_sites_primitive": random.integers(1, 300, count),
        "space_group_number": random.integers(1, 231, count),
        "kdist": lower,
        "kdist_lower": lower,
        "kdist_median": median,
        "kdist_upper": upper,
        "constant_kdist": np.full(count, 0.1769),
        "confidence": np.full(count, 0.95),
        "training_distance": random.gamma(4.0, 0.2, count),
        "n_kpoints": 4 * points,
        "n_kpoints_irreducible": points,
        "constant_n_kpoints": 4 * random.integers(1, 5000, count),
        "constant_n_kpoints_irreducible": random.integers(1, 5000, count),
        "primitive_n_kpoints": 3 * points,
        "primitive_n_kpoints_irreducible": points,
        "primitive_constant_n_kpoints": 2 * points,
        "primitive_constant_n_kpoints_irreducible": points,
        "aiida_n_kpoints": 4 * random.integers(1, 5000, count),
        "aiida_n_kpoints_irreducible": random.integers(1, 5000, count),
    }
    schema = result_schema()
    for name, values in numbers.items():
        made[name] = [None if b else v for v, b in zip(values.tolist(), bad, strict=True)]
    made["space_group_symbol"] = [None if b else "P6_3/mmc" for b in bad]
    made["mesh"] = [None if b else [4, 3, 2] for b in bad]
    nothing = [None] * count
    return pa.table({f.name: pa.array(made.get(f.name, nothing), f.type) for f in schema}, schema=schema)


def folder_of(
    folder: Path, table: pa.Table, *, parts: int = 3, expected: int | None = None, **record: Any
) -> Path:
    """The folder of a run with these rows."""
    (folder / "results").mkdir(parents=True)
    edges = np.linspace(0, table.num_rows, parts + 1).astype(int).tolist()
    for start, stop in pairwise(edges):
        if stop > start:
            part = table.slice(start, stop - start)
            report = report_of(part, {"read": 0.1, "features.physics": 2.5})
            report.peak_memory = 700 * 2**20
            write_part(folder / "results", Shard(start, stop), part, report, FINGERPRINT)
    began = datetime.now(UTC) - timedelta(seconds=20)
    started, finished = (t.isoformat(timespec="seconds") for t in (began, began + timedelta(seconds=30)))
    complete = expected is None or expected == table.num_rows
    attempt = {"started": started, "state": "completed" if complete else "interrupted"}
    values = {
        "state": attempt["state"],
        "started": started,
        "finished": finished,
        "fingerprint": FINGERPRINT,
        "identity": {"options": {"grid": "lower"}},
        "config": {"inputs": ["/nowhere/manifest.parquet"], "model": "rf"},
        "inputs": [
            {
                "path": "/nowhere/manifest.parquet",
                "kind": "manifest",
                "rows": table.num_rows,
                "digest": "0123abcd",
                "licence": "CC BY 4.0",
            }
        ],
        "rows": table.num_rows if expected is None else expected,
        "model": {
            "model": "rf",
            "model_revision": "7558",
            "model_digest": "feed",
            "confidence": 0.95,
            "coverage_central": 0.9,
            "tolerance": 1.0,
        },
        "versions": {"python": "3.11.7", "goldilocks-batch": "1.2.3"},
        "attempts": [attempt | {"rows": table.num_rows, "seconds": 20.0, "finished": finished}],
    }
    (folder / "run.json").write_text(json.dumps(values | record), encoding="utf-8")
    return folder
