"""How many structures make a shard: seconds of work each, and several shards for every process.

A shard is one task of the scheduler and one result file, so neither is kept busy by runs of millions.
"""

from __future__ import annotations

import math

from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.machine import cores, visible_gpus

__all__ = ["shard_rows", "shard_size", "typical_seconds"]

#: Work of a shard, s: what it costs to hand one out and to write its file stays far below the first, what
#: is done again when a worker is lost below the second, and even structures that take fifty times as long
#: as typical ones stay within the default time limit.  Shards are cut at row groups of the inputs, so that
#: some come out smaller, by half at most.
_SHORTEST, _LONGEST = 10.0, 20.0
#: Work of a shard for each process there is, s: client and scheduler take 3 ms for the shard, up to 8 on busy
#: cores (``benchmarks/scale.py``), so that thousands of processes do not wait for them.
_SHORTEST_PER_SEAT = 0.016
#: Shards that each process should get, so that none waits long for the last one.
_SHARES = 4
#: Work of a shard, s, where there is too little for each process to get so many of the shortest length: what
#: a shard costs stays at a hundredth of it.
_BRIEFEST = 1.0


def shard_size(config: RunConfig, kind: ModelKind, rows: int, *, array: bool = False) -> int:
    """The largest shard of a run, in rows: as configured, or chosen by :func:`shard_rows`.

    Args:
        config: of the run.
        kind: of the model.
        rows: of all inputs.
        array: for a job array; then the answer is the same on every machine.
    """
    if config.shard_size is not None:
        return config.shard_size
    return shard_rows(rows, typical_seconds(config, kind, array=array), _seats(config, array))


def shard_rows(rows: int, seconds: float, seats: int | None) -> int:
    """Rows of a shard of 10 to 20 s of work, the smaller the fewer rows there are for each process.

    Where several processes would not get four shards of 10 s each, shards are shorter: a quarter of a
    process's share, but 1 s and 16 ms a process at least.  With more than 625 processes, and work for all of
    them, 10 s become 16 ms a process, and 20 s no less.

    Args:
        rows: of all inputs.
        seconds: process-seconds a row.
        seats: processes; None if that is not known, which gives 10 s.
    """
    known = seats or 1
    share, busy = rows * seconds / known, _SHORTEST_PER_SEAT * known
    usual = _SHORTEST if known == 1 else min(_SHORTEST, max(share / _SHARES, _BRIEFEST, busy))
    least = max(usual, min(busy, share))
    shortest, longest = (math.ceil(work / seconds) for work in (least, max(_LONGEST, least)))
    if seats is None:
        return shortest
    return min(max(math.ceil(rows / (_SHARES * known)), shortest), longest)


def typical_seconds(config: RunConfig, kind: ModelKind, *, array: bool = False) -> float:
    """Process-seconds that a structure typically takes, s; on a GPU, if any of the processes may have one."""
    on_gpu = kind.has_networks and _has_gpu(config, array)
    return kind.seconds_with_gpu if on_gpu else kind.seconds


def _has_gpu(config: RunConfig, array: bool) -> bool:
    if config.device == "cpu":
        return False
    if array or config.submits_jobs:
        return any(request.gpus for request in config.slurm.requests)
    if config.device == "cuda" or config.cluster is not None:
        return config.device == "cuda"
    return bool(visible_gpus()) if config.gpus is None else config.gpus > 0


def _seats(config: RunConfig, array: bool) -> int | None:
    if not array:
        if config.cluster is not None:
            return None
        if config.executor == "serial":
            return 1
        if config.executor == "local":
            return config.workers or cores()
    numbers = [(config.jobs_of(request), request.seats) for request in config.slurm.requests]
    return sum((least if array else most) * seats for (least, most), seats in numbers)
