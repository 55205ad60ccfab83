"""How long a run takes on many workers, from what a row and a shard were measured to cost.

Workers compute in parallel; planning, starting and finishing happen once; and three things are shared by
all: the client's process with the scheduler in it, the creation of files, and the bandwidth of the file
system.  A run takes as long as the busiest of these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Costs", "Prediction", "Site", "fitted", "predicted"]

_COMPACT_ABOVE = 1000


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured, in seconds and bytes.

    Attributes:
        row: of a process, to read, compute and write a row.
        shard: of a process, beside its rows.
        start: until a process has loaded its model.
        client_shard: of the client with the scheduler in it, for each shard.
        plan_row: to check the inputs before the first shard.
        end_part: to read a part's footer at the end.
        end_row: to compact at the end, which is done with more than 1,000 parts.
        part_bytes, row_bytes: of a part, beside its rows and for each of them.
        manifest_row: bytes of the manifest that a row takes.
        footer_row: bytes of the manifest's footer a row; each process reads it whole, once.
    """

    row: float
    shard: float
    start: float
    client_shard: float
    plan_row: float
    end_part: float
    end_row: float
    part_bytes: float
    row_bytes: float
    manifest_row: float
    footer_row: float


@dataclass(frozen=True, slots=True)
class Site:
    """What a shared file system gives to all together; assumed, not measured.

    Attributes:
        files: parts a second that can be written, flushed and renamed.
        bandwidth: bytes a second.
    """

    files: float = 500.0
    bandwidth: float = 1e9


@dataclass(frozen=True, slots=True)
class Prediction:
    """A run on some workers.

    Attributes:
        seconds: from the command to its end.
        efficiency: against one worker, which is 1.
        once: of these, what happens once and before or after all else: planning, starting, compacting.
        demands: seconds for which each part of the machinery would be busy.
        limit: the one that decides.
        saturation: the number of workers from which something shared decides, and what that is.
    """

    seconds: float
    efficiency: float
    once: float
    demands: Mapping[str, float]
    limit: str
    saturation: tuple[float, str]


def predicted(costs: Costs, rows: int, workers: int, shard_rows: int, site: Site | None = None) -> Prediction:
    """How long a run takes, and what it waits for.

    Args:
        costs: of a row and a shard.
        rows: of the inputs.
        workers: processes, each with a core.
        shard_rows: rows of a shard.
        site: the file system.
    """
    site = site or Site()
    seconds, once, demands = _seconds(costs, rows, workers, shard_rows, site)
    alone, *_ = _seconds(costs, rows, 1, shard_rows, site)
    compute = demands["workers"] * workers
    shared = {name: spent for name, spent in demands.items() if name != "workers"}
    first = max(shared, key=shared.__getitem__)
    return Prediction(
        seconds,
        alone / (workers * seconds),
        once,
        demands,
        max(demands, key=demands.__getitem__),
        (compute / shared[first], first),
    )


def _seconds(
    costs: Costs, rows: int, workers: int, shard_rows: int, site: Site
) -> tuple[float, float, dict[str, float]]:
    shards = math.ceil(rows / shard_rows)
    work = shards * costs.shard + rows * costs.row
    read = rows * (costs.manifest_row + workers * costs.footer_row)
    written = shards * costs.part_bytes + rows * costs.row_bytes
    demands = {
        "workers": work / workers,
        "client and scheduler": shards * costs.client_shard,
        "file creation": shards / site.files,
        "manifest reading": read / site.bandwidth,
        "result writing": written / site.bandwidth,
    }
    # all but one may wait for a last shard that began when the others were through (Graham's bound)
    tail = (1 - 1 / workers) * work / shards
    compacting = rows * costs.end_row if shards > _COMPACT_ABOVE else 0.0
    once = rows * costs.plan_row + costs.start + shards * costs.end_part + compacting
    return once + max(demands.values()) + tail, once, demands


def fitted(few: tuple[int, int, float], many: tuple[int, int, float]) -> tuple[float, float]:
    """Cost of a shard and of a row, from two runs of different shard sizes.

    Args:
        few: shards, rows and cost of a run.
        many: of another run, with another number of rows a shard.

    Raises:
        ValueError: both runs have equally large shards, which cannot tell the two costs apart.
    """
    (shards, rows, cost), (other_shards, other_rows, other_cost) = few, many
    determinant = shards * other_rows - other_shards * rows
    if determinant == 0:
        raise ValueError("both runs have shards of the same size: nothing tells rows and shards apart")
    shard = (cost * other_rows - other_cost * rows) / determinant
    return shard, (shards * other_cost - other_shards * cost) / determinant
