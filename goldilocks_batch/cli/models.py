"""``models``: the files of the published models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import Exit, guarded
from goldilocks_batch.cli.help import Command, Group
from goldilocks_batch.config.run import RunConfig

__all__ = ["app"]

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Fetch, check and convert the files of the published models.

    Files are kept in the project's cache: the folder `GOLDILOCKS_CACHE` names, or `goldilocks-batch` in the
    user's cache folder. A copy of it serves any other machine through `--artifacts`.

    **Examples**

    `goldilocks-batch models list`

    `goldilocks-batch models pull rf`
    """,
)


@app.command(name="list", cls=Command)
@guarded
@opt.of_run("artifacts", "registry")
def list_models(settings: RunConfig) -> None:
    """List all models: what they need, where it is, whether it is what it should be.

    **Example**

    `goldilocks-batch models list --artifacts models/`
    """
    from goldilocks_batch.artifacts.inventory import statuses
    from goldilocks_batch.artifacts.pull import places_for
    from goldilocks_batch.artifacts.registry import load_registry
    from goldilocks_batch.cli.model_tables import print_statuses

    places = places_for(settings.artifacts, offline=True)
    print_statuses(statuses(load_registry(settings.registry), places), places.folders)


@app.command(cls=Command)
@guarded
@opt.of_run("registry")
def pull(
    model: opt.ModelOrAll, settings: RunConfig, confidence: opt.Confidences = None, to: opt.To = None
) -> None:
    """Fetch a model's files; what is there already is left alone, what was interrupted goes on.

    **Examples**

    `goldilocks-batch models pull rf --confidence 0.95`

    `goldilocks-batch models pull psdi:4050a-aas85`   a record of goldilocks-ml's on PSDI, then
    `run --model psdi:4050a-aas85`

    `goldilocks-batch models pull all --to models/`   for a machine without internet: copy the folder there,
    `run --artifacts models/`
    """
    from goldilocks_batch.artifacts.inventory import entries_of, levels_of
    from goldilocks_batch.artifacts.psdi import fetch_record, is_record
    from goldilocks_batch.artifacts.pull import Fetcher
    from goldilocks_batch.artifacts.registry import load_registry
    from goldilocks_batch.artifacts.resolve import advice
    from goldilocks_batch.artifacts.trained import trained_folder
    from goldilocks_batch.core.errors import ErrorCode, ModelError

    known = load_registry(settings.registry)
    if model != "all" and trained_folder(model, known) is not None:
        typer.echo(
            f"{model} has all its files: nothing to fetch but the metallicity network where its features "
            "take that, by 'models pull rf'"
        )
        return
    fetch = Fetcher(to or _cache())
    if is_record(model):
        typer.echo(f"model: {fetch_record(model, fetch, fetch.folder)}")
        return
    for name in sorted(known.models) if model == "all" else [model]:
        for entry in entries_of(known, name, levels_of(known, name, confidence or ())):
            try:
                fetch(entry)
            except ModelError as error:
                if error.code != ErrorCode.ARTIFACT_MISSING:
                    raise
                raise ModelError(error.code, f"{error.message}. {advice(name)}") from error
    typer.echo(f"model files: {fetch.folder}")


@app.command(cls=Command)
@guarded
@opt.of_run("artifacts", "registry")
def verify(
    settings: RunConfig, model: opt.OptionalModelName = None, confidence: opt.Confidences = None
) -> None:
    """Digest all files again and compare with the registry and the lock files.

    Exit code 0: all that is here is right, and so is every file of a model that is named; 1: it is not.
    Nothing is fetched.

    **Example**

    `goldilocks-batch models verify rf --artifacts models/`
    """
    from goldilocks_batch.artifacts.inventory import (
        State,
        levels_of,
        status_of,
        status_of_folder,
        status_of_record,
        statuses,
        wrong_conversions,
    )
    from goldilocks_batch.artifacts.psdi import is_record
    from goldilocks_batch.artifacts.pull import places_for
    from goldilocks_batch.artifacts.registry import load_registry
    from goldilocks_batch.artifacts.trained import trained_folder
    from goldilocks_batch.cli.model_tables import print_statuses

    known, places = load_registry(settings.registry), places_for(settings.artifacts, offline=True)
    folder = None if model is None else trained_folder(model, known)
    if model is None:
        found = list(statuses(known, places))
    elif is_record(model):
        found = [status_of_record(model, known, places)]
    elif folder is not None:
        found = [status_of_folder(model, folder, known, places)]
    else:
        found = [status_of(known, model, c, places) for c in levels_of(known, model, confidence or ())]
    print_statuses(found, places.folders)
    bad = {State.REFUSED} if model is None else {State.REFUSED, State.MISSING}
    wrong = [status.reason for status in found if status.state in bad]
    if folder is None and not (model and is_record(model)):
        wrong += wrong_conversions(places).values()
    for reason in dict.fromkeys(wrong):
        typer.secho(f"wrong: {reason}", err=True, fg="red")
    raise typer.Exit(Exit.SOME_FAILED if wrong else Exit.OK)


@app.command(cls=Command)
@guarded
@opt.of_run(*opt.FILES)
def show(model: opt.ModelName, settings: RunConfig) -> None:
    """Show what is known of a model: levels, corrections and their origin, domain, licence, files.

    Only a record of PSDI that is not here is asked for: its description, which is small.

    **Examples**

    `goldilocks-batch models show rf`

    `goldilocks-batch models show mc3d`

    `goldilocks-batch models show psdi:4050a-aas85`
    """
    from goldilocks_batch.artifacts.psdi import described_record
    from goldilocks_batch.artifacts.pull import places_for
    from goldilocks_batch.artifacts.registry import load_registry
    from goldilocks_batch.artifacts.trained import trained_folder
    from goldilocks_batch.cli.model_tables import print_model, print_trained

    known = load_registry(settings.registry)
    places = places_for(settings.artifacts, offline=settings.offline)
    folder = trained_folder(model, known) or described_record(model, places)
    if folder is not None:
        print_trained(folder)
    else:
        print_model(known, model, replace(places, fetch=None))


@app.command(cls=Command)
@guarded
@opt.of_run(*opt.FILES)
def convert(
    settings: RunConfig,
    model: opt.ModelName = "rf",
    confidence: opt.Confidences = None,
    to: opt.To = None,
) -> None:
    """Turn a published forest's pickle into arrays and records, which load faster; `run` does so by itself.

    **Example**

    `goldilocks-batch models convert rf --confidence 0.95 --artifacts models/ --to models/`
    """
    from goldilocks_batch.artifacts.inventory import levels_of
    from goldilocks_batch.artifacts.pull import places_for
    from goldilocks_batch.artifacts.registry import load_registry
    from goldilocks_batch.artifacts.trained import trained_folder
    from goldilocks_batch.models.convert import convert_levels

    known = load_registry(settings.registry)
    places = places_for(settings.artifacts, offline=settings.offline)
    if trained_folder(model, known) is not None:
        typer.echo(f"{model} is arrays and records already: nothing to convert")
        return
    levels = levels_of(known, model, confidence or ())
    for level, before, after in convert_levels(known, model, levels, places, to or _cache()):
        sizes = f"{before.stamp[0] / 1e6:,.1f} MB to {after.stamp[0] / 1e6:,.1f} MB"
        typer.echo(f"{model} {level:.2f}: {sizes}, {after.path.parent}")


def _cache() -> Path:
    from goldilocks_batch.core.places import cache_folder

    return cache_folder()
