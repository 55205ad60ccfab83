"""What Dask's workers run: a shard, in a child process that they supervise."""

from __future__ import annotations

from dataclasses import dataclass, field

from distributed import get_worker

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.machine import memory_share
from goldilocks_batch.core.versions import check_versions, shared_versions
from goldilocks_batch.execution.dask.private import count_seats
from goldilocks_batch.execution.executor import Outcome
from goldilocks_batch.execution.job import Job
from goldilocks_batch.execution.places import NO_GPU, Sharing
from goldilocks_batch.execution.supervisor import Limits, run_supervised

__all__ = ["Blind", "Ration", "run_on_worker"]


@dataclass(frozen=True, slots=True)
class Ration:
    """What a shard may take, before the worker is known that will do it.

    Attributes:
        seconds: time.
        memory: of one process, bytes; None for its share of the machine or the job.
        sharing: how the processes of a worker share the GPUs of its machine.
        family: of the child processes that do it.
        versions: :func:`~goldilocks_batch.core.versions.shared_versions` of the client.
    """

    seconds: float
    memory: int | None
    sharing: Sharing = NO_GPU
    family: str = ""
    versions: tuple[tuple[str, str], ...] = field(default_factory=shared_versions)


@dataclass(frozen=True, slots=True)
class Blind:
    """A worker does not see the files of the run."""

    worker: str
    message: str


def run_on_worker(job: Job, ration: Ration) -> Outcome | Blind:
    """What the workers run: one shard, in a child process."""
    worker = get_worker()
    check_versions(ration.versions)
    seats = count_seats(worker)
    limits = Limits(ration.seconds, ration.memory or memory_share(seats), seats, ration.sharing)
    try:
        return run_supervised(job, limits, ration.family)
    except RunError as error:
        if error.code != ErrorCode.UNSEEN_FILES:
            raise
        return Blind(worker.address, error.message)
