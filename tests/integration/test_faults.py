"""Faults of clusters and structures: every row is accounted for, and only failing structures fail."""

from __future__ import annotations

import logging
import math
import os
import random
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from goldilocks_batch import RunConfig, read_results
from goldilocks_batch.execution.select import dask_executor
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.runs.attempt import screening_of
from goldilocks_batch.runs.run import Assignment, process
from goldilocks_batch.structures.sources.sourceset import open_sources
from tests.integration.failing import FailingScreening, Failure
from tests.integration.runs import (
    FINGERPRINT,
    Recorder,
    command,
    config,
    finish,
    rows_of,
    shards_begun,
    structures_begun,
    wait_for_parts,
)

pytestmark = pytest.mark.slow

#: `pytest --log-cli-level=INFO` shows them.
FIGURES = logging.getLogger(__name__)
ROWS = 600
#: Largest shard and limits: what hangs costs the whole time limit for every halving.
SHARDS: dict[Failure, tuple[int, dict[str, Any]]] = {
    "crash": (64, {}),
    "hang": (8, {"task_timeout": 8.0}),
    "fill_memory": (64, {"memory_limit": "1GB"}),
    "spoil_process": (64, {}),
}
CODES: dict[Failure, str] = {
    "crash": "WORKER_CRASH",
    "hang": "TIMEOUT",
    "fill_memory": "OUT_OF_MEMORY",
    "spoil_process": "INTERNAL",
}


def run_with_failures(
    settings: RunConfig, failures: dict[str, Failure], log: Path, pause: float = 0.0
) -> tuple[Recorder, list[tuple[int, int]]]:
    """Run with failing structures; what was told, and first row and length of every shard begun."""
    settings.output.joinpath("results").mkdir(parents=True)
    work = FailingScreening(screening_of(settings), tuple(failures.items()), log, pause)
    sources = open_sources(settings.inputs)
    recorder = Recorder()
    with dask_executor(settings) as executor:
        assignment = Assignment(work, sources, Parts(settings.output / "results", FINGERPRINT))
        assert process(assignment, executor, settings.shard_size or 64, recorder) == "completed"
    return recorder, shards_begun(log)


@pytest.mark.parametrize("failure", SHARDS)
def test_a_failing_structure_fails_alone(
    failure: Failure, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    ids = pq.read_table(manifest)["id"].to_pylist()
    size, limits = SHARDS[failure]
    settings = config(manifest, tmp_path / "run", shard_size=size, **limits)
    recorder, begun = run_with_failures(settings, {ids[137]: failure}, tmp_path / "log")
    found, expected = rows_of(tmp_path / "run").to_pylist(), read_results(undisturbed).to_pylist()
    failing = found.pop(137)
    expected.pop(137)
    assert found == expected
    assert (failing["id"], failing["status"]) == (ids[137], "failed")
    assert (failing["stage"], failing["error_code"]) == ("worker", CODES[failure])
    # the shard, its halves … down to one structure, and that one once more: each was begun in vain
    twice = sum(count for _, count in begun) - ROWS
    FIGURES.info("%s: %d halvings, %d structures begun twice", failure, len(recorder.warnings), twice)
    assert twice <= 2 * size
    assert len(recorder.warnings) <= math.ceil(math.log2(size))


def test_several_failing_structures_in_one_shard(manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    ids = pq.read_table(manifest)["id"].to_pylist()
    failures: dict[str, Failure] = {
        ids[3]: "crash",
        ids[4]: "hang",
        ids[40]: "fill_memory",
        ids[599]: "crash",
    }
    settings = config(manifest, tmp_path / "run", shard_size=8, memory_limit="1GB", task_timeout=8.0)
    recorder, begun = run_with_failures(settings, failures, tmp_path / "log")
    twice = sum(count for _, count in begun) - ROWS
    FIGURES.info("four: %d halvings, %d structures begun twice", len(recorder.warnings), twice)
    assert twice <= len(failures) * 2 * 8
    found, expected = rows_of(tmp_path / "run").to_pylist(), read_results(undisturbed).to_pylist()
    lost = {row["id"]: row["error_code"] for row in found if row["stage"] == "worker"}
    assert lost == {name: CODES[failure] for name, failure in failures.items()}
    assert [row for row in found if row["id"] not in failures] == [
        row for row in expected if row["id"] not in failures
    ]


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "goldilocks_batch.execution.child" in " ".join(child.cmdline())
    ]


@pytest.mark.nightly
def test_processes_killed_at_twenty_random_moments(manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    done, rng = threading.Event(), random.Random(11)
    killed: list[int] = []

    def kill() -> None:
        # a new child needs some seconds to load before a kill costs a shard
        while len(killed) < 20 and not done.wait(rng.uniform(1.5, 4.0)):
            running = children()
            if running:
                chosen = rng.choice(running)
                chosen.kill()
                killed.append(chosen.pid)

    killing = threading.Thread(target=kill)
    killing.start()
    try:
        recorder, begun = run_with_failures(
            config(manifest, tmp_path / "run", shard_size=5), {}, tmp_path / "log", pause=0.8
        )
    finally:
        done.set()
        killing.join()
    assert len(killed) == 20
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))
    assert len(recorder.warnings) <= 20
    twice = sum(count for _, count in begun) - ROWS
    FIGURES.info("20 kills: %d halvings, %d structures begun twice", len(recorder.warnings), twice)
    assert twice <= 20 * 5


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_run_is_resumed(
    stop: signal.Signals, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    output, log = tmp_path / "run", tmp_path / "log"
    arguments = command(manifest, output, log=log, pause=0.2)
    client = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    wait_for_parts(output, 5, client)
    if stop == signal.SIGHUP:  # a terminal sends it to all of a session
        os.killpg(client.pid, stop)
    else:
        client.send_signal(stop)
    _, err = client.communicate(timeout=30)
    assert client.returncode == 130, err
    assert b"Traceback" not in err
    kept = {path.name: path.stat().st_mtime_ns for path in output.glob("results/part-*")}
    finish(arguments)
    now = {path.name: path.stat().st_mtime_ns for path in output.glob("results/part-*")}
    assert kept.items() <= now.items()
    assert read_results(output).equals(read_results(undisturbed))
    twice = structures_begun(log) - ROWS
    FIGURES.info("client terminated: %d structures begun twice", twice)
    assert twice <= 2 * 10  # what both processes had in hand


def test_a_full_disk_ends_the_run_and_no_row_is_lost(
    manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    disk, log = tmp_path / "disk", tmp_path / "log"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("only root can make a small disk")
    try:
        arguments = command(manifest, disk / "run", log=log, pause=0.1)
        done = subprocess.run(arguments, capture_output=True, check=False)
        assert done.returncode == 2, done.stderr
        assert b"WRITE_FAILED" in done.stderr
        assert b"Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        finish(arguments)
        assert read_results(disk / "run").equals(read_results(undisturbed))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    twice = structures_begun(log) - ROWS
    FIGURES.info("disk full: %d structures begun twice", twice)
    assert twice <= 2 * 2 * 10  # what was under way, two shards a process


def test_a_result_file_cut_short_is_computed_again(manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "run", tmp_path / "log"
    shutil.copytree(undisturbed, output)
    part, *others = sorted(output.glob("results/part-*"))
    whole = {path.name: path.stat().st_mtime_ns for path in others}
    rows = pq.read_table(part)["row"].to_pylist()
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    assert "damaged" in finish(command(manifest, output, log=log))
    assert read_results(output).equals(read_results(undisturbed))
    assert whole == {path.name: path.stat().st_mtime_ns for path in others}
    begun = shards_begun(log)
    FIGURES.info("a file of %d rows cut short: shards begun again %s", len(rows), begun)
    assert begun == [(rows[0], len(rows))]
