"""``run``: screen structures."""

from __future__ import annotations

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.config.run import RunConfig

__all__ = ["run"]


@guarded
@opt.of_run(
    "inputs",
    "output",
    *opt.ASKED,
    *opt.READING,
    *opt.WORKERS,
    "gpus",
    "gpu_processes",
    "compact_above",
    "overwrite",
    "quiet",
    file=True,
)
def run(settings: RunConfig, dry_run: opt.DryRun = False, report: opt.Report = False) -> None:
    """Screen structures: bounds on kdist and k-point meshes for every one of them.

    The same command resumes a run that was interrupted, and does nothing where all is done.

    **Examples**

    `goldilocks-batch run structures/ more.zip --tolerance 3 -o screening`

    `goldilocks-batch run manifest.parquet --artifacts models/ --workers 8 --report`

    `goldilocks-batch run manifest.parquet --config slurm.yaml --jobs 20 --dry-run`
    """
    if dry_run:
        from goldilocks_batch.cli.plan import print_plan

        print_plan(settings)
        return
    from goldilocks_batch.cli.progress import observer_for
    from goldilocks_batch.cli.summary import end_of_run
    from goldilocks_batch.runs.run import run as run_config

    _say_who_answers(settings)
    with observer_for(settings.quiet) as observer:
        summary = run_config(settings, observer=observer)
    end = end_of_run(summary)
    if report and summary.state == "completed":
        from goldilocks_batch.cli.report import print_report

        print_report(settings.output)
    raise end


def _say_who_answers(settings: RunConfig) -> None:
    """Where nobody named a model: which one it is, and how to have the published one."""
    if "model" not in settings.model_fields_set and settings.inputs and not settings.quiet:
        typer.echo(
            f"model: {settings.model}, in the package, nothing is fetched; --model rf is the published "
            "forest, fetched once"
        )
