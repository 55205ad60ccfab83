"""Tables of what the model predicts, from the records of two stub runs, and of what it takes to start."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from bisect import bisect_left
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil

from benchmarks.scaling.model import Costs, Site, fitted, predicted
from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.execution.job import Job
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.runs.attempt import screening_of
from goldilocks_batch.runs.sizing import shard_rows, typical_seconds
from goldilocks_batch.screening.pipeline import Screening

__all__ = ["Loading", "costs_of", "print_predictions", "print_starting", "saturation"]

#: Share of its time that the client with the scheduler may be busy before workers begin to wait for it.
_BUSY = 0.5
#: Workers on a node, assumed: what one of them has read of a shared file system the others find in memory.
_NODE = 32
#: More workers than anybody has.
_MOST = 10**7


@dataclass(frozen=True, slots=True)
class Loading:
    """What it takes a worker's child to be ready: Python, libraries, model.

    Attributes:
        seconds: processor time of each process, s.
        bytes: that a node reads, for all of its processes.
    """

    seconds: float
    bytes: float

    def reading(self, workers: int, site: Site) -> float:
        """Time in which the file system has given every node its bytes, s."""
        return math.ceil(workers / _NODE) * self.bytes / site.bandwidth


#: `scale start`, models baseline and rf; the published forest on top (`forest_load.py`: 0.18 s, 65 MB).
_LOADING = {ModelKind.FOREST: Loading(0.66, 0.20e9), ModelKind.CONSTANT: Loading(0.38, 0.12e9)}


def costs_of(few: Path, many: Path, row: float, loading: Loading, workers: int, site: Site) -> Costs:
    """Costs from the records of two runs, of few rows a shard and of many.

    Args:
        few: JSON that ``scale stub --layout slurm --record`` wrote for a shard size of one row.
        many: the same for shards of some hundred rows and a million rows in all.
        row: of a process, to compute a row, s; what the stub took to read and write it is contained.
        loading: of a process; in the records it is that of a constant.
        workers: that start at once.
        site: the file system that they read from.
    """
    cpu, large = _processor_times(few, many), _read(many)
    part_bytes, row_bytes = _fit(_read(few), large, "bytes")
    started = large["first"] - large["planning"] - _LOADING[ModelKind.CONSTANT].seconds
    return Costs(
        row=row,
        shard=cpu["children"][0] + cpu["worker"][0],
        start=started + loading.seconds + loading.reading(workers, site),
        client_shard=cpu["client"][0],  # the scheduler is in its process
        plan_row=large["planning"] / large["rows"],
        end_part=1.3e-3,  # `scale plan`, wall time
        end_row=5.2e-6,  # `scale compact` after shards of 5,000 rows
        part_bytes=part_bytes,
        row_bytes=max(row_bytes, 60.0),  # the stub's equal rows compress better than real ones
        manifest_row=285.0,  # examples/make_manifest.py, row groups of 1,000
        footer_row=0.6 / _NODE,  # read by every node
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


def saturation(costs: Costs, rows: int, size: int, loading: Loading, site: Site) -> dict[str, int]:
    """The least number of workers whose computing takes no longer than what all of them share.

    Args:
        costs: of a row and a shard.
        rows: of the inputs.
        size: rows of a shard.
        loading: of a process.
        site: the file system.

    Returns:
        By what is shared: the demands of :func:`~benchmarks.scaling.model.predicted`, and ``loading``, which
        they wait for before they begin.
    """

    def exceeded(workers: int, name: str) -> bool:
        demands = {**predicted(costs, rows, workers, size, site).demands}
        demands["loading"] = loading.reading(workers, site)
        return demands[name] >= demands["workers"]

    names = [*predicted(costs, rows, 1, size, site).demands, "loading"]
    return {
        name: 1 + bisect_left(range(1, _MOST), True, key=lambda workers: exceeded(workers, name))
        for name in names
        if name != "workers"
    }


def print_predictions(few: Path, many: Path) -> None:
    """A line for every model, number of rows and number of workers; and where what is shared saturates."""
    print("| processor time of the | a shard ms | a row µs |\n| --- | ---: | ---: |")
    for name, (shard, row) in _processor_times(few, many).items():
        print(f"| {name} | {1e3 * shard:.1f} | {1e6 * row:.0f} |")
    config, site = RunConfig(device="cpu"), Site()
    seconds = {kind: typical_seconds(config, kind) for kind in _LOADING}
    costs = {
        (kind, workers): costs_of(few, many, seconds[kind], loading, workers, site)
        for kind, loading in _LOADING.items()
        for workers in (1, 16, 128, 1024)
    }
    print(
        "| model | rows | workers | shard rows | s | once s | of it loading s | efficiency | waits for |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    )
    for kind, loading in _LOADING.items():
        for rows in (1_000_000, 10_000_000):
            for workers in (16, 128, 1024):
                size = shard_rows(rows, seconds[kind], workers)
                found = predicted(costs[kind, workers], rows, workers, size, site)
                alone = predicted(costs[kind, 1], rows, 1, size, site)
                spent = loading.seconds + loading.reading(workers, site)
                print(
                    f"| {kind} | {rows:,} | {workers:,} | {size:,} | {found.seconds:,.0f} "
                    f"| {found.once:,.0f} | {spent:.1f} | {alone.seconds / workers / found.seconds:.2f} "
                    f"| {found.limit} |"
                )
    _print_saturation(costs, seconds, site)
    print("| workers | seconds of work a shard should have at least |\n| ---: | ---: |")
    for workers in (16, 128, 1024, 4096):
        print(f"| {workers:,} | {math.ceil(workers * costs[ModelKind.FOREST, 1].client_shard / _BUSY)} |")


def _print_saturation(
    costs: dict[tuple[ModelKind, int], Costs], seconds: dict[ModelKind, float], site: Site
) -> None:
    """Numbers of workers, with shards of the size that 1,024 workers get."""
    print(
        "| model | rows | shard rows | client and scheduler | file creation | manifest reading "
        "| result writing | loading |\n| --- " + "| ---: " * 7 + "|"
    )
    for kind, loading in _LOADING.items():
        for rows in (1_000_000, 10_000_000):
            size = shard_rows(rows, seconds[kind], 1024)
            found = saturation(costs[kind, 1024], rows, size, loading, site)
            numbers = " | ".join(f"{number:,}" for number in found.values())
            print(f"| {kind} | {rows:,} | {size:,} | {numbers} |")


def print_starting(models: list[str], config: RunConfig, repeats: int = 5) -> None:
    """What it takes a child to be ready, medians; files are in memory already after the first time.

    Args:
        models: their names.
        config: says where their files are.
        repeats: processes for each model.
    """
    print(
        "| model | processor s | mapped and touched MB | read MB | mapped files, whole MB |\n"
        "| --- | ---: | ---: | ---: | ---: |"
    )
    for model in models:
        work = screening_of(config.updated(model=model))
        found = zip(*(_started(work) for _ in range(repeats)), strict=True)
        seconds, touched, read, whole = map(statistics.median, found)
        print(f"| {model} | {seconds:.2f} | {touched / 1e6:.0f} | {read / 1e6:.0f} | {whole / 1e6:.0f} |")


def _started(work: Screening) -> tuple[float, float, float, float]:
    """Of one child: processor time, s, until it is ready, and bytes of the files that it maps and reads."""
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "goldilocks_batch.execution.child", str(theirs.fileno())]
    with tempfile.TemporaryDirectory() as folder, theirs:
        job = Job(work, Shard(0, 0), (), Path(folder), "fingerprint")
        child = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=os.environ)
        theirs.close()
        ours.send(job)
        said, value = ours.recv()
        if said != "ready":
            raise SystemExit(f"the model cannot be loaded: {value}")
        process = psutil.Process(child.pid)
        times, maps = process.cpu_times(), process.memory_maps()
        files = [Path(entry.path) for entry in maps if Path(entry.path).is_file()]
        touched = sum(entry.rss for entry in maps if Path(entry.path).is_file())
        read = process.io_counters().read_chars
        ours.recv()
        ours.close()
        child.wait()
    return times.user + times.system, touched, read, sum(file.stat().st_size for file in files)
