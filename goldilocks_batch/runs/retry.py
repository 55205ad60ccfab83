"""The shards of a run in the order in which they are tried: lost ones are bisected, or tried again alone."""

from __future__ import annotations

import logging
from collections import deque

from goldilocks_batch.execution.executor import Lost
from goldilocks_batch.results.shards import Shard

__all__ = ["Waiting"]

_log = logging.getLogger(__name__)


class Waiting:
    """Shards that are to be done, in the order in which they are tried.

    A shard whose process was lost holds a failing structure: it is bisected, and its halves come next, down
    to one structure, which is tried twice.  A shard that was lost with a whole worker may have been lost for
    another shard of that worker.  It is tried again after all others, and if a worker is lost with it once
    more, alone; if a worker is lost then too, it holds a failing structure.

    Args:
        queue: shards, the next first; taken over.
    """

    def __init__(self, queue: deque[Shard]) -> None:
        self._queue = queue
        self._later: deque[Shard] = deque()
        self._apart: deque[Shard] = deque()
        self._alone: Shard | None = None
        self._beside: set[Shard] = set()  # lost once with a worker
        self._lost_once: set[Shard] = set()  # single structures

    def __bool__(self) -> bool:
        return bool(self._queue or self._later or self._apart)

    def next(self, *, idle: bool) -> Shard | None:
        """The shard to begin now; None for none while others are under way.

        Args:
            idle: no other shard is under way.
        """
        if self._alone is not None and not idle:
            return None
        self._alone = None
        if not self._queue:
            self._queue, self._later = self._later, deque()
        if self._queue:
            return self._queue.popleft()
        if idle and self._apart:
            self._alone = self._apart.popleft()
        return self._alone

    def take_back(self, lost: Lost) -> bool:
        """Put a lost shard where it is tried again; False for a structure that had its chances."""
        shard, alone = lost.shard, lost.shard == self._alone
        if lost.with_worker and not alone:
            self._set_aside(lost)
            return True
        chances = self._apart if lost.with_worker else self._queue
        if len(shard) > 1:
            _log.warning("%s: %s; tried again in halves", _rows(shard), lost.message)
            chances.extendleft(reversed(shard.halves()))
            return True
        if shard in self._lost_once:
            return False
        self._lost_once.add(shard)  # it may have been a stray signal
        chances.appendleft(shard)
        return True

    def _set_aside(self, lost: Lost) -> None:
        when, place = "when all others are done", self._later
        if lost.shard in self._beside:
            when, place = "alone", self._apart
        self._beside.add(lost.shard)
        _log.warning("%s: %s; tried again %s", _rows(lost.shard), lost.message, when)
        place.append(lost.shard)


def _rows(shard: Shard) -> str:
    return f"rows {shard.start} to {shard.stop - 1}"
