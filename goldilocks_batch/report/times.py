"""How long a run took: its attempts, its stages, and its rate over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

__all__ = ["Pace", "pace_of"]

#: Intervals that a run's working time is cut into.
_INTERVALS = 40
#: With fewer files than so many a rate over time would tell of their cut alone.
_FEW = 8
#: s that a file may be older or younger than the attempt that wrote it: clocks of file servers differ.
_SLACK = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The rate over working time, the pauses between attempts left out.

    Attributes:
        edges: of the intervals, s, ``(n + 1,)``.
        rates: rows a second in each, ``(n,)``.
        begins: where further attempts begin, s.
    """

    edges: list[float]
    rates: list[float]
    begins: list[float]


def pace_of(attempts: Sequence[Mapping[str, Any]], written: Sequence[tuple[float, int]]) -> Pace | None:
    """The rate over time; None where it is not known, as after the files were copied.

    Args:
        attempts: of a run's record; ``timeline`` holds pairs of s since the beginning and rows by then.
        written: from :func:`~goldilocks_batch.results.status.written_at`, for attempts without a timeline.
    """
    times, counts, begins, past, before = [0.0], [0.0], [], 0.0, 0.0
    for place, attempt in enumerate(attempts):
        began = _seconds(attempt["started"])
        end = _seconds(attempt["finished"]) + _SLACK if "finished" in attempt else float("inf")
        if place + 1 < len(attempts):
            end = min(end, _seconds(attempts[place + 1]["started"]))
        early = _SLACK if place == 0 else 0.0
        points = [(float(at), float(rows)) for at, rows in attempt.get("timeline", ())]
        if not points:
            mine = [(at - began, rows) for at, rows in written if began - early <= at < end]
            totals = np.cumsum([rows for _, rows in mine])
            points = [(max(at, 0.0), float(total)) for (at, _), total in zip(mine, totals, strict=True)]
        if not points:
            continue
        if past:
            begins.append(past)
        times += [past + at for at, _ in points]
        counts += [before + rows for _, rows in points]
        past, before = times[-1], counts[-1]
    if len(times) <= _FEW or times[-1] <= 0:
        return None
    edges = np.linspace(0, times[-1], min(_INTERVALS, (len(times) - 1) // 2) + 1)
    rates = np.diff(np.interp(edges, times, counts)) / np.diff(edges)
    return Pace(edges.tolist(), rates.tolist(), begins)


def _seconds(when: str) -> float:
    """A time of the record in s since the epoch."""
    return datetime.fromisoformat(when).timestamp()
