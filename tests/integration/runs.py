"""Runs that several suites start and watch."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from goldilocks_batch import RunConfig
from goldilocks_batch.report import Report


class Recorder:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.warnings: list[str] = []

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """Nothing to keep."""

    def advanced(self, report: Report) -> None:
        self.reports.append(report)

    def warned(self, message: str) -> None:
        self.warnings.append(message)


def config(manifest: Path, output: Path, **options: Any) -> RunConfig:
    defaults = {"model": "baseline", "workers": 2, "shard_size": 64}
    values = {"inputs": [manifest], "output": output, "dashboard": None, **defaults, **options}
    return RunConfig.model_validate(values)


def command(manifest: Path, output: Path, *options: str) -> list[str]:
    program = [sys.executable, "-m", "goldilocks_batch.cli.app", "run", str(manifest), "-o", str(output)]
    return [*program, "--model", "baseline", "--shard-size", "10", "--workers", "2", *options]


def wait_for_parts(output: Path, count: int, client: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while len(list(output.glob("results/part-*.parquet"))) < count:
        assert client.poll() is None, client.communicate()
        assert time.monotonic() < deadline, "no part in time"
        time.sleep(0.01)
