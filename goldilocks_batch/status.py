"""How far a run is, from its files alone: nothing needs to be running, nothing is asked of a scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldilocks_batch.plan import Shard, missing_rows
from goldilocks_batch.provenance import record_of
from goldilocks_batch.report import Report, total
from goldilocks_batch.sink import Part, scan_parts

__all__ = ["Status", "status_of"]

#: The rate is that of the parts written in so many seconds before the newest one.
_WINDOW = 600.0


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
        rate: rows a second lately; None where one file is all there is.
        newest: when the last part was written, s since the epoch; None without one.
        attempts: the record's entries, oldest first.
    """

    state: str
    rows: int
    report: Report
    parts: int
    untrusted: int
    missing: tuple[Shard, ...]
    rate: float | None
    newest: float | None
    attempts: tuple[dict[str, Any], ...]

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at the present rate."""
        return sum(map(len, self.missing)) / self.rate if self.rate else None


def status_of(output: Path) -> Status:
    """Look at a run's folder.

    Raises:
        RunError: it is not the folder of a run.
    """
    record = record_of(output)
    values = record.values
    parts, untrusted = scan_parts(output / "results", str(values["fingerprint"]))
    written = _written(parts)
    return Status(
        state=str(values["state"]),
        rows=int(values["rows"]),
        report=total(part.report for part in parts),
        parts=len(parts),
        untrusted=len(untrusted),
        missing=tuple(missing_rows(int(values["rows"]), (part.shard for part in parts))),
        rate=_rate(written),
        newest=written[-1][0] if written else None,
        attempts=tuple(values["attempts"]),
    )


def _written(parts: list[Part]) -> list[tuple[float, int]]:
    """When each part was written and its rows, oldest first; parts removed meanwhile are left out."""
    return sorted((part.path.stat().st_mtime, len(part.shard)) for part in parts if part.path.exists())


def _rate(written: list[tuple[float, int]]) -> float | None:
    recent = [(when, rows) for when, rows in written if when >= written[-1][0] - _WINDOW]
    span = recent[-1][0] - recent[0][0] if recent else 0.0
    # the first part only starts the clock: its own time lies before it
    return sum(rows for _, rows in recent[1:]) / span if span > 0 else None
