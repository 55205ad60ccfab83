"""Runs that several suites start and watch."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from goldilocks_batch import RunConfig
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.report import Report
from tests.logged import warnings_from_now

#: Of runs that tests carry out themselves.
FINGERPRINT = "fingerprint"


class Recorder:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.warnings = warnings_from_now()

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """Nothing to keep."""

    def advanced(self, report: Report) -> None:
        self.reports.append(report)


def config(manifest: Path, output: Path, **options: Any) -> RunConfig:
    defaults = {"model": "baseline", "workers": 2, "shard_size": 64}
    values = {"inputs": [manifest], "output": output, "dashboard": None, **defaults, **options}
    return RunConfig.model_validate(values)


def command(
    manifest: Path, output: Path, *options: str, log: Path | None = None, pause: float = 0.0
) -> list[str]:
    """The run as a command; with a log every shard begun leaves a line there, then pauses."""
    program = ["goldilocks_batch.cli.app"]
    if log is not None:
        program = ["tests.integration.logged_run", str(log), str(pause)]
    arguments = [sys.executable, "-m", *program, "run", str(manifest), "-o", str(output)]
    return [*arguments, "--model", "baseline", "--shard-size", "10", "--workers", "2", *options]


def rows_of(output: Path) -> pa.Table:
    """The result rows of a run that a test has carried out itself, without a record."""
    return Parts(output / "results", FINGERPRINT).table()


def finish(arguments: list[str]) -> str:
    """Run a command to its end; what it said."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def shards_begun(log: Path) -> list[tuple[int, int]]:
    """First row and length of every shard begun."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(int(row), int(count)) for row, count in lines]


def structures_begun(log: Path) -> int:
    return sum(count for _, count in shards_begun(log))


def wait_for_parts(
    output: Path, count: int, client: subprocess.Popen[Any] | None = None, *, seconds: float = 60.0
) -> None:
    """Until so many parts are there; a client that is watched must not end before."""
    deadline = time.monotonic() + seconds
    while len(list(output.glob("results/part-*.parquet"))) < count:
        assert client is None or client.poll() is None, client.communicate()
        assert time.monotonic() < deadline, "no part in time"
        time.sleep(0.01)
