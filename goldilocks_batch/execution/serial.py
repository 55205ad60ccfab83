"""The reference executor: this process, one job after the other."""

from __future__ import annotations

from collections import deque
from typing import Self

from goldilocks_batch.core.errors import ErrorCode, GoldilocksError
from goldilocks_batch.execution.executor import Done, Lost, Outcome
from goldilocks_batch.execution.job import Job, run_job

__all__ = ["SerialExecutor"]


class SerialExecutor:
    """Runs each job when its outcome is asked for; needs no Dask."""

    dashboard: str | None = None
    slots = 1

    def __init__(self) -> None:
        self._queue: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._queue.append(job)

    def wait(self) -> Outcome:
        """Run the oldest job."""
        job = self._queue.popleft()
        try:
            return Done(job.shard, run_job(job))
        except GoldilocksError:
            raise
        except Exception as error:  # whatever it is, it costs one row after splitting
            return Lost(job.shard, ErrorCode.INTERNAL, f"{type(error).__name__}: {error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._queue.clear()
