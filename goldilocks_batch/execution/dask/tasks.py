"""What Dask's workers run: a shard, or half of one, in a child process that they supervise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from distributed import get_worker

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.machine import memory_share, visible_gpus
from goldilocks_batch.core.versions import check_versions, shared_versions
from goldilocks_batch.execution.dask.private import count_seats
from goldilocks_batch.execution.executor import Lost, Outcome
from goldilocks_batch.execution.job import Job, Order
from goldilocks_batch.execution.supervisor import Limits, run_supervised

__all__ = ["Blind", "Ration", "finish_on_worker", "prepare_on_worker", "run_on_worker"]


@dataclass(frozen=True, slots=True)
class Ration:
    """What a shard may take, before the worker is known that will do it.

    Attributes:
        seconds: time.
        memory: of one process, bytes; None for its share of the machine or the job.
        family: of the child processes that do it.
        versions: :func:`~goldilocks_batch.core.versions.shared_versions` of the client.
    """

    seconds: float
    memory: int | None
    family: str = ""
    versions: tuple[tuple[str, str], ...] = field(default_factory=shared_versions)


@dataclass(frozen=True, slots=True)
class Blind:
    """A worker does not see the files of the run."""

    worker: str
    message: str


def run_on_worker(job: Job, ration: Ration) -> Outcome | Blind:
    """What the workers run: one shard, in a child process."""
    return cast("Outcome | Blind", _ordered(Order(job), ration))


def prepare_on_worker(job: Job, ration: Ration) -> bytes | Lost | Blind:
    """The first half of a shard: what the second one needs."""
    return cast("bytes | Lost | Blind", _ordered(Order(job, "prepare"), ration))


def finish_on_worker(job: Job, prepared: bytes | Lost | Blind, ration: Ration) -> Outcome | Blind:
    """The second half of a shard, or how the first one ended."""
    if not isinstance(prepared, bytes):
        return prepared
    return cast("Outcome | Blind", _ordered(Order(job, "finish", prepared), ration))


def _ordered(order: Order, ration: Ration) -> Outcome | bytes | Blind:
    worker = get_worker()
    check_versions(ration.versions)
    seats, resources = count_seats(worker)
    found = visible_gpus()
    gpus = found if "GPU" in resources else () if "CPU" in resources else found or None
    memory = ration.memory or memory_share(seats)
    try:
        return run_supervised(order, Limits(ration.seconds, memory, gpus), ration.family)
    except RunError as error:
        if error.code != ErrorCode.UNSEEN_FILES:
            raise
        return Blind(worker.address, error.message)
