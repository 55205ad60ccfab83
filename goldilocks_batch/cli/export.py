"""``export``: rows of a run as inputs of codes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import Exit, guarded
from goldilocks_batch.config.choices import ExportFormat, Grid, MeshCell

if TYPE_CHECKING:
    from goldilocks_batch.exports.export import ExportSummary

__all__ = ["export"]


@guarded
def export(
    run: opt.Folder,
    to: Annotated[ExportFormat, typer.Option("--to", help="Code whose inputs are written, or a table: csv.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="vasp, qe: a folder, or an archive by its ending, .zip, .tar.gz; else a file, compressed if "
            "it ends in .gz.",
        ),
    ],
    cell: Annotated[
        MeshCell, typer.Option(help="Cell that is written, with its mesh; primitive: Niggli's vectors.")
    ] = "supplied",
    bound: Annotated[
        Grid | None, typer.Option(help="Bound that meshes are made from. [default: that of the run]")
    ] = None,
    where: opt.Where = None,
    accuracy: Annotated[
        float | None,
        typer.Option(help="Refuse a run whose bounds are for another accuracy, meV per atom: 1, 3 or 5."),
    ] = None,
    shards: Annotated[
        int,
        typer.Option(
            min=1, help="Write so many files or archives, or folders of folders, for millions of rows."
        ),
    ] = 1,
    template: Annotated[
        Path | None,
        typer.Option(
            help="qe: an input of pw.x with pseudopotentials, cutoffs and smearing; without one these places "
            "are marked, and pw.x stops there."
        ),
    ] = None,
    gamma: Annotated[
        bool, typer.Option("--gamma", help="qe: write K_POINTS gamma where Γ is the only point.")
    ] = False,
    kspacing: Annotated[
        bool, typer.Option("--kspacing", help="vasp: write KSPACING and KGAMMA in an INCAR, no KPOINTS.")
    ] = False,
    overwrite: opt.Overwrite = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write the rows of a run as inputs of codes: each structure with the mesh that belongs to it.

    Structures are read again from the run's inputs, which must be as they were. Rows that failed are listed
    in a table `skipped.parquet`.

    **Examples**

    `goldilocks-batch export screening --to vasp -o inputs`

    `goldilocks-batch export screening --to qe --template scf.in --cell primitive -o inputs.tar.gz`

    `goldilocks-batch export screening --to aiida --where 'n_kpoints<2000 and not flags=vacuum' -o x.jsonl`
    """
    from goldilocks_batch.cli.logs import hush
    from goldilocks_batch.cli.progress import observer_for
    from goldilocks_batch.exports.export import Target
    from goldilocks_batch.exports.export import export as written
    from goldilocks_batch.exports.rows import Choice

    if quiet:
        hush()
    target = Target(to, output, shards, template, gamma, kspacing, overwrite)
    files = to in ("vasp", "qe")  # they come with an index that tells
    choice = Choice(cell, bound, tuple(where or ()), accuracy, counts=files or to == "csv")
    with observer_for(quiet, "exporting") as observer:
        summary = written(run, target, choice, observer=observer)
    _print_summary(run, to, summary)
    raise typer.Exit(Exit.SOME_FAILED if summary.skipped or summary.missing else Exit.OK)


def _print_summary(run: Path, to: str, summary: ExportSummary) -> None:
    from goldilocks_batch.cli.summary import print_failures
    from goldilocks_batch.cli.tables import console

    out = console()
    out.print(f"{to}: {summary.written:,} rows in {summary.output}")
    if summary.left_out:
        out.print(f"not asked for: {summary.left_out:,} rows")
    _print_notes(summary.notes)
    if summary.renamed:
        out.print(f"{summary.renamed:,} ids are no file names; kpoints.csv there tells whose folder is whose")
    if summary.skipped:
        out.print(f"skipped: {sum(summary.skipped.values()):,} rows, listed in {summary.skipped_path}")
        print_failures(out, summary.skipped)
    if summary.missing:
        again = f"goldilocks-batch collect {shlex.quote(str(run))}"
        out.print(f"{summary.missing:,} rows of the run have no result yet: complete it with {again}")


def _print_notes(notes: Mapping[str, int]) -> None:
    from goldilocks_batch.cli.tables import console

    for note, count in sorted(notes.items()):
        console().print(f"{count:,} {'row' if count == 1 else 'rows'}: {note}")
