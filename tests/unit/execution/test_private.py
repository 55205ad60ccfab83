"""What is used of Dask beside its documentation is what the installed version has."""

from __future__ import annotations

import ast
import logging
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask_jobqueue.slurm
import distributed
import pytest
from distributed import Client, SpecCluster, Status, Worker, get_worker
from distributed.comm import inproc

from goldilocks_batch import execution
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.execution.dask.local import LocalPool
from goldilocks_batch.execution.dask.private import (
    count_seats,
    http_address,
    is_busy,
    job_keywords,
    name_after_loopback,
    never_pause,
    reach_specification,
)
from goldilocks_batch.execution.slurm.pilots import PilotJob, job_options

EXECUTION = Path(execution.__file__).parent


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalPool]:
    """A worker in this process."""
    found = LocalPool(seats=2, dashboard=None)
    yield found
    found.close()


def test_addresses_in_memory_are_those_of_the_loopback(pool: LocalPool) -> None:
    assert "//127.0.0.1/" in str(pool.target.scheduler_address)
    assert isinstance(inproc.global_manager, inproc.Manager)
    inproc.global_manager._ip = None
    name_after_loopback()
    assert inproc.global_manager.ip == "127.0.0.1"


def test_the_schedulers_pages_are_where_they_are_said_to_be(pool: LocalPool) -> None:
    address, port = http_address(pool.target)
    with urllib.request.urlopen(f"http://{address}:{port}/health", timeout=10) as answer:
        assert answer.read() == b"ok"


def looked_at() -> tuple[int, bool]:
    """From inside a task: threads of its worker, and whether that is busy."""
    worker: Worker = get_worker()
    return (count_seats(worker), is_busy(worker))


def test_a_worker_tells_its_seats_and_that_it_is_busy(pool: LocalPool) -> None:
    with Client(pool.target, set_as_default=False) as client:
        assert client.submit(looked_at, pure=False).result(timeout=30) == (2, True)
        deadline = time.monotonic() + 10
        while any(is_busy(worker) for worker in pool.target.workers.values()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_worker_that_never_pauses(tmp_path: Path) -> None:
    options: dict[str, Any] = {"memory_limit": "1GB", "local_directory": str(tmp_path), "dashboard": False}
    with SpecCluster(
        workers={"one": {"cls": Worker, "options": options | {"dashboard_address": "127.0.0.1:0"}}},
        scheduler={
            "cls": distributed.Scheduler,
            "options": {"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        },
        silence_logs=logging.CRITICAL,
    ) as cluster:
        worker = cluster.workers["one"]
        assert worker.memory_manager.memory_pause_fraction > 0
        never_pause(worker)
        assert worker.memory_manager.memory_pause_fraction is False
    worker.memory_manager = None
    never_pause(worker)


class Refused(PilotJob):
    """A job that no scheduler takes."""

    async def start(self) -> None:
        raise FileNotFoundError("sbatch")


def test_jobs_have_what_the_cluster_adds_and_their_errors_are_heard(tmp_path: Path) -> None:
    config = RunConfig.model_validate({"output": tmp_path, "executor": "slurm"})
    (request,) = config.slurm.requests
    with dask_jobqueue.slurm.SLURMCluster(
        job_cls=Refused,
        interface="lo",
        scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        silence_logs=logging.CRITICAL,
        **job_options(config, request),
    ) as cluster:
        common = job_keywords(cluster)
        assert common["interface"] == "lo"
        assert common.keys() == {"interface", "protocol", "security"}
        job = PilotJob(cluster.scheduler_address, name="1-0", **job_options(config, request), **common)
        assert cluster.scheduler_address in job.job_script()
        cluster.worker_spec["1-0"] = {"cls": Refused, "options": {**job_options(config, request), **common}}
        with pytest.raises(FileNotFoundError, match="sbatch"):
            reach_specification(cluster)
        cluster.worker_spec.clear()
        cluster.workers.pop("1-0").status = Status.closed  # as the pool forgets a job


@pytest.mark.parametrize("path", sorted(EXECUTION.rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_else_uses_private_fields(path: Path) -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr)
        if not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }
    fields = {"memory_manager", "http_server", "total_resources", "state.nthreads", "executing"}
    used |= {name for name in fields if f".{name}" in path.read_text(encoding="utf-8")}
    assert bool(used - {"_exit"}) == (path.stem == "private"), used
