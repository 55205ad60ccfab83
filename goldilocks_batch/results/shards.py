"""Which rows make up which shard, which of them are done, and whether a run may be resumed.

Rows of all inputs are numbered together from 0.  A shard is a range of rows; so is a result part.
Shards are cut the same way every time, but nothing depends on it: what is left to do is computed from
the ranges of the parts that are there, so a shard may also be split and done in pieces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from goldilocks_batch.core.errors import ErrorCode, RunError

__all__ = ["Identity", "Shard", "cut_shards", "missing_rows", "remaining_shards"]


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """Rows ``start`` to ``stop`` (exclusive) of the inputs, counted over all of them."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def halves(self) -> tuple[Shard, Shard]:
        """The two halves of a shard of at least two rows, in order."""
        middle = (self.start + self.stop) // 2
        return Shard(self.start, middle), Shard(middle, self.stop)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a result depends on; two runs with equal fingerprints give equal tables.

    Attributes:
        parts: JSON values by name, e.g. ``inputs``, ``options``, ``model``, ``version``.
    """

    parts: Mapping[str, object]

    @property
    def fingerprint(self) -> str:
        """Sha256 over all parts, as hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.parts, sort_keys=True).encode()).hexdigest()

    def check_resumable(self, earlier: Mapping[str, object]) -> None:
        """Compare with the identity of the run that began a folder.

        Raises:
            RunError: RESUME_REFUSED, with what differs, and how to begin anew.
        """
        now = json.loads(json.dumps(self.parts))
        changes = list(_differences("", earlier, now))
        if changes:
            raise RunError(
                ErrorCode.RESUME_REFUSED,
                "the output folder holds a different run: "
                + "; ".join(changes[:5])
                + ("; …" if len(changes) > 5 else "")
                + ". Choose another --output, or discard those results with --overwrite",
            )


def _differences(where: str, old: object, new: object) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _differences(f"{where}.{key}" if where else str(key), old.get(key), new.get(key))
    elif isinstance(old, Sequence) and isinstance(new, Sequence) and not isinstance(old, str):
        if len(old) != len(new):
            yield f"{where}: {len(old)} before, {len(new)} now"
        else:
            for index, (before, after) in enumerate(zip(old, new, strict=True)):
                yield from _differences(f"{where}[{index}]", before, after)
    elif old != new:
        yield f"{where} was {old!r}, is {new!r}"


def cut_shards(rows: int, size: int, boundaries: Sequence[int] = ()) -> list[Shard]:
    """Cut ``rows`` rows into shards of at most ``size`` that do not straddle the boundaries.

    Args:
        rows: how many rows there are.
        size: the largest shard.
        boundaries: rows at which a new file or Parquet row group begins; a shard within one of them is
            read with one decoding.  Between two boundaries the shards are of nearly equal size.

    Returns:
        The shards in order; none has less than half of ``size`` rows, unless it is the only one.
    """
    edges = sorted({0, rows, *(b for b in boundaries if 0 < b < rows)})
    # groups smaller than a shard are joined as long as they fit: each shard is a task and a file
    kept = edges[:1]
    for edge, following in pairwise(edges[1:]):
        if following - kept[-1] > size and 2 * (edge - kept[-1]) >= size:
            kept.append(edge)
    if len(kept) > 1 and 2 * (rows - kept[-1]) < size:
        kept.pop()
    if rows:
        kept.append(rows)
    shards = []
    for begin, end in pairwise(kept):
        pieces = -(-(end - begin) // size)
        cuts = [begin + (end - begin) * i // pieces for i in range(pieces + 1)]
        shards += [Shard(a, b) for a, b in pairwise(cuts)]
    return shards


def missing_rows(rows: int, done: Iterable[Shard]) -> list[Shard]:
    """The ranges of ``[0, rows)`` that no part covers; ``done`` must not overlap, in any order."""
    gaps, at = [], 0
    for part in sorted(done):
        if part.start > at:
            gaps.append(Shard(at, part.start))
        at = max(at, part.stop)
    if at < rows:
        gaps.append(Shard(at, rows))
    return gaps


def remaining_shards(planned: Sequence[Shard], done: Iterable[Shard]) -> list[Shard]:
    """The planned shards less the rows that are done, in order; a half-done shard leaves its other rows."""
    if not planned:
        return []
    gaps = iter(missing_rows(planned[-1].stop, done))
    left, gap = [], next(gaps, None)
    for shard in planned:
        while gap is not None and gap.start < shard.stop:
            if gap.stop > shard.start:
                left.append(Shard(max(gap.start, shard.start), min(gap.stop, shard.stop)))
            if gap.stop > shard.stop:
                break
            gap = next(gaps, None)
    return left
