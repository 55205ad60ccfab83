"""``array``: a run as a plain job array; and ``array-task``, what each of its tasks calls."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import Exit, guarded
from goldilocks_batch.config.run import RunConfig

__all__ = ["array", "array_task", "print_submitted"]


@guarded
@opt.of_run(
    "inputs",
    "output",
    *opt.ASKED,
    *opt.READING,
    "jobs",
    *opt.ALLOWED,
    "gpu_processes",
    "compact_above",
    "overwrite",
    file=True,
)
def array(settings: RunConfig, dry_run: opt.DryRun = False) -> None:
    """Submit a run as a plain SLURM job array, without a Dask cluster; `collect` or `run` completes it.

    **Example**

    `goldilocks-batch array manifest.parquet --config slurm.yaml --jobs 50 -o screening`
    """
    if dry_run:
        from goldilocks_batch.cli.plan import print_plan

        print_plan(settings, array=True)
        return
    from goldilocks_batch.runs.array import submit_array

    print_submitted(settings.output, *submit_array(settings))


def print_submitted(output: Path, job: str, tasks: int) -> None:
    """Tell of a job array, and what is to be done next."""
    from goldilocks_batch.cli.tables import console

    out = console()
    if not job:
        out.print(f"nothing is left to do in {output}")
        return
    out.print(f"job array {job}: {tasks} tasks; logs in {output / 'logs'}")
    out.print(f"goldilocks-batch status {output}   tells how far it is")
    out.print(f"goldilocks-batch collect {output}   completes what is missing when it has ended")


@guarded
def array_task(output: opt.Folder) -> None:
    """One task of a job array; SLURM says which."""
    from goldilocks_batch.cli.progress import observer_for
    from goldilocks_batch.convergence.array import run_study_task
    from goldilocks_batch.results.folder import RunFolder
    from goldilocks_batch.runs.array import run_array_task

    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
    if not all(name in os.environ for name in names):
        typer.secho("error: not a task of a SLURM job array", err=True, fg="red")
        raise typer.Exit(Exit.NOT_RUN)
    number, first, count = (int(os.environ[name]) for name in names)
    run_task = run_study_task if RunFolder.of(output).holds_studies else run_array_task
    with observer_for(quiet=False) as observer:
        report = run_task(output, number - first, count, observer)
    typer.echo(f"{report.rows} rows, {report.failed} failed")
