"""How far the work is, on standard error: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from goldilocks_batch.cli.tables import duration, rounded
from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.run import Observer

__all__ = ["observer_for", "told"]

#: Seconds between two lines of progress where there is no terminal to redraw.
_LINE_EVERY = 10.0
#: Columns of a terminal below which numbers alone are shown, and no bar.
_ROOM_FOR_A_BAR = 90


@contextlib.contextmanager
def observer_for(quiet: bool, doing: str = "screening", unit: str = "rows") -> Iterator[Observer]:
    """A progress bar on a terminal, a line every ten seconds elsewhere, nothing when quiet.

    Args:
        quiet: no progress.
        doing: what is going on.
        unit: what is counted.
    """
    if quiet:
        yield _Lines(unit, every=None)
    elif sys.stderr.isatty():
        bar = _Bar(doing, unit)
        try:
            yield bar
        finally:
            bar.progress.stop()
    else:
        yield _Lines(unit, every=_LINE_EVERY)


def told(observer: Observer) -> Callable[[int, int], None]:
    """An observer of rows as one of forests or epochs."""
    begun = False

    def progress(done: int, total: int) -> None:
        nonlocal begun
        if begun:
            observer.advanced(Report(1, 1))
        else:
            observer.started(total, done, None)
            begun = True

    return progress


class _Bar:
    """On the screen from the start of the work to its last row, so that another may follow it."""

    def __init__(self, doing: str, unit: str) -> None:
        console = Console(stderr=True, markup=False, emoji=False)  # what is told holds names of files
        columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn(doing)]
        if console.width >= _ROOM_FOR_A_BAR:
            columns += [BarColumn(bar_width=min(40, console.width - _ROOM_FOR_A_BAR + 10))]
        columns += [MofNCompleteColumn(), TextColumn("{task.fields[rate]}")]
        if console.width >= _ROOM_FOR_A_BAR:
            columns += [TimeElapsedColumn(), TextColumn("left")]
        columns += [TimeRemainingColumn(), TextColumn("[red]{task.fields[failed]}")]
        self.progress = Progress(*columns, console=console, transient=True)
        self._task: TaskID | None = None
        self._tally = _Tally(unit)

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        self._tally.start(rows, done)
        if dashboard:
            self.progress.console.print(f"dashboard: {dashboard}", highlight=False)
        if done:
            self.progress.console.print(
                f"{done:,} of {rows:,} {self._tally.unit} are done already", highlight=False
            )
        self.progress.start()
        self._task = self.progress.add_task("", total=rows, completed=done, rate="", failed="")

    def advanced(self, report: Report) -> None:
        self._tally.add(report)
        if self._task is not None:
            failed = f"{self._tally.failed:,} failed" if self._tally.failed else ""
            self.progress.update(
                self._task, advance=report.rows, rate=f"{rounded(self._tally.rate)}/s", failed=failed
            )
        if self._tally.done >= self._tally.rows:
            self.progress.stop()


class _Lines:
    """Plain progress lines on standard error."""

    def __init__(self, unit: str, every: float | None) -> None:
        self._every = every
        self._tally = _Tally(unit)
        self._last = time.monotonic()

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        self._tally.start(rows, done)
        if self._every is not None:
            where = f", dashboard {dashboard}" if dashboard else ""
            _say(f"{rows:,} {self._tally.unit}, {done:,} done already{where}")

    def advanced(self, report: Report) -> None:
        self._tally.add(report)
        if self._every is not None and time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            _say(self._tally.line())


class _Tally:
    """Rows done, or whatever is counted, rate and time left."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.rows = self.done = self.now = self.failed = 0
        self._began = time.monotonic()

    def start(self, rows: int, done: int) -> None:
        self.rows, self.done, self._began = rows, done, time.monotonic()

    def add(self, report: Report) -> None:
        self.done += report.rows
        self.now += report.rows
        self.failed += report.failed

    @property
    def rate(self) -> float:
        return self.now / max(time.monotonic() - self._began, 1e-9)

    def line(self) -> str:
        left = (self.rows - self.done) / self.rate if self.rate else 0.0
        return (
            f"{self.done:,}/{self.rows:,} {self.unit} ({self.done / max(self.rows, 1):.0%}), "
            f"{rounded(self.rate)} {self.unit}/s, {duration(left)} left, {self.failed:,} failed"
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - this module is what prints
