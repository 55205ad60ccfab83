"""Strong and weak scaling on one machine, beside what the machine itself gives to independent processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from goldilocks_batch import RunConfig, run
from goldilocks_batch.report import Report

__all__ = ["print_scaling"]

_SHARD = 250
_ROUNDS = 3


class Clock:
    """Notes when parts are written."""

    def __init__(self) -> None:
        self.parts: list[tuple[float, int]] = []

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """Nothing to note."""

    def advanced(self, report: Report) -> None:
        """A part is there."""
        self.parts.append((time.monotonic(), report.rows))

    def warned(self, message: str) -> None:
        """There should be no reason to."""
        print(message, file=sys.stderr)

    def rate(self, workers: int) -> float:
        """Rows a second once every worker has written a part, until the first of them has none left."""
        begin, end = workers - 1, len(self.parts) - workers
        rows = sum(rows for _, rows in self.parts[begin + 1 : end + 1])
        return rows / (self.parts[end][0] - self.parts[begin][0])


def screened(manifest: Path, workers: int) -> tuple[float, float]:
    """Rate in rows/s with the workers at work, and time of the whole run, s."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            inputs=(manifest,),
            output=Path(folder, "run"),
            model="starter",
            workers=workers,
            shard_size=_SHARD,
            dashboard=None,
        )
        summary = run(config, observer=clock)
    return clock.rate(workers), summary.seconds


def independent(manifest: Path, processes: int) -> float:
    """Rows/s of plain processes that know nothing of each other, each doing all rows in a loop, added up."""
    command = [sys.executable, "-m", "benchmarks.scaling.workers", str(manifest)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(process.communicate()[0]) for process in started)


def alone(manifest: Path) -> float:
    """Rows/s of this process, which does the shards one after the other."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "run")
        config = RunConfig(
            inputs=(manifest,), output=output, model="starter", executor="serial", shard_size=_SHARD
        )
        run(config, observer=clock)
    return clock.rate(1)


def print_scaling(manifest: Path, rows: int) -> None:
    """Medians of three rounds, in which one worker and two take turns."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.parquet"), Path(folder, "large.parquet")
        table = pq.read_table(manifest)
        for path, count in ((small, rows // 2), (large, rows)):
            pq.write_table(table.slice(0, count), path, row_group_size=1000)
        runs: dict[str, list[tuple[float, float]]] = {}
        for _ in range(_ROUNDS):
            for name, path, workers in (("half", small, 1), ("one", large, 1), ("two", large, 2)):
                runs.setdefault(name, []).append(screened(path, workers))
            for processes in (1, 2):
                runs.setdefault(f"plain {processes}", []).append((independent(small, processes), 0.0))
    rate = {name: median(found for found, _ in values) for name, values in runs.items()}
    whole = {name: median(found for _, found in values) for name, values in runs.items()}
    print(
        f"| | 1 worker | 2 workers | efficiency |\n| --- | ---: | ---: | ---: |\n"
        f"| strong: {rows:,} rows, whole run s | {whole['one']:.1f} | {whole['two']:.1f} "
        f"| {whole['one'] / whole['two'] / 2:.2f} |\n"
        f"| weak: {rows // 2:,} rows a worker, whole run s | {whole['half']:.1f} | {whole['two']:.1f} "
        f"| {whole['half'] / whole['two']:.2f} |\n"
        f"| rows/s while all work | {rate['one']:.0f} | {rate['two']:.0f} "
        f"| {rate['two'] / rate['one'] / 2:.2f} |\n"
        f"| rows/s of independent processes | {rate['plain 1']:.0f} | {rate['plain 2']:.0f} "
        f"| {rate['plain 2'] / rate['plain 1'] / 2:.2f} |"
    )


if __name__ == "__main__":
    print(alone(Path(sys.argv[1])))
