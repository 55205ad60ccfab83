"""What clusters and structures do at their worst: every row is accounted for, only culprits fail."""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from goldilocks_batch import RunConfig, read_results, run
from goldilocks_batch.cluster.dask import DaskExecutor, Ration
from goldilocks_batch.cluster.executor import Done
from goldilocks_batch.cluster.joined import JoinedPool
from goldilocks_batch.cluster.specs import dask_executor
from goldilocks_batch.plan import Shard
from goldilocks_batch.report import Report
from goldilocks_batch.runner import Assignment, process
from goldilocks_batch.shard import Screening
from goldilocks_batch.sources import open_sources
from tests.integration.culprits import Crime, Sabotaged

pytestmark = pytest.mark.slow

ROWS = 600
#: Largest shard and limits: what hangs costs the whole time limit for every halving.
SHARDS: dict[Crime, tuple[int, dict[str, Any]]] = {
    "crash": (64, {}),
    "hang": (8, {"task_timeout": 8.0}),
    "eat": (64, {"memory_limit": "1GB"}),
}
CODES: dict[Crime, str] = {"crash": "WORKER_CRASH", "hang": "TIMEOUT", "eat": "OUT_OF_MEMORY"}


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


@pytest.fixture(scope="module")
def undisturbed(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    run(config(manifest, output, executor="serial"))
    return output


def sabotaged(
    settings: RunConfig, crimes: dict[str, Crime], log: Path, pause: float = 0.0
) -> tuple[Recorder, list[tuple[int, int]]]:
    """Run with culprits; what was told, and first row and length of every shard begun."""
    settings.output.joinpath("results").mkdir(parents=True)
    work = Sabotaged(Screening.from_config(settings), tuple(crimes.items()), log, pause)
    sources = open_sources(settings.inputs)
    recorder = Recorder()
    with dask_executor(settings) as executor:
        assignment = Assignment(work, sources, settings.output / "results", "fingerprint")
        assert process(assignment, executor, settings.shard_size, recorder) == "completed"
    begun = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    return recorder, [(row, count) for row, count in begun]


@pytest.mark.parametrize("crime", ["crash", "hang", "eat"])
def test_a_culprit_fails_alone(crime: Crime, manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    ids = pq.read_table(manifest)["id"].to_pylist()
    size, limits = SHARDS[crime]
    settings = config(manifest, tmp_path / "run", shard_size=size, **limits)
    recorder, begun = sabotaged(settings, {ids[137]: crime}, tmp_path / "log")
    found, expected = read_results(tmp_path / "run").to_pylist(), read_results(undisturbed).to_pylist()
    culprit = found.pop(137)
    expected.pop(137)
    assert found == expected
    assert (culprit["id"], culprit["status"]) == (ids[137], "failed")
    assert (culprit["stage"], culprit["error_code"]) == ("worker", CODES[crime])
    # the shard, its halves … down to one structure, and that one once more: each was begun in vain
    twice = sum(count for _, count in begun) - ROWS
    assert twice <= 2 * size
    assert len(recorder.warnings) <= math.ceil(math.log2(size))


def test_several_culprits_in_one_shard(manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    ids = pq.read_table(manifest)["id"].to_pylist()
    crimes: dict[str, Crime] = {ids[3]: "crash", ids[4]: "hang", ids[40]: "eat", ids[599]: "crash"}
    settings = config(manifest, tmp_path / "run", shard_size=8, memory_limit="1GB", task_timeout=8.0)
    sabotaged(settings, crimes, tmp_path / "log")
    found, expected = read_results(tmp_path / "run").to_pylist(), read_results(undisturbed).to_pylist()
    lost = {row["id"]: row["error_code"] for row in found if row["stage"] == "worker"}
    assert lost == {name: CODES[crime] for name, crime in crimes.items()}
    assert [row for row in found if row["id"] not in crimes] == [
        row for row in expected if row["id"] not in crimes
    ]


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "goldilocks_batch.cluster.child" in " ".join(child.cmdline())
    ]


def test_processes_killed_at_twenty_random_moments(manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    done, rng = threading.Event(), random.Random(11)
    killed: list[int] = []

    def kill() -> None:
        # a new child needs some seconds to load before a kill costs a shard
        while len(killed) < 20 and not done.wait(rng.uniform(1.5, 4.0)):
            running = children()
            if running:
                victim = rng.choice(running)
                victim.kill()
                killed.append(victim.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        recorder, begun = sabotaged(
            config(manifest, tmp_path / "run", shard_size=5), {}, tmp_path / "log", pause=0.8
        )
    finally:
        done.set()
        killer.join()
    assert len(killed) == 20
    assert read_results(tmp_path / "run").equals(read_results(undisturbed))
    assert len(recorder.warnings) <= 20
    assert sum(count for _, count in begun) - ROWS <= 20 * 5


def test_a_terminated_run_is_resumed(manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    client = subprocess.Popen(command(manifest, output), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_parts(output, 5, client)
    client.send_signal(signal.SIGTERM)
    _, err = client.communicate(timeout=30)
    assert client.returncode == 130, err
    assert b"Traceback" not in err
    kept = {path.name: path.stat().st_mtime_ns for path in output.glob("results/part-*")}
    again = subprocess.run(command(manifest, output), capture_output=True, check=False)
    assert again.returncode in (0, 1), again.stderr
    now = {path.name: path.stat().st_mtime_ns for path in output.glob("results/part-*")}
    assert kept.items() <= now.items()
    assert read_results(output).equals(read_results(undisturbed))


def wait_for_parts(output: Path, count: int, client: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while len(list(output.glob("results/part-*.parquet"))) < count:
        assert client.poll() is None, client.communicate()
        assert time.monotonic() < deadline, "no part in time"
        time.sleep(0.01)


class Site:
    """A Dask cluster of plain processes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.processes = [self.scheduler]
        deadline = time.monotonic() + 30
        while not self.file.exists():
            assert time.monotonic() < deadline, "no scheduler"
            time.sleep(0.1)

    def _start(self, kind: str, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", str(self.file)]
        return subprocess.Popen(
            [*before, *program, *options],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def add_worker(self, *before: str) -> None:
        options = ("--no-nanny", "--nthreads", "1", "--dashboard-address", "127.0.0.1:0")
        self.processes.append(self._start("worker", *options, before=before))

    def stop(self) -> None:
        for running in self.processes:
            running.kill()
            running.wait()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    cluster = Site(tmp_path)
    yield cluster
    cluster.stop()


def test_a_killed_scheduler_ends_the_run_in_order(
    site: Site, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    site.add_worker()
    output = tmp_path / "run"
    arguments = command(manifest, output, "--cluster", str(site.file))
    client = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_parts(output, 5, client)
    site.scheduler.kill()
    _, err = client.communicate(timeout=90)
    assert client.returncode == 2, err
    assert b"CLUSTER_FAILED" in err
    again = subprocess.run(command(manifest, output), capture_output=True, check=False)
    assert again.returncode in (0, 1), again.stderr
    assert read_results(output).equals(read_results(undisturbed))


class TendedPool(JoinedPool):
    """Starts a worker when it is tended and there is none, as a scheduler of jobs would."""

    def __init__(self, site: Site) -> None:
        super().__init__(str(site.file), plain_tcp=False)
        self._site = site
        self.started = 0

    def tend(self) -> None:
        if all(process.poll() is not None for process in self._site.processes[1:]):
            self._site.add_worker()
            self.started += 1


def test_an_answer_lost_with_its_worker_is_given_again(
    site: Site, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldilocks_batch.cluster.dask._LOOK_EVERY", 2.0)
    settings = config(manifest, tmp_path / "run")
    results = tmp_path / "run" / "results"
    results.mkdir(parents=True)
    work = Sabotaged(Screening.from_config(settings), (), tmp_path / "log")
    assignment = Assignment(work, open_sources(settings.inputs), results, "fingerprint")
    site.add_worker()
    pool = TendedPool(site)
    with DaskExecutor(pool, Ration(60.0, None)) as executor:
        executor.submit(assignment.job(Shard(0, 10)))
        deadline = time.monotonic() + 60
        while not list(results.glob("part-*")):
            assert time.monotonic() < deadline, "no part in time"
            time.sleep(0.1)
        time.sleep(1.0)  # the answer is with the worker, and nobody has fetched it
        worker = site.processes[-1]
        worker.kill()
        worker.wait()
        executor._looked = time.monotonic()  # no new worker before the answer has been asked for
        outcome = executor.wait()
    assert isinstance(outcome, Done)
    assert outcome.shard == Shard(0, 10)
    assert pool.started == 1
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_a_worker_that_does_not_see_the_files_is_sent_away(
    site: Site, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    hidden = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(shared))
    if shutil.which("unshare") is None or subprocess.run([*hidden, "true"], check=False).returncode:
        pytest.skip("this system lets nobody hide a folder from a process")
    site.add_worker(*hidden)
    site.add_worker()
    done = subprocess.run(
        command(manifest, shared / "run", "--cluster", str(site.file)), capture_output=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    assert read_results(shared / "run").equals(read_results(undisturbed))


def test_no_worker_that_sees_the_files(site: Site, manifest: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    hidden = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(shared))
    if shutil.which("unshare") is None or subprocess.run([*hidden, "true"], check=False).returncode:
        pytest.skip("this system lets nobody hide a folder from a process")
    site.add_worker(*hidden)
    arguments = command(manifest, shared / "run", "--cluster", str(site.file))
    done = subprocess.run(arguments, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"UNSEEN_FILES" in done.stderr, done.stderr


def test_a_full_disk_ends_the_run_and_no_row_is_lost(
    manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("only root can make a small disk")
    try:
        arguments = command(manifest, disk / "run")
        done = subprocess.run(arguments, capture_output=True, check=False)
        assert done.returncode == 2, done.stderr
        assert b"WRITE_FAILED" in done.stderr
        assert b"Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        done = subprocess.run(arguments, capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        assert read_results(disk / "run").equals(read_results(undisturbed))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
