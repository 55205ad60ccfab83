"""The command line: every command translates its options into one call of the library.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from goldilocks_batch.cli import clusters, configs, models, training
from goldilocks_batch.cli.array import array, array_task
from goldilocks_batch.cli.calibrate import calibrate
from goldilocks_batch.cli.collect import collect
from goldilocks_batch.cli.compact import compact
from goldilocks_batch.cli.converge import converge
from goldilocks_batch.cli.doctor import doctor
from goldilocks_batch.cli.evaluate import evaluate
from goldilocks_batch.cli.export import export
from goldilocks_batch.cli.featurize import featurize
from goldilocks_batch.cli.fetch import FetchCommand, fetch
from goldilocks_batch.cli.help import Command
from goldilocks_batch.cli.inspect import inspect
from goldilocks_batch.cli.manifest import manifest
from goldilocks_batch.cli.report import report
from goldilocks_batch.cli.run import run
from goldilocks_batch.cli.schema import schema
from goldilocks_batch.cli.show import show
from goldilocks_batch.cli.status import status
from goldilocks_batch.cli.suggest import suggest
from goldilocks_batch.cli.usage import Commands
from goldilocks_batch.cli.warmup import warmup

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""K-point distances and meshes for whole databases of crystals.

    Reads structures, predicts for each the k-point distance `kdist` (1/Å, with the 2π) that converges its
    total energy, and writes bounds and meshes as Parquet.

    **Examples**

    `goldilocks-batch run structures/ --model mc3d`

    `goldilocks-batch run manifest.parquet --artifacts models/ --confidence 0.90 -o screening`

    `goldilocks-batch inspect POSCAR --artifacts models/`

    **Exit codes**: 0 all rows fine; 1 some rows failed; 2 nothing could run; 130 interrupted.
    """,
)

_SCREENING = "Screening"
_CLUSTERS = "Runs on clusters"
_OWN_MODELS = "Models of one's own"
_HERE = "What is here"

app.command(cls=FetchCommand, rich_help_panel=_SCREENING)(fetch)
for _command in (run, show, export, report, inspect, featurize, manifest):
    app.command(cls=Command, rich_help_panel=_SCREENING)(_command)
for _command in (status, collect, array, compact):
    app.command(cls=Command, rich_help_panel=_CLUSTERS)(_command)
app.command("array-task", cls=Command, hidden=True)(array_task)
app.add_typer(clusters.app, name="cluster", rich_help_panel=_CLUSTERS)
app.add_typer(training.app, name="train", rich_help_panel=_OWN_MODELS)
for _command in (calibrate, converge, evaluate, suggest):
    app.command(cls=Command, rich_help_panel=_OWN_MODELS)(_command)
app.add_typer(models.app, name="models", rich_help_panel=_HERE)
app.add_typer(configs.app, name="config", rich_help_panel=_HERE)
for _command in (doctor, warmup, schema):
    app.command(cls=Command, rich_help_panel=_HERE)(_command)


def _version(wanted: bool) -> None:
    if wanted:
        from goldilocks_batch import __version__

        typer.echo(f"goldilocks-batch {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """See the help text of the application."""


def main() -> None:
    """Entry point of the ``goldilocks-batch`` command."""
    app(prog_name="goldilocks-batch")


if __name__ == "__main__":
    main()
