"""Commands about clusters and about runs that are spread over them."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import Exit, guarded

if TYPE_CHECKING:
    from goldilocks_batch.config.run import RunConfig

__all__ = ["mount", "print_plan"]

Folder = Annotated[Path, typer.Argument(help="Output folder of a run.")]

cluster_app = typer.Typer(no_args_is_help=True, help="Configurations for the cluster at hand.")


def mount(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(cluster_app, name="cluster")
    for command in (array, collect, status, compact, doctor):
        app.command()(command)
    app.command("array-task", hidden=True)(array_task)


@guarded
def array(
    inputs: opt.OptionalInputs = None,
    config: opt.Config = None,
    output: opt.Output = None,
    model: opt.Model = None,
    confidence: opt.Confidence = None,
    artifacts: opt.Artifacts = None,
    jobs: opt.Jobs = None,
    shard_size: opt.ShardSize = None,
    overwrite: opt.Overwrite = None,
    dry_run: opt.DryRun = False,
) -> None:
    """Submit a run as a plain SLURM job array, without a Dask cluster; `collect` or `run` completes it.

    **Example**

    `goldilocks-batch array manifest.parquet --config slurm.yaml --jobs 50 -o screening`
    """
    from goldilocks_batch.cli.display import console
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.runs.array import submit_array

    settings = load_config(
        config,
        inputs=tuple(inputs) if inputs else None,
        output=output,
        model=model,
        confidence=confidence,
        artifacts=artifacts,
        jobs=jobs,
        shard_size=shard_size,
        overwrite=overwrite,
    )
    if dry_run:
        print_plan(settings, array=True)
        return
    job, tasks = submit_array(settings)
    out = console()
    if not job:
        out.print(f"nothing is left to do in {settings.output}")
        return
    out.print(f"job array {job}: {tasks} tasks; logs in {settings.output / 'logs'}")
    out.print(f"goldilocks-batch status {settings.output}   tells how far it is")
    out.print(f"goldilocks-batch collect {settings.output}   completes what is missing when it has ended")


@guarded
def array_task(output: Folder) -> None:
    """One task of a job array; SLURM says which."""
    from goldilocks_batch.cli.display import observer_for
    from goldilocks_batch.runs.array import run_array_task

    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
    if not all(name in os.environ for name in names):
        typer.secho("error: not a task of a SLURM job array", err=True, fg="red")
        raise typer.Exit(Exit.NOT_RUN)
    number, first, count = (int(os.environ[name]) for name in names)
    with observer_for(quiet=False) as observer:
        report = run_array_task(output, number - first, count, observer)
    typer.echo(f"{report.rows} rows, {report.failed} failed")


@guarded
def collect(
    output: Folder, executor: opt.Executor = "local", workers: opt.Workers = None, quiet: opt.Quiet = None
) -> None:
    """Complete a run with the configuration kept in its folder, on this machine unless told otherwise.

    **Example**

    `goldilocks-batch collect screening`
    """
    from goldilocks_batch.cli.display import observer_for, print_summary
    from goldilocks_batch.runs.array import recorded_config
    from goldilocks_batch.runs.run import run

    changes = {"executor": executor, "workers": workers, "quiet": quiet, "cluster": None}
    kept = {name: value for name, value in changes.items() if value is not None or name == "cluster"}
    settings = recorded_config(output).updated(**kept)
    with observer_for(settings.quiet) as observer:
        summary = run(settings, observer=observer)
    print_summary(summary)
    if summary.state == "interrupted":
        raise typer.Exit(Exit.INTERRUPTED)
    raise typer.Exit(Exit.SOME_FAILED if summary.report.failed else Exit.OK)


@guarded
def status(output: Folder) -> None:
    """Tell from the files alone how far a run is, what failed, and how fast it goes.

    **Example**

    `goldilocks-batch status screening`
    """
    from goldilocks_batch.cli.display import console, duration
    from goldilocks_batch.results.status import status_of

    found, out = status_of(output), console()
    done = found.report.rows
    out.print(f"{found.state}: {done:,} of {found.rows:,} rows ({done / max(found.rows, 1):.1%})")
    out.print(f"{found.report.ok:,} ok, {found.report.failed:,} failed, {found.parts:,} result files")
    for code, count in found.report.failures.most_common():
        out.print(f"  {count:>8,}  {code}")
    if found.untrusted:
        out.print(f"{found.untrusted:,} files are damaged or double; the next attempt replaces them")
    if found.silence is not None and found.missing:
        out.print(f"no result for {duration(found.silence)}")
    elif found.newest is not None and found.missing:
        ago = duration(time.time() - found.newest)
        pace = f"{found.rate:,.1f} rows/s lately" if found.rate else "no rate yet"
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
        out.print(f"to go on{ended}: {again}", markup=False)
    raise typer.Exit(Exit.SOME_FAILED if found.missing or found.report.failed else Exit.OK)


@guarded
def compact(output: Folder) -> None:
    """Write few large result files in place of many small ones; results and resuming stay the same.

    **Example**

    `goldilocks-batch compact screening`
    """
    from goldilocks_batch.cli.display import console
    from goldilocks_batch.results.compact import compact as compact_output

    before, after = compact_output(output)
    console().print(f"{before:,} result files before, {after:,} now")


@guarded
def doctor(
    config: opt.Config = None,
    output: opt.Output = None,
    model: opt.Model = None,
    artifacts: opt.Artifacts = None,
    offline: opt.Offline = None,
    registry: opt.Registry = None,
) -> None:
    """Check the environment: versions, model files, folders, locks, scheduler, GPUs; say what to do.

    **Examples**

    `goldilocks-batch doctor --config slurm.yaml`

    `goldilocks-batch doctor --model alignn --artifacts models/`
    """
    from goldilocks_batch.cli.display import console
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.runs.doctor import examine

    settings = load_config(
        config, output=output, model=model, artifacts=artifacts, offline=offline, registry=registry
    )
    findings, out = examine(settings), console()
    for finding in findings:
        out.print(f"{finding.state:<8} {finding.subject}: {finding.text}", markup=False)
    raise typer.Exit(Exit.NOT_RUN if any(f.state == "problem" for f in findings) else Exit.OK)


@cluster_app.command()
@guarded
def init(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("slurm.yaml"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Ask SLURM for its partitions and accounts, and write a configuration with them.

    **Example**

    `goldilocks-batch cluster init -o slurm.yaml`
    """
    from goldilocks_batch.cli.display import console
    from goldilocks_batch.core.errors import ConfigError, ErrorCode
    from goldilocks_batch.runs.doctor import site_configuration

    if output.exists() and not overwrite:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"{output} exists; choose another --output or --overwrite"
        )
    output.write_text(site_configuration(), encoding="utf-8")
    console().print(f"{output} written; look through it, then: goldilocks-batch doctor --config {output}")


def print_plan(config: RunConfig, *, array: bool = False) -> None:
    """What a run would do, and the job scripts it would submit."""
    from goldilocks_batch.cli.display import console
    from goldilocks_batch.runs.dry_run import check_array, check_kinds, plan, scripts

    if array or config.submits_jobs:
        check_kinds(config)
    planned, out = plan(config, array=array), console()
    if array:
        check_array(sum(planned.jobs.values()))
    source = "measured in this run" if planned.measured else "typical of the model"
    out.print(f"{planned.rows:,} rows, {planned.left:,} to do in {planned.shards:,} shards")
    out.print(
        f"about {planned.core_hours:,.2f} core-hours at {1000 * planned.core_seconds:,.1f} ms a structure "
        f"({source})"
    )
    if planned.fetches:
        out.print(f"to be fetched into the cache first: {', '.join(planned.fetches)}")
    for name, script in scripts(config, planned.jobs, array=array).items():
        out.print(f"\n--- {name} ---")
        out.print(script, markup=False, soft_wrap=True)
