"""Dask clusters of plain processes, which tests start and disturb."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest
from distributed import Client

from goldilocks_batch.execution.dask.joined import JoinedPool


class Site:
    """A Dask cluster of plain processes, which are ended when its block is left."""

    #: Shards that a worker does at a time.
    seats = 1

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        # this tree first: a package may install a module of the name "tests"
        tree = str(Path(__file__).resolve().parents[2])
        self._environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([tree, *(path or str(Path.cwd()) for path in sys.path)])
        }
        self.start()

    def start(self) -> None:
        """Start a scheduler, without workers."""
        self.file.unlink(missing_ok=True)
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.processes = [self.scheduler]
        deadline = time.monotonic() + 30
        while not self.file.exists():
            assert time.monotonic() < deadline, "no scheduler"
            time.sleep(0.1)

    def _start(
        self, kind: str, *options: str, before: tuple[str, ...] = (), path: Path | None = None
    ) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", str(self.file)]
        first = [str(path)] if path is not None else []
        found = os.pathsep.join([*first, self._environment["PYTHONPATH"]])
        return subprocess.Popen(
            [*before, *program, *options],
            cwd=self.file.parent,  # Python puts the working folder before its path
            env=self._environment | {"PYTHONPATH": found},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def add_worker(self, *before: str, path: Path | None = None) -> None:
        """Start a worker; ``before`` is put before its command, ``path`` before its Python path."""
        options = ("--no-nanny", "--nthreads", str(self.seats), "--dashboard-address", "127.0.0.1:0")
        self.processes.append(self._start("worker", *options, before=before, path=path))

    def wait_for_workers(self, count: int) -> None:
        with Client(scheduler_file=str(self.file), set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)

    def replace_worker(self) -> None:
        """End the only worker and start one with nothing special."""
        worker = self.processes.pop()
        worker.kill()
        worker.wait()
        self.add_worker()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        for running in self.processes:
            running.kill()
            running.wait()


def hiding(folder: Path) -> tuple[str, ...]:
    """What makes a process see nothing in a folder, put before its command."""
    hidden = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder))
    if shutil.which("unshare") is None or subprocess.run([*hidden, "true"], check=False).returncode:
        pytest.skip("this system lets nobody hide a folder from a process")
    return hidden


class TendedPool(JoinedPool):
    """Starts a worker when it is tended and there is none, as a scheduler of jobs would."""

    def __init__(self, site: Site) -> None:
        super().__init__(str(site.file), plain_tcp=False)
        self._site = site
        self.started = 0

    def tend(self, workers: int) -> None:
        super().tend(workers)
        if all(process.poll() is not None for process in self._site.processes[1:]):
            self._site.add_worker()
            self.started += 1
