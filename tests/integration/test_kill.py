"""Processes killed without warning: the same command finishes the work, and the table is the same."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from goldilocks_batch import read_results
from tests.integration.runs import command, finish, structures_begun

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

#: `pytest --log-cli-level=INFO` shows them.
FIGURES = logging.getLogger(__name__)


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def parts(output: Path) -> dict[str, int]:
    """Finished parts and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in output.glob("results/part-*.parquet")}


def wait_for_parts(output: Path, more_than: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while len(parts(output)) <= more_than and process.poll() is None:
        assert time.monotonic() < deadline, "no part in time"
        time.sleep(0.02)


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "goldilocks_batch.execution.child" in " ".join(child.cmdline())
    ]


def test_killed_workers_are_replaced_and_no_row_is_lost(
    manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    process = start(command(manifest, output))
    rng = random.Random(7)
    killed = 0
    for _ in range(3):
        wait_for_parts(output, len(parts(output)), process)
        running = workers_of(process)
        if running:
            rng.choice(running).send_signal(signal.SIGKILL)
            killed += 1
        time.sleep(rng.uniform(0.0, 1.0))
    assert process.wait(timeout=180) in (0, 1)
    assert killed
    assert read_results(output).equals(read_results(undisturbed))


def test_a_killed_run_goes_on_where_it_stopped(manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "run", tmp_path / "log"
    arguments = command(manifest, output, "--shard-size", "20", log=log, pause=0.6)
    rng = random.Random(3)
    before: dict[str, int] = {}
    for _ in range(3):
        process = start(arguments)
        wait_for_parts(output, len(before), process)
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(2.0)  # orphaned workers notice and end; what they had begun may still be written
        after = parts(output)
        assert before.items() <= after.items(), "a finished part was touched again"
        before = after
    assert before
    finish(arguments)
    assert before.items() <= parts(output).items()
    assert read_results(output).equals(read_results(undisturbed))
    record = json.loads((output / "run.json").read_text())
    assert [attempt["state"] for attempt in record["attempts"]] == ["killed"] * 3 + ["completed"]
    assert not list(output.glob("results/.part-*")), "a temporary file was left behind"
    twice = structures_begun(log) - 600
    FIGURES.info("client killed three times: %d structures begun twice", twice)
    assert twice <= 3 * 2 * 20  # what both processes had in hand


def test_no_worker_outlives_a_killed_run(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    process = start(command(manifest, output))
    wait_for_parts(output, 0, process)
    pids = [worker.pid for worker in workers_of(process)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(map(psutil.pid_exists, pids)):
        time.sleep(0.2)
    assert pids
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
