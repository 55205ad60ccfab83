"""How far databases have been read, on standard error, and what came of it."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from goldilocks_batch.cli.tables import console, print_table
from goldilocks_batch.runs.fetch import Fetched, Given, limit_reached
from goldilocks_batch.structures.databases.harvest import Silent, Watch

__all__ = ["end_of_fetch", "watch_for"]

_log = logging.getLogger(__name__)
#: Seconds between two lines on a provider where there is no terminal to redraw.
_LINE_EVERY = 10.0


@contextlib.contextmanager
def watch_for(quiet: bool) -> Iterator[Watch]:
    """A bar for each provider on a terminal, a line now and then elsewhere, nothing when quiet."""
    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        bars = _Bars()
        with bars.progress:
            yield bars
    else:
        yield _Lines()


class _Bars:
    """A bar for each provider; what it says it has is the whole."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True, markup=False, emoji=False),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def _task(self, provider: str) -> TaskID:
        if provider not in self._tasks:
            self._tasks[provider] = self.progress.add_task("", total=None, name=provider, count="", note="")
        return self._tasks[provider]

    def found(self, provider: str, rows: int, total: int | None) -> None:
        self.progress.update(
            self._task(provider), completed=rows, total=total, count=_counted(rows, total), note=""
        )

    def waits(self, provider: str, seconds: float, why: str) -> None:
        self.progress.update(self._task(provider), note=f"{why}; asked again in {seconds:.0f} s")

    def ended(self, provider: str) -> None:
        self.progress.update(self._task(provider), note="")
        self.progress.stop_task(self._task(provider))


class _Lines:
    """Plain lines in the log."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def found(self, provider: str, rows: int, total: int | None) -> None:
        if rows and time.monotonic() - self._told.get(provider, -_LINE_EVERY) >= _LINE_EVERY:
            self._told[provider] = time.monotonic()
            _log.info("%s: %s entries", provider, _counted(rows, total))

    def waits(self, provider: str, seconds: float, why: str) -> None:
        _log.info("%s %s; asked again in %.0f s", provider, why, seconds)

    def ended(self, provider: str) -> None:
        """Say nothing: the summary does."""


def _counted(rows: int, total: int | None) -> str:
    return f"{rows:,} of {total:,}" if total is not None else f"{rows:,}"


def end_of_fetch(fetched: Fetched) -> None:
    """Print what each provider gave, and a line for each that did not give all of it."""
    out = console()
    rows = [(part.name, f"{part.rows:,}", _whole(part), _remark(part)) for part in fetched.given]
    print_table(out, ("provider", "entries", "it has", ""), rows, right=("entries", "it has"))
    for part in fetched.given:
        if part.limited:
            _log.warning("%s", limit_reached(part))
        if part.problem:
            _log.error("%s %s", part.name, part.problem)
    if fetched.path is None:
        out.print("no manifest was written; the same command asks again")
        return
    there = "" if fetched.asked else ", which was there: nobody was asked (--overwrite asks anew)"
    out.print(f"manifest: {fetched.rows:,} rows in {fetched.path}{there}")
    if not fetched.complete:
        out.print("the same command asks for what is missing")
    out.print(f"to screen them: goldilocks-batch run {shlex.quote(str(fetched.path))}")


def _whole(part: Given) -> str:
    return f"{part.returned:,}" if part.returned is not None else "not said"


def _remark(part: Given) -> str:
    doubled = f"{part.duplicates:,} came twice, kept once" if part.duplicates else ""
    return "; ".join(filter(None, ("not whole" if part.problem else "", doubled)))
