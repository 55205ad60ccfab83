"""Jobs in child processes of this one, without Dask: for tasks of job arrays, and after a fork."""

from __future__ import annotations

import queue
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from goldilocks_batch.core.machine import memory_share
from goldilocks_batch.execution.executor import Outcome
from goldilocks_batch.execution.job import Job
from goldilocks_batch.execution.places import NO_GPU, Sharing
from goldilocks_batch.execution.supervisor import Limits, dismiss, run_supervised

__all__ = ["ProcessExecutor"]


class ProcessExecutor:
    """A child process a seat, each watched by a thread.

    Args:
        seats: shards at a time.
        seconds: time for one shard.
        memory: of one process, bytes; None for its share of the job's.
        sharing: how they share the machine's GPUs.
    """

    dashboard: str | None = None

    def __init__(self, seats: int, seconds: float, memory: int | None, sharing: Sharing = NO_GPU) -> None:
        self._limits = Limits(seconds, memory or memory_share(seats), seats, sharing)
        self._family = uuid.uuid4().hex
        self._pool = ThreadPoolExecutor(seats)
        self._ended: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self.slots = seats

    def submit(self, job: Job) -> None:
        """Begin a job."""
        self._pool.submit(run_supervised, job, self._limits, self._family).add_done_callback(self._ended.put)

    def wait(self) -> Outcome:
        """The next job to end."""
        return self._ended.get().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        dismiss(self._family)
