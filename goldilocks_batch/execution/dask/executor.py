"""Jobs on a Dask cluster, of whatever kind: one on this machine, pilot jobs, or one that is there already.

A Dask worker supervises: each of its threads waits for a child process that does the work
(:mod:`~goldilocks_batch.execution.supervisor`).
"""

from __future__ import annotations

import contextlib
import gc
import logging
import queue
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Self

from distributed import Client
from distributed.client import ClosedClientError, Future
from distributed.scheduler import KilledWorker

from goldilocks_batch.core.errors import ErrorCode, GoldilocksError, RunError
from goldilocks_batch.execution.dask.pool import Pool
from goldilocks_batch.execution.dask.tasks import Blind, Ration, run_on_worker
from goldilocks_batch.execution.executor import Lost, Outcome
from goldilocks_batch.execution.job import Job

__all__ = ["DaskExecutor"]

#: Seconds between two looks at the state of the cluster.
_LOOK_EVERY = 10.0
#: Seconds for which the number of worker threads is taken to stay the same.
_COUNT_EVERY = 1.0
#: Seconds in which an answer, a few hundred bytes, must have come from its worker.
_FETCHING = 5.0
#: So many workers may be sent away because they do not see the run's files.
_BLIND_WORKERS = 3
#: Seconds for which others are awaited before the only worker there is may be sent away.
_COMPANY = 20.0


class DaskExecutor:
    """Keeps a bounded number of jobs on a Dask cluster.

    Args:
        pool: where the workers come from; closed with the executor.
        ration: what a shard may take.
    """

    def __init__(self, pool: Pool, ration: Ration) -> None:
        self._pool = pool
        self._ration = ration
        self._client = _client(pool)
        for plugin in pool.plugins:
            self._client.register_plugin(plugin)
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._jobs: dict[str, Job] = {}
        self._blind: dict[str, str] = {}
        self._threads = pool.seats
        self._counted = self._looked = time.monotonic()
        self.dashboard = pool.dashboard

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return str(self._client.scheduler.address)

    @property
    def slots(self) -> int:
        """Two jobs a worker thread: one under way, the next already there."""
        if time.monotonic() - self._counted > _COUNT_EVERY:
            self._counted = time.monotonic()
            self._threads = max(self._pool.seats, sum(self._workers().values()))
        return 2 * self._threads

    def _workers(self) -> dict[str, int]:
        """Threads of each worker, by its address."""
        with _asking():
            found: dict[str, int] = self._client.nthreads()
        return found

    def submit(self, job: Job) -> None:
        """Send a job; earlier rows come first."""
        with _asking():
            options = {"pure": False, "priority": -job.shard.start}
            self._await(self._client.submit(run_on_worker, job, self._ration, **options), job)

    def _await(self, future: Future, job: Job) -> None:
        self._jobs[future.key] = job
        future.add_done_callback(self._ended.put)

    def wait(self) -> Outcome:
        """The next job to end, whatever its end."""
        while True:
            outcome = self._outcome(self._next())
            if outcome is not None:
                return outcome

    def _next(self) -> Future:
        """The next future to end; the cluster is looked after in the meantime."""
        while True:
            if time.monotonic() - self._looked > _LOOK_EVERY:
                self._pool.tend(len(self._workers()))
                self._looked = time.monotonic()
            with contextlib.suppress(queue.Empty):
                future = self._ended.get(timeout=1.0)
                if future.key in self._jobs:
                    return future
            if self._client.status not in ("running", "newly-created"):
                raise _scheduler_lost()

    def _outcome(self, future: Future) -> Outcome | None:
        """What came of a job; None if it was no answer, and the job has been sent again."""
        job = self._jobs.pop(future.key)
        if future.status == "finished":
            try:
                with _asking():
                    outcome: Outcome | Blind = future.result(timeout=_FETCHING)
            except TimeoutError:  # its worker was lost with the answer: the scheduler lets it be done again
                self._await(future, job)
                return None
            if not isinstance(outcome, Blind):
                return outcome
            self._send_away(outcome)
            self.submit(job)
            return None
        if future.status in ("pending", "lost"):  # the same, seen a moment later
            self._await(future, job)
            return None
        if future.status == "cancelled":
            if self._client.status != "running":
                raise _scheduler_lost()
            self.submit(job)
            return None
        with _asking():
            error = future.exception()
        if isinstance(error, GoldilocksError):
            raise error
        if isinstance(error, KilledWorker):
            message = "each worker that had them in hand was lost"
            return Lost(job.shard, ErrorCode.WORKER_CRASH, message, with_worker=True)
        # children report what goes wrong in a shard; what is raised here is wrong with every worker
        raise RunError(
            ErrorCode.CLUSTER_FAILED,
            f"a worker cannot do the work: {type(error).__name__}: {error}. "
            "Are the same versions installed there?",
        ) from error

    def _send_away(self, blind: Blind) -> None:
        """Retire a worker that does not see what every worker must see."""
        self._blind[blind.worker] = blind.message
        if len(self._blind) > _BLIND_WORKERS or not self._others_come(blind.worker):
            found = "; ".join(sorted(set(self._blind.values())))
            raise RunError(
                ErrorCode.UNSEEN_FILES,
                f"workers do not see the files of the run: {found}. Inputs and output must lie on a file "
                "system that all nodes share",
            )
        with _asking():
            self._client.retire_workers([blind.worker])

    def _others_come(self, worker: str) -> bool:
        """Whether there is another worker than this one, or soon will be."""
        deadline = time.monotonic() + _COMPANY
        while not self._workers().keys() - {worker}:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._jobs.clear()
        with contextlib.suppress(OSError, TimeoutError):
            self._client.close(timeout=5)
        self._pool.close()


def _client(pool: Pool) -> Client:
    # what a user should know of it comes as an error of this package
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        return Client(pool.target, security=pool.security, set_as_default=False)
    except (OSError, TypeError, ValueError) as error:  # nobody there, TLS refused, TLS without credentials
        complaint = str(error)
    gc.collect()  # the client that failed must not be collected later, while Dask holds a lock it needs
    pool.close()
    raise RunError(ErrorCode.CLUSTER_FAILED, f"cannot reach the Dask scheduler at {pool.target}: {complaint}")


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """What a scheduler that goes in the middle of a question raises, as that; a time-out is left as it is.

    Raises:
        RunError: CLUSTER_FAILED.
    """
    try:
        yield
    except TimeoutError:
        raise
    except (OSError, CancelledError, ClosedClientError) as error:  # a closed connection is an OSError
        raise _scheduler_lost() from error


def _scheduler_lost() -> RunError:
    return RunError(
        ErrorCode.CLUSTER_FAILED,
        "the Dask scheduler is gone. What was finished is kept; run the same command again to go on",
    )
