"""What is printed at the end of a command: how it went, and what the numbers mean."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Protocol

import typer
from rich.console import Console

from goldilocks_batch.cli.exits import Exit
from goldilocks_batch.cli.tables import console, duration, ignored_files, print_table, rounded
from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.results.report import WORK, Report
from goldilocks_batch.results.schema import FLAGS
from goldilocks_batch.runs.run import RunSummary

__all__ = ["end_of_run", "print_failures", "print_table_written"]


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


def end_of_run(summary: RunSummary) -> typer.Exit:
    """Print how a run went; the answer is to be raised."""
    _print_summary(summary)
    if summary.state == "interrupted":
        return typer.Exit(Exit.INTERRUPTED)
    return typer.Exit(Exit.SOME_FAILED if summary.report.failed else Exit.OK)


def _print_summary(summary: RunSummary) -> None:
    """Counts, failures and flags with their meanings, and what the model saves against the constants."""
    out, report = console(), summary.report
    at = "" if summary.tolerance is None else f" within {summary.tolerance:g} meV per atom"
    out.print(
        f"{summary.model}: bounds on the k-distance of total energies{at}, confidence {summary.confidence:g}"
    )
    if report.ok:
        _print_saved(out, report, summary.confidence)
    out.print(
        f"{summary.state}: {report.rows:,} of {summary.rows:,} rows, "
        f"{report.ok:,} ok, {report.failed:,} failed"
    )
    if summary.computed:
        pace = f"{rounded(summary.rate)} rows/s"
        out.print(f"{summary.computed:,} computed in {duration(summary.seconds)} ({pace})")
    if ignored := ignored_files(summary.ignored):
        out.print(ignored)
    print_failures(out, report.failures)
    if report.flags:
        out.print("flags, and how many rows have them:")
        _print_counts(out, report.flags, FLAGS)
    if set(report.devices) - {"cpu"}:  # the rule otherwise
        listed = ", ".join(f"{name} {count:,}" for name, count in report.devices.most_common())
        out.print(f"networks ran on: {listed}")
    if report.ok:
        _print_kpoints(out, report, summary)
    for remark in summary.remarks:
        out.print(remark, soft_wrap=not out.is_terminal)
    folder = shlex.quote(str(summary.output))
    out.print(f"results: {summary.output / 'results'}")
    out.print(f"to see them: goldilocks-batch show {folder}")
    if summary.state == "interrupted":
        out.print("run the same command again to go on")


def _print_saved(out: Console, report: Report, confidence: float) -> None:
    """What the recommended meshes save, in a line for each constant."""
    for prefix, constant in (
        ("constant_", f"the constant that is as safe for cells as small or large ({confidence:g})"),
        ("aiida_", "the constant 0.15 1/Å (AiiDA balanced)"),
    ):
        points, work = (
            _change(report.kpoints[name], report.kpoints[f"{prefix}{name}"], less)
            for name, less in (("n_kpoints_irreducible", "fewer"), (WORK, "less"))
        )
        if points:
            of_work = f"{work} work and " if work else ""
            out.print(f"{of_work}{points} irreducible k-points than {constant}")


def _change(ours: int, others: int, less: str) -> str:
    """How much less, or more, ours is; empty where there is nothing to compare it with."""
    if not others:
        return ""
    share = 100.0 * (ours - others) / others
    return f"{-share:.0f} % {less}" if share <= 0 else f"{share:.0f} % more"


def print_failures(out: Console, counts: Mapping[str, int]) -> None:
    """How often each error code occurs, and what it means."""
    _print_counts(out, counts, {code.value: code.meaning for code in ErrorCode})


def _print_counts(out: Console, counts: Mapping[str, int], meanings: Mapping[str, str]) -> None:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    rows = [(f"{count:,}", name, meanings.get(name, "")) for name, count in ordered]
    print_table(out, ("rows", "name", "meaning"), rows, header=False, right=("rows",), indent=4)


def _print_kpoints(out: Console, report: Report, summary: RunSummary) -> None:
    """K-points of the recommended meshes beside those of constant distances."""
    rows = []
    for label, prefix in (
        (f"{summary.model} at {summary.confidence:g}", ""),
        ("constant 0.15 (AiiDA balanced)", "aiida_"),
        ("constant of this confidence", "constant_"),
    ):
        full, reduced, work = (
            report.kpoints[f"{prefix}{name}"] for name in ("n_kpoints", "n_kpoints_irreducible", WORK)
        )
        if full:  # else there is no constant of this confidence
            pairs = ((report.kpoints["n_kpoints_irreducible"], reduced), (report.kpoints[WORK], work))
            changes = [f"{ours / others - 1:+.1%}" if prefix and others else "" for ours, others in pairs]
            rows.append((label, f"{full:,}", f"{reduced:,}", *changes))
    headings = ("mesh", "k-points", "irreducible", "ours against it", "in work")
    title = (
        "k-points over all ok rows, cells as supplied; work is irreducible ones times atoms squared, roughly "
        "what calculations take"
    )
    print_table(out, headings, rows, title=title, right=headings[1:])
    share = f"{100 * summary.confidence:g} %"
    out.print(
        f"confidence {summary.confidence:g} is one-sided: kdist_lower, and a mesh made from it, is meant to "
        f"be converged for {share} of structures like those the model was trained on",
        soft_wrap=not out.is_terminal,
    )


def print_table_written(summary: TableSummary, what: str) -> typer.Exit:
    """Say which table was written, and what is not in it; the answer is to be raised."""
    out = console()
    out.print(f"{what}: {summary.rows:,} rows in {summary.path}")
    if summary.failed:
        out.print(f"failures: {summary.failed:,} rows in {summary.failures_path}")
    return typer.Exit(Exit.SOME_FAILED if summary.failed else Exit.OK)
