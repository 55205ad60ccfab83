"""A whole screening on this machine: wall time, rate, peak memory of a worker.

    python benchmarks/screening.py manifest.parquet --artifacts models/ --rows 5000 35000

For every number of rows the manifest's first rows are screened by `goldilocks-batch run` in a fresh process,
and the figures are read from its ``run.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq


def screen(manifest: Path, rows: int, options: list[str]) -> dict[str, float]:
    """Figures of one run over the first ``rows`` rows."""
    with tempfile.TemporaryDirectory() as folder:
        table = pq.read_table(manifest).slice(0, rows)
        part = Path(folder, "part.parquet")
        pq.write_table(table, part, row_group_size=2000)
        output = Path(folder, "run")
        command = [
            sys.executable,
            "-m",
            "goldilocks_batch.cli.app",
            "run",
            str(part),
            "-o",
            str(output),
            "-q",
        ]
        done = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(done.stderr)
        record = json.loads((output / "run.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in (output / "results").iterdir())
    counts, seconds = record["counts"], record["attempts"][0]["seconds"]
    return {
        "rows": counts["rows"],
        "failed": counts["rows"] - counts["ok"],
        "seconds": seconds,
        "rate": counts["rows"] / seconds,
        "peak": counts["peak_memory"] / 2**20,
        "size": size / 2**20,
    }


def main() -> None:
    """Print a table, a line for every number of rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[5000, 35000])
    options, rest = parser.parse_known_args()
    print(
        "| rows in | rows out | failed | wall time s | rows/s | peak memory of a worker MiB | results MiB |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for rows in options.rows:
        f = screen(options.manifest, rows, rest)
        print(
            f"| {rows:,} | {f['rows']:,} | {f['failed']:,} | {f['seconds']:.0f} | {f['rate']:,.0f} "
            f"| {f['peak']:.0f} | {f['size']:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
