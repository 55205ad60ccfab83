"""Workers that leave before their job's time is up, with nothing left undone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Status
from distributed.diagnostics.plugin import WorkerPlugin

from goldilocks_batch.execution.dask.private import is_busy, never_pause

__all__ = ["Leave", "Leaving"]

#: Seconds between two looks at whether a worker still has something in hand.
_TICK = 0.2
#: Seconds that the client has to fetch what is there.
_FETCHING = 15.0


@dataclass(frozen=True, slots=True)
class Leave:
    """When workers of a request leave.

    Attributes:
        age: s after their start.
        stagger: the largest deviation from it, s, so that they do not all leave at once.
    """

    age: float
    stagger: float


class Leaving(WorkerPlugin):
    """Lets a worker finish what it has in hand when its time has come, and take nothing new.

    What waits for it goes to other workers, untouched.  Dask's own lifetime, which is set to a later moment,
    ends a worker whose shard takes longer.

    Args:
        requests: when workers leave, by the number of their job's request, with which their name begins
            (``1-3``); the empty one is for all others.
    """

    name = "goldilocks-leaving"
    idempotent = True

    def __init__(self, requests: Mapping[str, Leave]) -> None:
        self._requests = dict(requests)

    def setup(self, worker: Any) -> None:
        """Set the worker's time."""
        request = str(worker.name).partition("-")[0]
        leave = self._requests.get(request) or self._requests[""]
        delay = leave.age + random.uniform(-leave.stagger, leave.stagger)  # noqa: S311 - no secret
        worker.loop.call_later(delay, _leave, worker)


async def _leave(worker: Any) -> None:
    never_pause(worker)
    worker.status = Status.paused
    fetching = _FETCHING
    # an answer that nobody has fetched is moved to another worker, or has to be computed again
    while is_busy(worker) or (worker.data and fetching > 0):
        await asyncio.sleep(_TICK)
        fetching -= 0 if is_busy(worker) else _TICK
        if worker.status != Status.paused:  # it is being closed by others
            return
    await worker.close_gracefully(reason="its job's time is nearly up")
