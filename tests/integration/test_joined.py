"""Runs on Dask clusters that others have started, and what goes wrong there."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed.client import Future

from goldilocks_batch import read_results
from goldilocks_batch.core.errors import RunError
from goldilocks_batch.execution.dask import executor as dask_executor
from goldilocks_batch.execution.dask.executor import DaskExecutor
from goldilocks_batch.execution.dask.joined import JoinedPool
from goldilocks_batch.execution.dask.leaving import Leave, Leaving
from goldilocks_batch.execution.dask.tasks import Ration
from goldilocks_batch.execution.executor import Done
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.runs.attempt import screening_of
from goldilocks_batch.runs.run import Assignment, process
from goldilocks_batch.structures.sources.sourceset import open_sources
from tests.integration.failing import logged
from tests.integration.runs import (
    FINGERPRINT,
    Recorder,
    command,
    config,
    finish,
    rows_of,
    structures_begun,
    wait_for_parts,
)
from tests.integration.site import Site, TendedPool, hiding

pytestmark = pytest.mark.slow

#: `pytest --log-cli-level=INFO` shows them.
FIGURES = logging.getLogger(__name__)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as cluster:
        yield cluster


def test_a_killed_scheduler_ends_the_run_in_order(
    site: Site, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    site.add_worker()
    output, log = tmp_path / "run", tmp_path / "log"
    arguments = command(
        manifest, output, "--cluster", str(site.file), "--shard-size", "20", log=log, pause=0.2
    )
    client = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_parts(output, 5, client)
    site.scheduler.kill()
    _, err = client.communicate(timeout=90)
    assert client.returncode == 2, err
    assert b"CLUSTER_FAILED" in err
    site.processes[-1].wait(timeout=60)
    site.stop()
    site.start()
    site.add_worker()
    finish(arguments)
    assert read_results(output).equals(read_results(undisturbed))
    twice = structures_begun(log) - 600
    FIGURES.info("scheduler killed: %d structures begun twice", twice)
    assert twice <= 20  # what the worker had in hand, unless it finished that


def test_a_scheduler_that_goes_while_it_is_asked_for_an_answer_is_reported_as_gone(
    site: Site, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(manifest, tmp_path / "run")
    results = tmp_path / "run" / "results"
    results.mkdir(parents=True)
    assignment = Assignment(
        screening_of(settings), open_sources(settings.inputs), Parts(results, FINGERPRINT)
    )
    site.add_worker()
    asked: list[Future] = []
    fetch = Future.result

    def fetch_from_the_dead(future: Future, timeout: float | None = None) -> object:
        asked.append(future)
        site.scheduler.kill()
        site.scheduler.wait()
        return fetch(future, timeout=timeout)

    monkeypatch.setattr(Future, "result", fetch_from_the_dead)
    with DaskExecutor(JoinedPool(str(site.file), plain_tcp=False), Ration(60.0, None)) as executor:
        executor.submit(assignment.job(Shard(0, 10)))
        with pytest.raises(RunError, match="scheduler is gone"):
            executor.wait()
        with pytest.raises(RunError, match="scheduler is gone"):
            executor.submit(assignment.job(Shard(10, 20)))
            executor.wait()
    assert len(asked) == 1


def test_workers_leave_with_nothing_in_hand(
    site: Site, manifest: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_executor, "_LOOK_EVERY", 0.5)
    assignment = logged(manifest, tmp_path, pause=1.0)
    pool = TendedPool(site)
    pool.plugins = (Leaving({"": Leave(6.0, 0.5)}),)
    recorder = Recorder()
    with DaskExecutor(pool, Ration(60.0, None)) as executor:
        assert process(assignment, executor, 30, recorder) == "completed"
    assert pool.started >= 3
    begun = structures_begun(tmp_path / "log")
    assert begun == 600
    # all may be on their leave at once
    assert [warning for warning in recorder.warnings if "waiting for some" not in warning] == []
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))


@pytest.mark.nightly
def test_workers_killed_at_twenty_random_moments(
    site: Site, manifest: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_executor, "_LOOK_EVERY", 0.5)
    assignment = logged(manifest, tmp_path, pause=0.6)
    done, rng = threading.Event(), random.Random(7)
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < 20 and not done.wait(rng.uniform(2.5, 5.0)):
            running = [process for process in site.processes[1:] if process.poll() is None]
            if running and (tmp_path / "log").exists():
                chosen = rng.choice(running)
                chosen.kill()
                killed.append(chosen.pid)

    killing = threading.Thread(target=kill)
    recorder = Recorder()
    with DaskExecutor(TendedPool(site), Ration(60.0, None)) as executor:
        killing.start()
        try:
            assert process(assignment, executor, 4, recorder) == "completed"
        finally:
            done.set()
            killing.join()
    assert len(killed) == 20
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))
    begun = structures_begun(tmp_path / "log")
    FIGURES.info(
        "20 workers killed: %d shards set aside, %d begun twice", len(recorder.warnings), begun - 600
    )
    assert not [warning for warning in recorder.warnings if "in halves" in warning]
    assert begun - 600 <= 20 * 4 + 8 * len(recorder.warnings)


def test_an_answer_lost_with_its_worker_is_given_again(
    site: Site, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_executor, "_LOOK_EVERY", 2.0)
    assignment = logged(manifest, tmp_path)
    results = assignment.parts.folder
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
    shared, log = tmp_path / "shared", tmp_path / "log"
    shared.mkdir()
    site.add_worker(*hiding(shared))
    site.add_worker()
    site.wait_for_workers(2)
    finish(command(manifest, shared / "run", "--cluster", str(site.file), log=log))
    assert read_results(shared / "run").equals(read_results(undisturbed))
    site.processes[1].wait(timeout=60)
    assert site.processes[2].poll() is None
    twice = structures_begun(log) - 600
    FIGURES.info("one worker of two does not see the files: %d structures begun twice", twice)
    assert twice == 0


def test_workers_that_come_late_are_waited_for(
    site: Site, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """None at first, then one that does not see the files, then a good one."""
    shared, told = tmp_path / "shared", tmp_path / "told"
    shared.mkdir()
    with told.open("w") as file:
        arguments = command(manifest, shared / "run", "--cluster", str(site.file))
        client = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=file)
    deadline = time.monotonic() + 60
    while "no workers at tcp://127.0.0.1" not in told.read_text():
        assert time.monotonic() < deadline, told.read_text()
        time.sleep(0.2)
    site.add_worker(*hiding(shared))
    site.wait_for_workers(1)
    site.add_worker()
    assert client.wait(timeout=90) in (0, 1), told.read_text()
    assert read_results(shared / "run").equals(read_results(undisturbed))


def test_no_worker_that_sees_the_files(site: Site, manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    shared, log = tmp_path / "shared", tmp_path / "log"
    shared.mkdir()
    site.add_worker(*hiding(shared))
    arguments = command(manifest, shared / "run", "--cluster", str(site.file), log=log)
    done = subprocess.run(arguments, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"UNSEEN_FILES" in done.stderr, done.stderr
    assert not log.exists()
    site.replace_worker()
    finish(arguments)
    assert read_results(shared / "run").equals(read_results(undisturbed))
    twice = structures_begun(log) - 600
    FIGURES.info("no worker sees the files: %d structures begun twice", twice)
    assert twice == 0


def test_clocks_hours_apart(site: Site, manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    for name, hours in (("early", -7), ("late", 7)):
        folder = tmp_path / name
        folder.mkdir()
        # Python runs this before anything else
        (folder / "sitecustomize.py").write_text(
            f"import time\nreal = time.time\ntime.time = lambda: real() + {hours} * 3600\n"
        )
        site.add_worker(path=folder)
    site.wait_for_workers(2)
    output, log = tmp_path / "run", tmp_path / "log"
    err = finish(command(manifest, output, "--cluster", str(site.file), log=log))
    assert "halves" not in err
    assert read_results(output).equals(read_results(undisturbed))
    twice = structures_begun(log) - 600
    FIGURES.info("clocks hours apart: %d structures begun twice", twice)
    assert twice == 0


@pytest.mark.parametrize("package", ["goldilocks-batch", "spglib"])
def test_another_version_on_the_workers_is_one_clear_line(
    package: str, site: Site, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    installed = tmp_path / "other" / f"{package.replace('-', '_')}-99.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 99.0\n")
    site.add_worker(path=installed.parent)
    log = tmp_path / "log"
    arguments = command(manifest, tmp_path / "run", "--cluster", str(site.file), log=log)
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{package} is 99.0 on" in done.stderr, done.stderr
    assert "install the same versions on both" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not log.exists()
    site.replace_worker()
    finish(arguments)
    assert read_results(tmp_path / "run").equals(read_results(undisturbed))
    assert structures_begun(log) == 600


def test_a_cluster_beyond_this_machine_must_have_tls(manifest: Path, tmp_path: Path) -> None:
    arguments = command(manifest, tmp_path / "run", "--cluster", "tcp://192.0.2.1:8786")
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no TLS" in done.stderr


@pytest.mark.parametrize("options", [(), ("--config", "none.yaml")])
def test_a_run_of_its_own_listens_on_loopback_alone(
    options: tuple[str, ...], manifest: Path, tmp_path: Path
) -> None:
    (tmp_path / "none.yaml").write_text("dashboard: null\n")
    client = subprocess.Popen(
        command(manifest, tmp_path / "run", *options),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for_parts(tmp_path / "run", 3, client)
    family = [psutil.Process(client.pid), *psutil.Process(client.pid).children(recursive=True)]
    sockets = [socket for process in family for socket in process.net_connections("inet")]
    client.communicate(timeout=120)
    assert sockets, "Dask listens for HTTP in any case"
    assert {socket.laddr.ip for socket in sockets} == {"127.0.0.1"}
