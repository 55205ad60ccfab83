"""``train``: a model on labels of one's own."""

from __future__ import annotations

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import guarded
from goldilocks_batch.cli.help import Command, Group
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.training import TrainAlignnConfig, TrainBoostedConfig, TrainConfig

__all__ = ["app"]

#: Options of a run about where features come from.
_FEATURES = (*opt.FILES, "max_sites", *opt.WORKERS, "quiet")

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Train a model on labels of your own; `run --model FOLDER` then screens with it.

    **Example**

    `goldilocks-batch train rf labels.parquet --target k_dist -o model/`
    """,
)


@app.command(cls=Command)
@guarded
@opt.of_run(*_FEATURES)
@opt.of_forest
def rf(
    dataset: opt.Dataset,
    output: opt.ModelFolder,
    options: TrainConfig,
    settings: RunConfig,
    report: opt.TrainingReport = None,
    cache: opt.FeatureCache = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """Train a quantile forest, calibrate its bounds, and judge it on rows that it never saw.

    The same data, options and library versions give the same bytes. Features are kept in a cache, so that an
    interrupted training goes on, and another one on the same structures computes none.

    **Examples**

    `goldilocks-batch train rf labels.parquet --target k_dist -o model/`

    `goldilocks-batch train rf jarvis.parquet --target L --kind kpoint_length -o model/ --report report/`

    `goldilocks-batch train rf cgcnn-folder/ -c train-rf.yaml -o model/ --workers 8`
    """
    from goldilocks_batch.cli.resources import resources_of
    from goldilocks_batch.cli.verdicts import end_of_training
    from goldilocks_batch.training.recipes import train_model

    with resources_of(settings, cache) as resources:
        trained, judged = train_model(dataset, options, output, resources=resources, overwrite=overwrite)
    lines = [f"model: {output}, its card: {output / 'card.md'}"]
    if report is not None:
        lines.append(f"tables, plots and predictions: {report}")
    raise end_of_training(trained, judged, report, output, lines)


@app.command(cls=Command)
@guarded
@opt.of_run("device", *_FEATURES)
@opt.of_networks
def alignn(
    dataset: opt.Dataset,
    output: opt.ModelFolder,
    options: TrainAlignnConfig,
    settings: RunConfig,
    report: opt.TrainingReport = None,
    cache: opt.FeatureCache = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """Train an ensemble of ALIGNN networks, calibrate its bounds, and judge it on rows that it never saw.

    Interrupted or killed, the same command goes on after the last finished epoch.

    **Examples**

    `goldilocks-batch train alignn labels.parquet --target k_dist -o model/ --device cuda`

    `goldilocks-batch train alignn labels.parquet -c train-alignn.yaml -o model/ --epochs 50`
    """
    from goldilocks_batch.cli.progress import observer_for, told
    from goldilocks_batch.cli.resources import resources_of
    from goldilocks_batch.cli.verdicts import end_of_training
    from goldilocks_batch.training.alignn import train_alignn

    with (
        resources_of(settings, cache) as resources,
        observer_for(settings.quiet, "fitting networks", "epochs") as epochs,
    ):
        trained, judged = train_alignn(
            dataset,
            options,
            output,
            resources=resources,
            device=settings.device,
            progress=told(epochs),
            overwrite=overwrite,
        )
    lines = [f"{trained.record.trainer['epochs']} epochs; model: {output}"]
    raise end_of_training(trained, judged, report, output, lines)


@app.command(cls=Command)
@guarded
@opt.of_run(*_FEATURES)
@opt.of_boosted
def boosted(
    dataset: opt.BoostedDataset,
    output: opt.ModelFolder,
    options: TrainBoostedConfig,
    settings: RunConfig,
    cache: opt.FeatureCache = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """Train boosted trees on labels at one tolerance or several, calibrate their bounds, and judge them.

    The configuration says which column holds the labels of which tolerance: `columns: {1: k_dist_1mev}`.

    **Examples**

    `goldilocks-batch train boosted labels.parquet -c train-mc3d.yaml --structures mc3d.parquet -o model/`
    """
    from goldilocks_batch.cli.resources import resources_of
    from goldilocks_batch.training.boosted import train_boosted
    from goldilocks_batch.training.tolerances import tables

    with resources_of(settings, cache) as resources:
        _, judged = train_boosted(dataset, options, output, resources=resources, overwrite=overwrite)
    typer.echo(
        f"{judged['title']}\n\n{tables(judged['figures'])}\nmodel: {output}, its card: {output / 'card.md'}"
    )
