"""A manifest through the whole machinery with work that computes nothing: memory and time by process."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dask
import psutil
from distributed import Client, Scheduler, SpecCluster
from distributed.diagnostics.plugin import WorkerPlugin

from benchmarks.scaling.stub import StubWork
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.execution.dask.executor import DaskExecutor
from goldilocks_batch.execution.dask.joined import JoinedPool
from goldilocks_batch.execution.dask.local import LocalPool
from goldilocks_batch.execution.dask.pool import SETTINGS, Pool
from goldilocks_batch.execution.dask.tasks import Ration
from goldilocks_batch.execution.slurm.security import issue_certificate
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.attempt import screening_of
from goldilocks_batch.runs.run import Assignment, process
from goldilocks_batch.structures.sources.sourceset import open_sources

__all__ = ["Figures", "measured", "print_figures"]

_EVERY = 5.0


@dataclass(slots=True)
class Figures:
    """What one run took.

    Attributes:
        rows: of the manifest.
        shards: parts that were written.
        planning: opening the inputs, ids checked, s.
        first: from the start to the first part, s, planning and starting of processes included.
        seconds: from the start to the end, s.
        cpu: processor time of the client, scheduler, worker and children, planning aside, s; the client's
            has the scheduler's in it where that is in its process.
        samples: one in 5 s: share of rows done, tasks that the scheduler knows, resident MB by process.
        bytes: of all parts.
    """

    rows: int
    shards: int = 0
    planning: float = 0.0
    first: float = 0.0
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    samples: list[dict[str, float]] = field(default_factory=list)
    bytes: int = 0


class Watch:
    """An observer of the run, and of the processes that do it."""

    def __init__(self, figures: Figures, began: float) -> None:
        self.figures = figures
        self._began = began
        self._rows = 0
        self._before: dict[str, float] = {}

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """Nothing to note."""

    def advanced(self, report: Report) -> None:
        """Note when the first part was there, and how many there are."""
        self.figures.first = self.figures.first or time.monotonic() - self._began
        self.figures.shards += 1
        self._rows += report.rows

    def sample(self, processes: dict[str, int], client: Client) -> None:
        """Memory of every process now, and processor time up to now."""
        tasks = client.run_on_scheduler(_known_tasks)
        found = {name: psutil.Process(pid) for name, pid in processes.items()}
        children = [
            p for p in found["worker"].children() if "goldilocks_batch.execution.child" in p.cmdline()
        ]
        groups = {**{name: [process] for name, process in found.items()}, "children": children}
        memory = {name: sum(p.memory_info().rss for p in group) / 2**20 for name, group in groups.items()}
        for name, group in groups.items():
            spent = sum(sum(p.cpu_times()[:2]) for p in group)
            self._before.setdefault(name, spent)
            self.figures.cpu[name] = spent - self._before[name]
        self.figures.samples.append({"done": self._rows / self.figures.rows, "tasks": tasks, **memory})


def _known_tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


class TLSPool:
    """A scheduler in this process that only those can join who hold the run's key.

    Args:
        folder: for the key.
    """

    dashboard: str | None = None
    seats = 2
    plugins: tuple[WorkerPlugin, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.security = issue_certificate(folder)
        options = {"protocol": "tls://", "host": "127.0.0.1", "dashboard": False, "security": self.security}
        with dask.config.set(SETTINGS):
            self.target = SpecCluster(
                scheduler={"cls": Scheduler, "options": options | {"dashboard_address": "127.0.0.1:0"}},
                security=self.security,
                silence_logs=logging.CRITICAL,
            )

    def tend(self, workers: int) -> None:
        """Nothing to do: the worker lives as long as the run."""

    def close(self) -> None:
        """Stop the scheduler."""
        self.target.close(timeout=10)


def measured(manifest: Path, output: Path, shard_size: int, layout: str) -> Figures:
    """Run the stub over a manifest with two children.

    Args:
        manifest: the rows.
        output: a folder for the parts, empty or new.
        shard_size: rows of a shard.
        layout: ``alone``, everything in this process, as on a single machine; ``apart``, scheduler and worker
            in processes of their own; ``slurm``, the worker in its own, with TLS between them.
    """
    with _pool(layout) as (pool, processes):
        began = time.monotonic()
        config = RunConfig(inputs=(manifest,), output=output, model="baseline")
        work = StubWork(screening_of(config))
        sources = open_sources(config.inputs)
        figures = Figures(sources.rows, planning=time.monotonic() - began)
        watch = Watch(figures, began)
        with (
            DaskExecutor(pool, Ration(config.task_timeout, config.memory_bytes)) as executor,
            Client(executor.address, security=pool.security, set_as_default=False) as client,
        ):
            assignment = Assignment(work, sources, Parts(output / "results", "fingerprint"))
            client.wait_for_workers(1)
            watch.sample(processes, client)
            with _sampling(watch, processes, client):
                process(assignment, executor, shard_size, watch)
            watch.sample(processes, client)
        figures.seconds = time.monotonic() - began
    figures.bytes = sum(path.stat().st_size for path in (output / "results").iterdir())
    return figures


@contextlib.contextmanager
def _sampling(watch: Watch, processes: dict[str, int], client: Client) -> Iterator[None]:
    over = threading.Event()

    def sample() -> None:
        while not over.wait(_EVERY):
            watch.sample(processes, client)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _pool(layout: str) -> Iterator[tuple[Pool, dict[str, int]]]:
    """Two seats, and the processes that share the work."""
    here = os.getpid()
    if layout == "alone":
        yield LocalPool(2, None), {"client": here, "worker": here}
        return
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        loopback = ["--host", "127.0.0.1", "--no-dashboard"]
        local = ["--local-directory", name, "--memory-limit", "0", "--nthreads", "2", "--no-nanny"]
        if layout == "slurm":
            pool = TLSPool(folder / "private")
            files = {"ca-file": "certificate", "cert": "certificate", "key": "key"}
            tls = [f"--tls-{option}={folder / 'private' / file}.pem" for option, file in files.items()]
            worker = _started(stack, "dask_worker", pool.target.scheduler_address, *tls, *loopback, *local)
            yield pool, {"client": here, "worker": worker}
            return
        file = folder / "scheduler.json"
        found = ["--scheduler-file", str(file), *loopback]
        scheduler = _started(stack, "dask_scheduler", *found)
        while not file.exists():
            time.sleep(0.1)
        worker = _started(stack, "dask_worker", *found, *local)
        yield JoinedPool(str(file), False), {"client": here, "scheduler": scheduler, "worker": worker}


def _started(stack: contextlib.ExitStack, program: str, *options: str) -> int:
    command = [sys.executable, "-m", f"distributed.cli.{program}", *options]
    process = stack.enter_context(
        subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": _path()})
    )
    stack.callback(process.kill)  # a worker that is asked to end while its scheduler closes may wait for ever
    return process.pid


def _path() -> str:
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)


def print_figures(figures: Figures, record: Path | None) -> None:
    """Print the figures, and keep them as JSON."""
    f = figures
    print(f"{f.rows:,} rows, {f.shards:,} shards, {f.bytes / f.shards / 1e3:.0f} kB a part")
    print(f"planning {f.planning:.1f} s, first part after {f.first:.1f} s, all after {f.seconds:.0f} s")
    for name, seconds in f.cpu.items():
        print(
            f"processor time, {name}: {seconds:.1f} s, {1e3 * seconds / f.shards:.2f} ms a shard, "
            f"{1e6 * seconds / f.rows:.0f} µs a row"
        )
    names = [name for name in f.samples[0] if name not in ("done", "tasks")]
    print("| rows done | tasks known | " + " | ".join(f"{name} MB" for name in names) + " |")
    print("| ---: " * (len(names) + 2) + "|")
    for share in (0.0, 0.1, 0.5, 1.0):
        nearest = min(f.samples, key=lambda sample: abs(sample["done"] - share))
        memory = " | ".join(f"{nearest[name]:.0f}" for name in names)
        print(f"| {nearest['done']:.0%} | {nearest['tasks']:.0f} | {memory} |")
    if record is not None:
        record.write_text(json.dumps(asdict(f), indent=1) + "\n", encoding="utf-8")
