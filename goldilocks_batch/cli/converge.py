"""``converge``: labels of one's own, by convergence studies with a real code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import Exit, guarded
from goldilocks_batch.cli.taking import takes
from goldilocks_batch.config.convergence import ConvergeConfig, load_converge_config
from goldilocks_batch.config.flags import WORK
from goldilocks_batch.config.run import RunConfig

if TYPE_CHECKING:
    from goldilocks_batch.convergence.converge import ConvergenceSummary

__all__ = ["converge", "end_of_studies"]

_File = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file of code, ladder, tolerances, budget; flags override it."),
]
_Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder for tables and studies. [default: studies]")
]


def _load(path: Path | None, **given: Any) -> ConvergeConfig:
    settings = load_converge_config(path, **given)
    if settings.run.quiet:
        from goldilocks_batch.cli.logs import hush

        hush()
    return settings


@guarded
@takes(
    "settings",
    RunConfig,
    "inputs",
    "max_sites",
    "allow_missing_hydrogens",
    "allow_outside",
    "executor",
    "workers",
    *opt.JOBS,
    "cluster",
    "plain_tcp",
    "memory_limit",
    "dashboard",
    "overwrite",
    "quiet",
    load=_load,
    file=_File,
)
def converge(
    settings: ConvergeConfig,
    output: _Output = None,
    retry: Annotated[
        bool,
        typer.Option(
            "--retry",
            help="Take up again what an earlier attempt left without a label.",
            rich_help_panel=WORK,
        ),
    ] = False,
    array: Annotated[
        bool,
        typer.Option(
            "--array",
            help="Submit the studies as a plain SLURM job array, without a Dask cluster; `collect` completes "
            "them.",
            rich_help_panel=WORK,
        ),
    ] = False,
    tables: Annotated[
        bool,
        typer.Option(
            "--tables",
            help="Write the tables of the studies that have ended, and calculate nothing.",
            rich_help_panel=WORK,
        ),
    ] = False,
    dry_run: opt.DryRun = False,
) -> None:
    """Find the coarsest converged k-point mesh of every structure, by calculations with a real code.

    The energy of each structure is calculated on denser and denser meshes until at least three agree. The
    same command resumes studies that were interrupted: no finished mesh is calculated again.
    `labels.parquet` in the output folder is what `train` takes. `goldilocks-batch config example
    converge-qe` prints the options of a file, for Quantum ESPRESSO.

    **Examples**

    `goldilocks-batch converge next.parquet -c converge-qe.yaml -o studies`

    `goldilocks-batch converge next.parquet -c converge-qe.yaml -o studies --executor slurm --jobs 20`

    `goldilocks-batch converge next.parquet -c converge-qe.yaml -o studies --retry`
    """
    from goldilocks_batch.cli.progress import observer_for
    from goldilocks_batch.convergence.converge import converge as converge_inputs
    from goldilocks_batch.convergence.converge import tabulate

    settings = settings.updated(
        **({"retry": True} if retry else {}), **({} if output is None else {"output": output})
    )
    if tables and (array or retry or dry_run):
        raise typer.BadParameter("--tables calculates nothing: leave out --array, --retry and --dry-run")
    if dry_run:
        from goldilocks_batch.cli.plan import print_plan_of_studies

        print_plan_of_studies(settings, array=array)
        return
    if array:
        from goldilocks_batch.cli.array import print_submitted
        from goldilocks_batch.convergence.array import submit_studies

        print_submitted(settings.run.output, *submit_studies(settings))
        return
    if tables:
        raise end_of_studies(tabulate(settings))
    with observer_for(settings.run.quiet, "converging", "studies") as observer:
        summary = converge_inputs(settings, observer=observer)
    raise end_of_studies(summary)


def end_of_studies(summary: ConvergenceSummary) -> typer.Exit:
    """Print how the studies went; the answer is to be raised."""
    from goldilocks_batch.cli.summary import print_failures
    from goldilocks_batch.cli.tables import console, duration
    from goldilocks_batch.convergence.tables import LABELS, LIMITS, STUDIES

    out, report = console(), summary.report
    nothing = report.failed - summary.limits
    out.print(
        f"{summary.state}: {report.rows:,} of {summary.rows:,} structures: {report.ok:,} labels, "
        f"{summary.limits:,} limits, {nothing:,} without either"
    )
    if summary.computed:
        out.print(f"{summary.computed:,} studies ended in {duration(summary.seconds)}")
    if report.failures:
        out.print("why there is no label:")
        print_failures(out, report.failures)
    if summary.tabled:
        among = "" if summary.tabled == summary.rows else f", {summary.tabled:,} of {summary.rows:,} studies"
        out.print(f"labels, for train{among}: {summary.output / LABELS}")
        out.print(f"labels and limits, for evaluate --at-most{among}: {summary.output / LIMITS}")
        out.print(f"every structure, with the energies of its ladder{among}: {summary.output / STUDIES}")
    else:
        out.print("no study has ended: there are no tables yet")
    if summary.state == "interrupted":
        out.print("run the same command again to go on; finished meshes are kept")
        return typer.Exit(Exit.INTERRUPTED)
    return typer.Exit(Exit.SOME_FAILED if report.failed or report.rows < summary.rows else Exit.OK)
