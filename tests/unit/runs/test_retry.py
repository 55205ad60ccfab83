"""Who is blamed for a lost shard: hypothetical clusters on which some structures are guilty."""

from __future__ import annotations

import random
from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.execution.executor import Lost
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.runs.retry import Waiting
from tests.logged import warnings_from_now


class Cluster:
    """Loses processes to some rows, and whole workers, with all that is under way, to others."""

    def __init__(self, crashing: set[int], ravaging: set[int], seats: int, seed: int) -> None:
        self._crashing, self._ravaging = crashing, ravaging
        self._seats, self._random = seats, random.Random(seed)
        self.begun: Counter[int] = Counter()

    def drain(self, waiting: Waiting) -> tuple[list[int], set[int]]:
        """Rows done, in the order in which they were, and those given up."""
        done: list[int] = []
        failed: set[int] = set()
        running: list[Shard] = []
        while waiting or running:
            while len(running) < self._seats:
                shard = waiting.next(idle=not running)
                if shard is None:
                    break
                running.append(shard)
                self.begun.update(range(shard.start, shard.stop))
            shard = self._random.choice(running)
            rows = set(range(shard.start, shard.stop))
            lost = running.copy() if rows & self._ravaging else [shard] if rows & self._crashing else []
            for victim in lost:
                running.remove(victim)
                outcome = Lost(
                    victim, ErrorCode.WORKER_CRASH, "gone", with_worker=bool(rows & self._ravaging)
                )
                if not waiting.take_back(outcome):
                    failed |= set(range(victim.start, victim.stop))
            if not lost:
                running.remove(shard)
                done += sorted(rows)
        return done, failed


@given(
    rows=st.integers(1, 64),
    size=st.integers(1, 16),
    crashing=st.sets(st.integers(0, 63), max_size=4),
    ravaging=st.sets(st.integers(0, 63), max_size=4),
    seats=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_the_guilty_fail_and_nobody_else(
    rows: int, size: int, crashing: set[int], ravaging: set[int], seats: int, seed: int
) -> None:
    queue = deque(Shard(start, min(start + size, rows)) for start in range(0, rows, size))
    cluster = Cluster(crashing, ravaging, seats, seed)
    done, failed = cluster.drain(Waiting(queue))
    assert sorted(done) == sorted(set(range(rows)) - crashing - ravaging)
    assert failed == (crashing | ravaging) & set(range(rows))


def test_what_may_have_been_anothers_fault_is_tried_after_the_others_and_then_alone() -> None:
    told = warnings_from_now()
    waiting = Waiting(deque([Shard(0, 4), Shard(4, 8), Shard(8, 12)]))
    lost = Lost(Shard(0, 4), ErrorCode.WORKER_CRASH, "gone", with_worker=True)
    assert waiting.next(idle=True) == Shard(0, 4)
    assert waiting.take_back(lost)
    assert waiting.next(idle=True) == Shard(4, 8)
    assert waiting.next(idle=False) == Shard(8, 12)
    assert waiting.next(idle=False) == Shard(0, 4)
    assert waiting.take_back(lost)
    assert waiting.next(idle=False) is None, "others are under way"
    assert waiting.next(idle=True) == Shard(0, 4)
    assert waiting.next(idle=False) is None, "nothing beside it"
    assert waiting.take_back(lost)
    assert [waiting.next(idle=True), waiting.next(idle=False)] == [Shard(0, 2), None]
    assert [text.rpartition("tried again ")[2] for text in told] == [
        "when all others are done",
        "alone",
        "in halves",
    ]
