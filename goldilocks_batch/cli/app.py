"""The command line: every command translates its options into one call of the library.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldilocks_batch.cli import cluster as cluster_commands
from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli import training as training_commands
from goldilocks_batch.cli.configs import app as configs
from goldilocks_batch.cli.exits import Exit, guarded
from goldilocks_batch.cli.models import app as models

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""K-point distances and meshes for whole databases of crystals.

    Reads structures, predicts for each the k-point distance `kdist` (1/Å, with the 2π) that converges its
    total energy, and writes bounds and meshes as Parquet.

    **Examples**

    `goldilocks-batch run structures/ --model baseline`

    `goldilocks-batch run manifest.parquet --artifacts models/ --confidence 0.90 -o screening`

    `goldilocks-batch inspect POSCAR --artifacts models/`

    **Exit codes**: 0 all rows fine; 1 some rows failed; 2 nothing could run; 130 interrupted.
    """,
)

app.add_typer(models, name="models")
app.add_typer(configs, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"goldilocks-batch {version('goldilocks-batch')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """See the help text of the application."""


@app.command()
@guarded
def run(
    inputs: opt.OptionalInputs = None,
    config: opt.Config = None,
    output: opt.Output = None,
    model: opt.Model = None,
    confidence: opt.Confidence = None,
    grid: opt.Grid = None,
    equal_axes: opt.EqualAxes = None,
    single_site: opt.SingleSite = None,
    device: opt.Device = None,
    precision: opt.Precision = None,
    artifacts: opt.Artifacts = None,
    offline: opt.Offline = None,
    registry: opt.Registry = None,
    max_sites: opt.MaxSites = None,
    allow_outside: opt.AllowOutside = None,
    executor: opt.Executor = None,
    workers: opt.Workers = None,
    gpus: opt.Gpus = None,
    jobs: opt.Jobs = None,
    max_jobs: opt.MaxJobs = None,
    cluster: opt.Cluster = None,
    shard_size: opt.ShardSize = None,
    memory_limit: opt.MemoryLimit = None,
    task_timeout: opt.TaskTimeout = None,
    overwrite: opt.Overwrite = None,
    quiet: opt.Quiet = None,
    dry_run: opt.DryRun = False,
) -> None:
    """Screen structures: bounds on kdist and k-point meshes for every one of them.

    The same command resumes a run that was interrupted, and does nothing where all is done.

    **Examples**

    `goldilocks-batch run structures/ more.zip --model baseline -o screening`

    `goldilocks-batch run manifest.parquet --artifacts models/ --workers 8`

    `goldilocks-batch run manifest.parquet --config slurm.yaml --jobs 20 --dry-run`
    """
    from goldilocks_batch.cli.display import observer_for, print_summary
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.runs.run import run as run_config

    settings = load_config(
        config,
        inputs=tuple(inputs) if inputs else None,
        output=output,
        model=model,
        confidence=confidence,
        grid=grid,
        equal_axes=equal_axes,
        single_site=single_site,
        device=device,
        precision=precision,
        artifacts=artifacts,
        offline=offline,
        registry=registry,
        max_sites=max_sites,
        allow_outside=allow_outside,
        executor=executor,
        workers=workers,
        gpus=gpus,
        jobs=jobs,
        max_jobs=max_jobs,
        cluster=cluster,
        shard_size=shard_size,
        memory_limit=memory_limit,
        task_timeout=task_timeout,
        overwrite=overwrite,
        quiet=quiet,
    )
    if dry_run:
        cluster_commands.print_plan(settings)
        return
    with observer_for(settings.quiet) as observer:
        summary = run_config(settings, observer=observer)
    print_summary(summary)
    if summary.state == "interrupted":
        raise typer.Exit(Exit.INTERRUPTED)
    raise typer.Exit(Exit.SOME_FAILED if summary.report.failed else Exit.OK)


@app.command()
@guarded
def featurize(
    inputs: opt.Inputs,
    output: opt.OutputFile,
    artifacts: opt.Artifacts = None,
    offline: opt.Offline = None,
    registry: opt.Registry = None,
    max_sites: opt.MaxSites = None,
    allow_outside: opt.AllowOutside = None,
    executor: opt.Executor = None,
    workers: opt.Workers = None,
    shard_size: opt.ShardSize = None,
    quiet: opt.Quiet = None,
) -> None:
    """Write the 483 features of the forest, one named column each, and a table of failures beside them.

    **Example**

    `goldilocks-batch featurize manifest.parquet -o features.parquet --artifacts models/`
    """
    from goldilocks_batch.cli.display import observer_for, print_table_written
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.runs.featurize import featurize as featurize_inputs

    settings = load_config(
        None,
        inputs=tuple(inputs),
        artifacts=artifacts,
        offline=offline,
        registry=registry,
        max_sites=max_sites,
        allow_outside=allow_outside,
        executor=executor,
        workers=workers,
        shard_size=shard_size,
        quiet=quiet,
    )
    with observer_for(settings.quiet) as observer:
        summary = featurize_inputs(settings, output, observer=observer)
    print_table_written(summary, "features")
    raise typer.Exit(Exit.SOME_FAILED if summary.failed else Exit.OK)


@app.command()
@guarded
def manifest(
    inputs: opt.Inputs,
    output: opt.OutputFile,
    max_sites: opt.MaxSites = None,
    allow_outside: opt.AllowOutside = None,
) -> None:
    """Turn any inputs into one compact manifest: the fast input of `run`.

    Structures that cannot be read are left out and listed in `<output>.failures.parquet`.

    **Example**

    `goldilocks-batch manifest structures/ archive.tar.gz -o manifest.parquet`
    """
    from goldilocks_batch.cli.display import print_table_written
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.runs.manifest import write_manifest
    from goldilocks_batch.structures.sources.sourceset import open_sources

    settings = load_config(None, inputs=tuple(inputs), max_sites=max_sites, allow_outside=allow_outside)
    sources = open_sources(settings.inputs, allow_outside=settings.allow_outside)
    summary = write_manifest(sources, output, max_sites=settings.max_sites)
    print_table_written(summary, "manifest")
    raise typer.Exit(Exit.SOME_FAILED if summary.failed else Exit.OK)


@app.command()
@guarded
def inspect(
    structure: Annotated[Path, typer.Argument(help="One structure file.")],
    model: opt.Model = None,
    confidence: opt.Confidence = None,
    single_site: opt.SingleSite = None,
    artifacts: opt.Artifacts = None,
    offline: opt.Offline = None,
    registry: opt.Registry = None,
) -> None:
    """Show all that is known of one structure: cells, symmetry, feature blocks, bounds, meshes, flags.

    **Examples**

    `goldilocks-batch inspect examples/structures/Si-diamond.cif --model baseline`

    `goldilocks-batch inspect POSCAR --artifacts models/`

    `goldilocks-batch inspect Al.cif --model alignn --single-site supercell --artifacts models/`
    """
    from goldilocks_batch.cli.inspection import print_inspection
    from goldilocks_batch.config.run import load_config

    settings = load_config(
        None,
        inputs=(structure,),
        model=model,
        confidence=confidence,
        single_site=single_site,
        artifacts=artifacts,
        offline=offline,
        registry=registry,
    )
    failed = print_inspection(settings)
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.OK)


@app.command()
def schema() -> None:
    """Print the columns of the result table, with type, unit and meaning, and the flags a row may carry."""
    from goldilocks_batch.cli.display import print_schema

    print_schema()


cluster_commands.mount(app)
training_commands.mount(app)


def main() -> None:
    """Entry point of the ``goldilocks-batch`` command."""
    app(prog_name="goldilocks-batch")


if __name__ == "__main__":
    main()
