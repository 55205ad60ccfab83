"""Few large result files in place of many small ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from goldilocks_batch.results.lock import locked
from goldilocks_batch.results.parts import Part, read_part, scan_parts, write_part
from goldilocks_batch.results.record import record_of
from goldilocks_batch.results.report import total
from goldilocks_batch.results.shards import Shard

__all__ = ["compact", "compact_parts"]

#: Rows of a compacted file: some hundred MB in memory while it is written, some tens of MB on disk.
_ROWS = 250_000
#: Rows of a row group: what a query by id has to read.
_GROUP = 20_000


def compact(output: Path) -> tuple[int, int]:
    """Compact the results of a run, finished or not.

    Args:
        output: the run's folder.

    Returns:
        Number of files before and after.

    Raises:
        RunError: the folder holds no run, others are writing to it, or it cannot be written.
    """
    record = record_of(output)
    with locked(output):
        return compact_parts(output / "results", str(record.values["fingerprint"]))


def compact_parts(folder: Path, fingerprint: str) -> tuple[int, int]:
    """Compact the parts of one run; stopped at any moment, no row is lost or double.

    A compacted file is a part like any other, of more rows, which lie in it in the order of their ids, so
    that the row groups' statistics lead to an id.  It replaces its parts by the rule for parts that overlap
    (:func:`~goldilocks_batch.results.parts.scan_parts`).
    """
    parts, _ = scan_parts(folder, fingerprint)
    after = 0
    for group in _neighbours(parts):
        after += 1
        if len(group) == 1:
            continue
        table = pa.concat_tables([read_part(part.path) for part in group]).sort_by("id")
        shard = Shard(group[0].shard.start, group[-1].shard.stop)
        report = total(part.report for part in group)
        write_part(folder, shard, table, report, fingerprint, row_group_size=_GROUP)
        for part in group:
            part.path.unlink()
    return len(parts), after


def _neighbours(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Runs of parts that follow each other without a gap, of some ``_ROWS`` rows each."""
    group: list[Part] = []
    for part in parts:
        rows = part.shard.stop - group[0].shard.start if group else 0
        if group and (part.shard.start != group[-1].shard.stop or rows > _ROWS):
            yield group
            group = []
        group.append(part)
    if group:
        yield group
