"""Which structures of lost shards fail: hypothetical clusters on which some end processes or workers."""

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

    def __init__(self, ends_process: set[int], ends_worker: set[int], seats: int, seed: int) -> None:
        self._ends_process, self._ends_worker = ends_process, ends_worker
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
            lost = (
                running.copy() if rows & self._ends_worker else [shard] if rows & self._ends_process else []
            )
            for shard in lost:
                running.remove(shard)
                outcome = Lost(
                    shard, ErrorCode.WORKER_CRASH, "gone", with_worker=bool(rows & self._ends_worker)
                )
                if not waiting.take_back(outcome):
                    failed |= set(range(shard.start, shard.stop))
            if not lost:
                running.remove(shard)
                done += sorted(rows)
        return done, failed


@given(
    rows=st.integers(1, 64),
    size=st.integers(1, 16),
    ends_process=st.sets(st.integers(0, 63), max_size=4),
    ends_worker=st.sets(st.integers(0, 63), max_size=4),
    seats=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_structures_that_end_processes_or_workers_fail_and_no_others(
    rows: int, size: int, ends_process: set[int], ends_worker: set[int], seats: int, seed: int
) -> None:
    queue = deque(Shard(start, min(start + size, rows)) for start in range(0, rows, size))
    cluster = Cluster(ends_process, ends_worker, seats, seed)
    done, failed = cluster.drain(Waiting(queue))
    assert sorted(done) == sorted(set(range(rows)) - ends_process - ends_worker)
    assert failed == (ends_process | ends_worker) & set(range(rows))


def test_shards_lost_with_their_worker_are_tried_after_the_others_and_then_alone() -> None:
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
