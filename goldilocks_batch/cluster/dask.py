"""Jobs on a Dask cluster: a process a core on this machine, workers writing their own parts."""

from __future__ import annotations

import logging
import os
import tempfile
from typing import Any, Self

import dask
from distributed import Client, LocalCluster, as_completed
from distributed.client import Future
from distributed.scheduler import KilledWorker

from goldilocks_batch.cluster.executor import Done, Lost, Outcome
from goldilocks_batch.cluster.worker import Job, run_job
from goldilocks_batch.errors import ErrorCode, GoldilocksError

__all__ = ["DaskExecutor", "local_cluster"]

_SETTINGS = {
    # a shard that took two workers with it is split rather than tried on a third
    "distributed.scheduler.allowed-failures": 1,
    # tasks are seconds long and write their results themselves: nothing to steal or spill
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.9,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.admin.large-graph-warning-threshold": "1GB",
}


class DaskExecutor:
    """Keeps a bounded number of jobs on a Dask cluster.

    Args:
        cluster: a Dask cluster; closed with the executor.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._client = Client(cluster)
        self._completed = as_completed()
        self._jobs: dict[str, Job] = {}
        self.dashboard: str | None = self._client.dashboard_link or None

    @property
    def slots(self) -> int:
        """Two jobs a worker thread: one under way, the next already there."""
        threads = sum(self._client.nthreads().values())
        return 2 * max(1, threads)

    def submit(self, job: Job) -> None:
        """Send a job; earlier rows come first."""
        future: Future = self._client.submit(run_job, job, pure=False, priority=-job.shard.start)
        self._jobs[future.key] = job
        self._completed.add(future)

    def wait(self) -> Outcome:
        """The next job to end, whatever its end."""
        future: Future = next(self._completed)
        job = self._jobs.pop(future.key)
        if future.status == "finished":
            return Done(job.shard, future.result())
        if future.status == "cancelled":
            return Lost(job.shard, ErrorCode.WORKER_CRASH, "the scheduler dropped the task")
        error = future.exception()
        if isinstance(error, GoldilocksError):
            raise error
        if isinstance(error, KilledWorker):
            return Lost(
                job.shard,
                ErrorCode.WORKER_CRASH,
                "a worker process died, each time it came to this structure",
            )
        return Lost(job.shard, ErrorCode.INTERNAL, f"{type(error).__name__}: {error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._completed.clear()
        self._client.close(timeout=5)
        self._cluster.close(timeout=10)


def local_cluster(workers: int | None, memory_limit: str, dashboard: str | None) -> LocalCluster:
    """A process a core (or ``workers``), one thread each, on this machine alone.

    Args:
        workers: number of worker processes; None for one per core that this process may use.
        memory_limit: of one worker, as Dask writes it; ``"auto"`` divides the machine's memory.
        dashboard: address to bind the dashboard to; None for no dashboard.
    """
    dask.config.set(_SETTINGS)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return LocalCluster(
        n_workers=workers or cores,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        memory_limit=memory_limit,
        dashboard_address=dashboard,
        local_directory=tempfile.gettempdir(),
        silence_logs=logging.CRITICAL,
    )
