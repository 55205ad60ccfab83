"""What the terminal shows: a progress bar or plain lines, and tables at the end."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.run import Observer, RunSummary

__all__ = ["console", "duration", "observer_for", "print_schema", "print_summary", "print_table_written"]

#: Seconds between two lines of progress where there is no terminal to redraw.
_LINE_EVERY = 10.0


class TableSummary(Protocol):
    """What the summaries of written tables have in common."""

    @property
    def path(self) -> object: ...
    @property
    def rows(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def failures_path(self) -> object | None: ...


@contextlib.contextmanager
def observer_for(quiet: bool, doing: str = "screening", unit: str = "rows") -> Iterator[Observer]:
    """A progress bar on a terminal, a line every ten seconds elsewhere, only warnings when quiet.

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


class _Bar:
    """On the screen from the start of the work to its last row, so that another may follow it."""

    def __init__(self, doing: str, unit: str) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[red]{task.fields[failed]}"),
            console=Console(stderr=True),
            transient=True,
        )
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
                self._task, advance=report.rows, rate=f"{_rounded(self._tally.rate)}/s", failed=failed
            )
        if self._tally.done >= self._tally.rows:
            self.progress.stop()

    def warned(self, message: str) -> None:
        self.progress.console.print(f"warning: {message}", highlight=False, style="yellow")


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

    def warned(self, message: str) -> None:
        _say(f"warning: {message}")


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
            f"{_rounded(self.rate)} {self.unit}/s, {duration(left)} left, {self.failed:,} failed"
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - this module is what prints


def _rounded(rate: float) -> str:
    """Whole numbers, but for small rates."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def duration(seconds: float) -> str:
    """``H:MM:SS``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


class _Piped(Console):
    """A console whose lines of text keep their length: paths and commands in them are there to be copied."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As a console does."""
        if all(isinstance(text, str) for text in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)


def console() -> Console:
    """Standard output; plain when piped, tables then 120 columns wide."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return _Piped(highlight=False, width=120, no_color=True)


def print_summary(summary: RunSummary) -> None:
    """Counts, failures by code, rate, and what the model saves against the constants."""
    out, report = console(), summary.report
    out.print(
        f"{summary.state}: {report.rows:,} of {summary.rows:,} rows, "
        f"{report.ok:,} ok, {report.failed:,} failed"
    )
    if summary.computed:
        out.print(
            f"{summary.computed:,} computed in {duration(summary.seconds)} ({summary.rate:,.0f} rows/s)"
        )
    for code, count in report.failures.most_common():
        out.print(f"  {count:>8,}  {code}")
    if report.flags:
        out.print(f"flags: {_listed(report.flags)}")
    if set(report.devices) - {"cpu"}:  # the rule otherwise
        out.print(f"networks ran on: {_listed(report.devices)}")
    if report.ok:
        out.print(_kpoint_table(report, summary))
    for remark in summary.remarks:
        out.print(remark)
    out.print(f"results: {summary.output / 'results'}")
    if summary.state == "interrupted":
        out.print("run the same command again to go on")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _kpoint_table(report: Report, summary: RunSummary) -> Table:
    table = Table(title="k-points over all ok rows, cells as supplied", title_justify="left", box=None)
    for heading in ("mesh", "k-points", "irreducible", "ours against it"):
        table.add_column(heading, justify="left" if heading == "mesh" else "right")
    ours = report.kpoints["n_kpoints_irreducible"]
    for label, prefix in (
        (f"{summary.model} at {summary.confidence:.2f}", ""),
        ("constant 0.15 (AiiDA balanced)", "aiida_"),
        ("constant of this confidence", "constant_"),
    ):
        full, reduced = (
            report.kpoints[f"{prefix}n_kpoints"],
            report.kpoints[f"{prefix}n_kpoints_irreducible"],
        )
        if not full:  # there is no constant of this confidence
            continue
        change = f"{(ours - reduced) / reduced:+.1%}" if prefix else ""
        table.add_row(label, f"{full:,}", f"{reduced:,}", change)
    return table


def print_table_written(summary: TableSummary, what: str) -> None:
    """One or two lines about a table that was written."""
    out = console()
    out.print(f"{what}: {summary.rows:,} rows in {summary.path}")
    if summary.failed:
        out.print(f"failures: {summary.failed:,} rows in {summary.failures_path}")


def _short(kind: pa.DataType) -> str:
    """An Arrow type as people write it: ``int32[3]``, ``string[]``."""
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.value_type}[{kind.list_size}]"
    return f"{kind.value_type}[]" if pa.types.is_list(kind) else str(kind)


def print_schema() -> None:
    """The result table's columns and flags."""
    from goldilocks_batch.results.schema import COLUMNS, FLAGS, RESULT_SCHEMA_ID

    out = console()
    table = Table(title=RESULT_SCHEMA_ID, title_justify="left", box=None)
    for heading in ("column", "type", "unit", "meaning"):
        table.add_column(heading, no_wrap=heading == "column", overflow="fold")
    for column in COLUMNS:
        table.add_row(column.name, _short(column.type), column.unit, column.text)
    out.print(table)
    out.print()
    flags = Table(title="flags", title_justify="left", box=None, show_header=False)
    for name, text in FLAGS.items():
        flags.add_row(name, text)
    out.print(flags)
