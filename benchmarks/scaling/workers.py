"""Strong and weak scaling on one machine, beside what the machine itself gives to independent processes."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pyarrow.parquet as pq

from goldilocks_batch import RunConfig, run
from goldilocks_batch.results.report import Report

__all__ = ["print_scaling"]

_SHARD = 250
_ROUNDS = 3


class Measures(NamedTuple):
    """Of one run: time, s; steady rows a second; share of time with a shard in hand; processor ms a row."""

    seconds: float
    rate: float
    busy: float
    cpu: float


class Clock:
    """Notes when parts are written, and how much work is in them."""

    def __init__(self) -> None:
        self.parts: list[tuple[float, int, float]] = []

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """Nothing to note."""

    def advanced(self, report: Report) -> None:
        """A part is there."""
        self.parts.append((time.monotonic(), report.rows, sum(report.seconds.values())))

    def steady(self, workers: int) -> tuple[float, float]:
        """Of the time between every worker's first part and the first worker's end, rates of two kinds.

        Returns:
            Rows a second, and the share of the time in which a worker has a shard in hand: that one does
            not suffer from what else the machine has to do.
        """
        begin, end = workers - 1, len(self.parts) - workers
        inside = self.parts[begin + 1 : end + 1]
        elapsed = self.parts[end][0] - self.parts[begin][0]
        busy = sum(seconds for *_, seconds in inside) / workers / elapsed
        return sum(rows for _, rows, _ in inside) / elapsed, busy


def screened(manifest: Path, workers: int) -> Measures:
    """A run on some workers."""
    clock = Clock()
    before = _children_cpu()
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            inputs=(manifest,),
            output=Path(folder, "run"),
            model="mc3d",
            workers=workers,
            shard_size=_SHARD,
            dashboard=None,
        )
        summary = run(config, observer=clock)
    spent = _children_cpu() - before
    return Measures(summary.seconds, *clock.steady(workers), 1e3 * spent / summary.computed)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


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
            inputs=(manifest,), output=output, model="mc3d", executor="serial", shard_size=_SHARD
        )
        run(config, observer=clock)
    return clock.steady(1)[0]


def print_scaling(manifest: Path, rows: int) -> None:
    """Medians of three rounds, in which one worker and two take turns."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.parquet"), Path(folder, "large.parquet")
        table = pq.read_table(manifest)
        for path, count in ((small, rows // 2), (large, rows)):
            pq.write_table(table.slice(0, count), path, row_group_size=1000)
        runs: dict[str, list[Measures]] = {}
        plain: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(_ROUNDS):
            for name, path, workers in (("half", small, 1), ("one", large, 1), ("two", large, 2)):
                runs.setdefault(name, []).append(screened(path, workers))
            for processes, rates in plain.items():
                rates.append(independent(small, processes))
    half, one, two = (Measures(*map(median, zip(*values, strict=True))) for values in runs.values())
    alone_rate, both_rate = (median(rates) for rates in plain.values())
    lines = [
        (f"strong: {rows:,} rows, whole run s", one.seconds, two.seconds, one.seconds / two.seconds / 2),
        (f"weak: {rows // 2:,} rows a worker, s", half.seconds, two.seconds, half.seconds / two.seconds),
        ("rows/s while all work", one.rate, two.rate, two.rate / one.rate / 2),
        ("rows/s of independent processes", alone_rate, both_rate, both_rate / alone_rate / 2),
        ("share of time with a shard in hand", one.busy, two.busy, two.busy / one.busy),
        ("processor ms a row, starting included", one.cpu, two.cpu, one.cpu / two.cpu),
    ]
    print("| | 1 worker | 2 workers | efficiency |\n| --- | ---: | ---: | ---: |")
    for name, single, double, efficiency in lines:
        print(f"| {name} | {single:.3g} | {double:.3g} | {efficiency:.2f} |")


if __name__ == "__main__":
    print(alone(Path(sys.argv[1])))
