"""``status``: how far a run is."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import Exit, guarded

if TYPE_CHECKING:
    from rich.console import Console

    from goldilocks_batch.results.folder import RunFolder
    from goldilocks_batch.results.status import Status

__all__ = ["status"]


@guarded
def status(output: opt.Folder) -> None:
    """Tell from the files alone how far a run is, what failed, and how fast it goes.

    **Example**

    `goldilocks-batch status screening`
    """
    from goldilocks_batch.cli.summary import print_failures
    from goldilocks_batch.cli.tables import console, duration, rounded
    from goldilocks_batch.results.folder import RunFolder
    from goldilocks_batch.results.status import status_of

    found, folder, out = status_of(output), RunFolder.of(output), console()
    done = found.report.rows
    out.print(f"{found.state}: {done:,} of {found.rows:,} rows ({done / max(found.rows, 1):.1%})")
    if folder.holds_studies:
        _print_labels(out, folder, found)
    else:
        out.print(f"{found.report.ok:,} ok, {found.report.failed:,} failed, {found.parts:,} result files")
    print_failures(out, found.report.failures)
    if found.untrusted:
        out.print(f"{found.untrusted:,} files are damaged or double; the next attempt replaces them")
    if found.silence is not None and found.missing:
        out.print(f"no result for {duration(found.silence)}")
    elif found.newest is not None and found.missing:
        ago = duration(time.time() - found.newest)
        pace = f"{rounded(found.rate)} rows/s lately" if found.rate else "no rate yet"
        out.print(f"last result {ago} ago, {pace}")
        if found.seconds_left is not None:
            out.print(f"{duration(found.seconds_left)} left at that rate")
    for attempt in found.attempts:
        array = " as a job array" if attempt["state"] == "submitted" else ""
        rows = f", {attempt['rows']:,} rows" if "rows" in attempt else ""
        spent = f" in {duration(attempt['seconds'])}" if "seconds" in attempt else ""
        out.print(f"attempt of {attempt['started']}: {attempt['state']}{array}{rows}{spent}")
    if found.missing and (found.silence is not None or found.state in ("interrupted", "failed")):
        ended = "" if found.silence is None else ", if nothing of it runs any more"
        again = f"the same command again, or goldilocks-batch collect {shlex.quote(str(output))}"
        out.print(f"to go on{ended}: {again}")
    raise typer.Exit(Exit.SOME_FAILED if found.missing or found.report.failed else Exit.OK)


def _print_labels(out: Console, folder: RunFolder, found: Status) -> None:
    """Tell what studies have come to, and which of them are in the tables."""
    from goldilocks_batch.convergence.tables import LABELS, count_limits, tabled

    report, limits, output = found.report, count_limits(folder.parts), folder.path
    nothing = report.failed - limits
    out.print(f"{report.ok:,} labels, {limits:,} limits, {nothing:,} without either")
    there = tabled(output)
    if there is not None:
        out.print(f"{output / LABELS} and the other tables are of {there[0]:,} of {there[1]:,} studies")
    if report.rows and (there is None or there[0] < report.rows):
        out.print("converge --tables, with the same configuration, writes tables of what has ended")
