"""From labels to a screening with a model of one's own, through the command line.

    python benchmarks/training.py jarvis_kpoint_length.parquet mc3d_pbe.parquet --rows 300
    python benchmarks/training.py labels.parquet manifest.parquet --rows 300 --networks 9 --epochs 4

Trains twice (the second time all features are known) and screens evenly spread rows of the manifest.  With
``--networks`` it trains that many ALIGNN networks of the published shape on the CPU, in place of a forest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch import read_results

TABLE = "| {:<34} | {:>6} | {:>6} | {:>11} | {:>8} |"


def main() -> None:
    """Train, train again, screen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("labels", type=Path)
    parser.add_argument("manifest", type=Path, help="structures to screen")
    parser.add_argument("--rows", type=int, help="how many of them; all by default")
    parser.add_argument("--target", default="kpoint_length", help="column of labels")
    parser.add_argument("--kind", default="kpoint_length", choices=["kdist", "kpoint_length"])
    parser.add_argument("--features", help="columns; those with SOAP for a forest, without for networks")
    parser.add_argument("--networks", type=int, default=0, help="a multiple of 3; 0 for a forest")
    parser.add_argument("--epochs", type=int, default=4, help="of networks")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(TABLE.format("step", "rows", "failed", "wall time s", "rows/s"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = ["train", "rf", options.labels, "--target", options.target, "--kind", options.kind]
        features = options.features or "comp_struct_soap_lattice.v1"
        if options.networks:
            settings = {"network": {"members": options.networks // 3}, "fit": {"epochs": options.epochs}}
            (folder / "networks.yaml").write_text(json.dumps(settings))
            train[1] = "alignn"
            train += ["--config", folder / "networks.yaml", "--device", "cpu"]
            features = options.features or "comp_struct_lattice.v1"
        train += ["--features", features, "--cache", folder / "cache"]
        labels = pq.read_metadata(options.labels).num_rows
        _timed("training", labels, [*train, "-o", folder / "model"], options.workers)
        _timed("training, all features known", labels, [*train, "-o", folder / "again"], options.workers)
        some = folder / "some.parquet"
        rows = _spread(options.manifest, options.rows, some)
        screen = ["run", some, "--model", folder / "model", "-o", folder / "run"]
        _timed("screening with the model", rows, screen, options.workers)
        flags = read_results(folder / "run", ["flags"])["flags"].combine_chunks().flatten()
    counts = ", ".join(f"{entry['values']} {entry['counts']:,}" for entry in flags.value_counts().to_pylist())
    print(f"flags: {counts or 'none'}")


def _timed(step: str, rows: int, arguments: Sequence[object], workers: int) -> None:
    began = time.perf_counter()
    command = [sys.executable, "-m", "goldilocks_batch.cli.app", *map(str, arguments), "-q"]
    done = subprocess.run([*command, "--workers", str(workers)], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    failed = "some" if done.returncode else "none"
    print(TABLE.format(step, f"{rows:,}", failed, f"{seconds:.0f}", f"{rows / seconds:.0f}"), flush=True)


def _spread(manifest: Path, count: int | None, output: Path) -> int:
    """Write evenly spread rows of a manifest."""
    table = pq.read_table(manifest)
    rows = np.linspace(0, table.num_rows - 1, count or table.num_rows).astype(np.int64)
    pq.write_table(table.take(pa.array(np.unique(rows))), output, row_group_size=1000)
    return len(np.unique(rows))


if __name__ == "__main__":
    main()
