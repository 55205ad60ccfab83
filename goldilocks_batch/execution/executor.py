"""What ``run`` needs of an executor: take jobs, hand back outcomes.  Executors only run work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.execution.job import Job
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard

__all__ = ["Done", "Executor", "Lost", "Outcome"]


@dataclass(frozen=True, slots=True)
class Done:
    """A shard whose part is on disk."""

    shard: Shard
    report: Report


@dataclass(frozen=True, slots=True)
class Lost:
    """A shard that could not be finished.

    Attributes:
        shard: its rows.
        code: what its structure's row will say, once it has only one.
        message: what happened.
        with_worker: not its process alone was lost but the whole worker, with all that it had in hand.
    """

    shard: Shard
    code: ErrorCode
    message: str
    with_worker: bool = False


Outcome = Done | Lost


class Executor(Protocol):
    """Runs jobs in some order; every job submitted comes back from :meth:`wait` exactly once."""

    #: Address of a dashboard, where there is one.
    dashboard: str | None

    @property
    def slots(self) -> int:
        """How many jobs should be under way at once."""

    def submit(self, job: Job) -> None:
        """Begin a job, or queue it."""

    def wait(self) -> Outcome:
        """Block until one of the submitted jobs has ended.

        Raises:
            GoldilocksError: an error that would end every job, such as a model that cannot be loaded.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None:
        """Stop what is under way and free the workers."""
