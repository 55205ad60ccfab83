"""What is printed of a model that was trained or judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from rich.markdown import Markdown

from goldilocks_batch.cli.exits import Exit
from goldilocks_batch.cli.summary import print_failures
from goldilocks_batch.cli.tables import console
from goldilocks_batch.models.trained import Trained
from goldilocks_batch.training.card import report as tables
from goldilocks_batch.training.judged import Judged, write_judged

__all__ = ["end_of_features", "end_of_training", "print_markdown"]


def end_of_training(
    trained: Trained, judged: Judged, report: Path | None, output: Path, lines: Sequence[str]
) -> typer.Exit:
    """Write the report of a training, print its tables and its place; the answer is to be raised."""
    if report is not None:
        write_judged(judged, report)
    out = console()
    out.print(trained.record.evaluation["kind"], style="bold")
    print_markdown(tables(judged.evaluation))
    for line in lines:
        out.print(line)
    out.print(f"screen with it: goldilocks-batch run STRUCTURES --model {output}")
    return end_of_features(judged.dataset.left_out, output)


def print_markdown(text: str) -> None:
    """Drawn on a terminal, as it is elsewhere."""
    out = console()
    if out.is_terminal:
        out.print(Markdown(text))
    else:
        typer.echo(text)


def end_of_features(left_out: Mapping[str, int], folder: Path) -> typer.Exit:
    """Say which structures had no features; the answer is to be raised."""
    if not left_out:
        return typer.Exit(Exit.OK)
    out = console()
    out.print(f"structures left out, without features: {sum(left_out.values()):,}")
    print_failures(out, left_out)
    out.print(f"they are listed in {folder / 'failures.parquet'}")
    return typer.Exit(Exit.SOME_FAILED)
