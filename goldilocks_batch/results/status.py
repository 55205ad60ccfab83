"""How far a run is, from its files alone: nothing needs to be running, nothing is asked of a scheduler."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from goldilocks_batch.results.folder import MESHES, RunFolder
from goldilocks_batch.results.part import Part
from goldilocks_batch.results.parts import Scan
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard, missing_rows

__all__ = ["Status", "status_of", "timeline", "written_at"]

#: The pace is that of the parts written in so many seconds before the newest one, of two at least.
_WINDOW = 600.0
#: A run is silent that has written nothing for so many seconds, and for so many times as long as there lately
#: was between two parts; of convergence studies a finished mesh counts as much as a part.
_PATIENCE, _INTERVALS = 600.0, 5
_GOING_ON = ("running", "submitted")


@dataclass(frozen=True, slots=True)
class Status:
    """The state of an output folder.

    Attributes:
        state: as the last attempt left it: running, completed, interrupted, failed, submitted.
        rows: rows of the inputs.
        report: counts over the rows that are there.
        parts: trusted result files.
        untrusted: result files that the next attempt will replace.
        missing: ranges of rows that are not there.
        rate: rows a second lately; None where the last attempt has written less than two files.
        newest: when the last part was written, s since the epoch; None without one.
        silence: s without a result or a finished mesh of a study, of a run that should go on; None if that is
            not long for its pace.
        attempts: the record's entries, oldest first, with the rows that each brought where that can be known.
    """

    state: str
    rows: int
    report: Report
    parts: int
    untrusted: int
    missing: tuple[Shard, ...]
    rate: float | None
    newest: float | None
    silence: float | None
    attempts: tuple[dict[str, Any], ...]

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at the present rate, of a run that goes on."""
        if self.state not in _GOING_ON or self.silence is not None or not self.rate:
            return None
        return sum(map(len, self.missing)) / self.rate


def status_of(output: Path, found: Scan | None = None) -> Status:
    """Look at a run's folder.

    Args:
        output: the folder.
        found: its result files, if somebody has looked at them already.

    Raises:
        RunError: it is not the folder of a run.
    """
    folder = RunFolder.of(output)
    values, found = folder.record.values, found or folder.parts.scan()
    rows, state = int(values["rows"]), str(values["state"])
    report, written = found.report, written_at(found.parts)
    began = datetime.fromisoformat(values["attempts"][-1]["started"]).timestamp()
    rate, interval = _pace([part for part in written if part[0] >= began])
    newest = written[-1][0] if written else None
    silence = _silence(began, newest, interval) if state in _GOING_ON else None
    if silence is not None and folder.holds_studies:
        meshes = _meshes(output, began)
        silence = _silence(began, meshes[-1][0] if meshes else newest, _pace(meshes)[1])
    return Status(
        state=state,
        rows=rows,
        report=report,
        parts=len(found.parts),
        untrusted=len(found.untrusted),
        missing=tuple(missing_rows(rows, found.shards)),
        rate=rate,
        newest=newest,
        silence=silence,
        attempts=_counted(values, report.rows),
    )


def written_at(parts: Sequence[Part]) -> list[tuple[float, int]]:
    """When each part was written, s since the epoch, and its rows, oldest first; without removed ones."""
    return sorted((part.path.stat().st_mtime, len(part.shard)) for part in parts if part.path.exists())


def timeline(parts: Sequence[Part], since: float, points: int = 100) -> list[tuple[float, int]]:
    """How many rows were written by when: what the times of files tell until they are compacted.

    Args:
        parts: of a run.
        since: s since the epoch; older parts are left out.
        points: at most so many are given.

    Returns:
        Pairs of s after ``since`` and rows written by then.
    """
    found, total = [], 0
    for when, rows in written_at(parts):
        if when >= since:
            total += rows
            found.append((round(when - since, 3), total))
    step = -(-len(found) // points) or 1
    return found[step - 1 :: step] + ([] if len(found) % step == 0 else found[-1:])


def _pace(written: Sequence[tuple[float, int]]) -> tuple[float | None, float]:
    """Rows a second, and seconds from one part to the next; None and 0 without two parts."""
    if len(written) < 2:
        return None, 0.0
    count = sum(when >= written[-1][0] - _WINDOW for when, _ in written)
    recent = written[-max(count, 2) :]
    span = recent[-1][0] - recent[0][0]
    if span <= 0:  # as after a compaction
        return None, 0.0
    # the first part only starts the clock: its own time lies before it
    return sum(rows for _, rows in recent[1:]) / span, span / (len(recent) - 1)


def _silence(began: float, newest: float | None, interval: float) -> float | None:
    """Seconds since the last sign of progress; None if they are few for its pace."""
    quiet = time.time() - max(began, newest or began)
    return quiet if quiet > max(_PATIENCE, _INTERVALS * interval) else None


def _meshes(output: Path, since: float) -> list[tuple[float, int]]:
    """When each mesh of convergence studies was finished, s since the epoch, oldest first."""
    times = (path.stat().st_mtime for path in output.glob(MESHES))
    return sorted((when, 1) for when in times if when >= since)


def _counted(values: dict[str, Any], rows: int) -> tuple[dict[str, Any], ...]:
    """The attempts with their rows: runs count their own, those of an array are what else is there."""
    attempts = [dict(attempt) for attempt in values["attempts"]]
    if attempts[-1]["state"] == "submitted":
        # less those that were there when it was submitted
        attempts[-1]["rows"] = max(0, rows - values["counts"]["rows"])
    unknown = [attempt for attempt in attempts if "rows" not in attempt]
    if len(unknown) == 1:
        unknown[0]["rows"] = max(0, rows - sum(attempt.get("rows", 0) for attempt in attempts))
    return tuple(attempts)
