"""``report``: a page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded

__all__ = ["print_report", "report"]


@guarded
def report(
    output: opt.Folder,
    page: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML file to write. [default: report.html in the folder]"),
    ] = None,
) -> None:
    """Write one page about a run, finished or not: what came out, what failed, what it costs, what to doubt.

    The page is a single HTML file that needs no network.

    **Example**

    `goldilocks-batch report screening -o report.html`
    """
    print_report(output, page)


def print_report(output: Path, page: Path | None = None) -> None:
    """Write the page and say where it is."""
    from goldilocks_batch.cli.tables import console
    from goldilocks_batch.report.page import write_report

    written, out = write_report(output, page), console()
    out.print(f"report: {written.path} ({written.rows:,} rows, {written.size / 1000:,.0f} kB)")
    if written.missing:
        out.print(f"{written.missing:,} rows have no result yet: the run is not complete")
