"""``train``, ``calibrate``, ``evaluate``, ``suggest``: commands around a model of one's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.exits import Exit, guarded

if TYPE_CHECKING:
    from goldilocks_batch.config.run import RunConfig
    from goldilocks_batch.config.training import Target
    from goldilocks_batch.models.trained import Trained
    from goldilocks_batch.runs.run import Observer
    from goldilocks_batch.training.judged import Judged
    from goldilocks_batch.training.resources import Progress, Resources

_Remarks = Annotated[
    list[str] | None,
    typer.Option("--remark", help="A sentence that a run with the model shows; may be repeated."),
]

__all__ = ["mount", "resources_of", "target_of", "train_app"]

train_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Train a model on labels of your own; `run --model FOLDER` then screens with it.

    **Example**

    `goldilocks-batch train rf labels.parquet --target k_dist -o model/`
    """,
)


@train_app.command()
@guarded
def rf(
    dataset: opt.Dataset,
    output: opt.ModelFolder,
    config: opt.TrainingConfig = None,
    target: opt.TargetColumn = None,
    kind: opt.TargetKind = None,
    features: opt.FeatureSchema = None,
    name: opt.ModelName = None,
    remark: _Remarks = None,
    test_share: opt.TestShare = None,
    seed: opt.Seed = None,
    report: opt.TrainingReport = None,
    cache: opt.FeatureCache = None,
    artifacts: opt.Artifacts = None,
    offline: opt.Offline = None,
    registry: opt.Registry = None,
    max_sites: opt.MaxSites = None,
    executor: opt.Executor = None,
    workers: opt.Workers = None,
    cluster: opt.Cluster = None,
    shard_size: opt.ShardSize = None,
    memory_limit: opt.MemoryLimit = None,
    overwrite: opt.ReplaceModel = False,
    quiet: opt.Quiet = None,
) -> None:
    """Train a quantile forest, calibrate its bounds, and judge it on rows that it never saw.

    The same data, options and library versions give the same bytes. Features are kept in a cache, so that an
    interrupted training goes on, and another one on the same structures computes none.

    **Examples**

    `goldilocks-batch train rf labels.parquet --target k_dist -o model/`

    `goldilocks-batch train rf jarvis.parquet --target L --kind kpoint_length -o model/ --report report/`

    `goldilocks-batch train rf cgcnn-folder/ -c train-rf.yaml -o model/ --workers 8`
    """
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.config.training import load_train_config
    from goldilocks_batch.training.recipes import train_model

    options = load_train_config(
        config,
        target={"column": target, "kind": kind},
        feature_schema=features,
        test_share=test_share,
        seed=seed,
        remarks=tuple(remark) if remark else None,
    )
    options = options.renamed(name, remark or (() if options.describes else options.remarks))
    settings = load_config(
        None,
        artifacts=artifacts,
        offline=offline,
        registry=registry,
        max_sites=max_sites,
        executor=executor,
        workers=workers,
        cluster=cluster,
        shard_size=shard_size,
        memory_limit=memory_limit,
        quiet=quiet,
    )
    with resources_of(settings, cache) as resources:
        trained, judged = train_model(dataset, options, output, resources=resources, overwrite=overwrite)
    lines = [f"model: {output}, its card: {output / 'card.md'}"]
    if report is not None:
        lines.append(f"tables, plots and predictions: {report}")
    _end_training(trained, judged, report, output, lines)


@train_app.command()
@guarded
def alignn(
    dataset: opt.Dataset,
    output: opt.ModelFolder,
    config: opt.TrainingConfig = None,
    target: opt.TargetColumn = None,
    kind: opt.TargetKind = None,
    features: opt.FeatureSchema = None,
    name: opt.ModelName = None,
    epochs: opt.Epochs = None,
    seed: opt.Seed = None,
    device: opt.Device = None,
    report: opt.TrainingReport = None,
    cache: opt.FeatureCache = None,
    artifacts: opt.Artifacts = None,
    registry: opt.Registry = None,
    max_sites: opt.MaxSites = None,
    executor: opt.Executor = None,
    workers: opt.Workers = None,
    overwrite: opt.ReplaceModel = False,
    quiet: opt.Quiet = None,
) -> None:
    """Train an ensemble of ALIGNN networks, calibrate its bounds, and judge it on rows that it never saw.

    Interrupted or killed, the same command goes on after the last finished epoch.

    **Examples**

    `goldilocks-batch train alignn labels.parquet --target k_dist -o model/ --device cuda`

    `goldilocks-batch train alignn labels.parquet -c train-alignn.yaml -o model/ --epochs 50`
    """
    from goldilocks_batch.cli.display import observer_for
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.config.training import load_train_alignn_config
    from goldilocks_batch.training.alignn import train_alignn

    options = load_train_alignn_config(
        config,
        target={"column": target, "kind": kind},
        feature_schema=features,
        name=name,
        fit={"epochs": epochs},
        seed=seed,
    )
    settings = load_config(
        None,
        artifacts=artifacts,
        registry=registry,
        max_sites=max_sites,
        executor=executor,
        workers=workers,
        device=device,
        quiet=quiet,
    )
    with (
        resources_of(settings, cache) as resources,
        observer_for(settings.quiet, "fitting networks", "epochs") as epochs_observer,
    ):
        trained, judged = train_alignn(
            dataset,
            options,
            output,
            resources=resources,
            device=settings.device,
            progress=_told(epochs_observer),
            overwrite=overwrite,
        )
    lines = [f"{trained.record.trainer['epochs']} epochs; model: {output}"]
    _end_training(trained, judged, report, output, lines)


@guarded
def calibrate(
    model: opt.TrainedModel,
    dataset: opt.Dataset,
    output: opt.ModelFolder,
    target: opt.TargetColumn = None,
    kind: opt.TargetKind = None,
    cache: opt.FeatureCache = None,
    artifacts: opt.Artifacts = None,
    offline: opt.Offline = None,
    registry: opt.Registry = None,
    max_sites: opt.MaxSites = None,
    executor: opt.Executor = None,
    workers: opt.Workers = None,
    shard_size: opt.ShardSize = None,
    overwrite: opt.ReplaceModel = False,
    quiet: opt.Quiet = None,
) -> None:
    """Calibrate a trained model anew, on labels of your own that it was not trained on.

    The forest stays; its bounds are moved so that they hold as often as they promise for such structures.

    **Example**

    `goldilocks-batch calibrate starter labels.parquet --target k_dist -o calibrated/`
    """
    from goldilocks_batch.cli.display import console
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.training.card import margin_table
    from goldilocks_batch.training.recipes import calibrate_model

    settings = load_config(
        None,
        artifacts=artifacts,
        offline=offline,
        registry=registry,
        max_sites=max_sites,
        executor=executor,
        workers=workers,
        shard_size=shard_size,
        quiet=quiet,
    )
    with resources_of(settings, cache) as resources:
        made = calibrate_model(
            model, dataset, target_of(target, kind), output, resources=resources, overwrite=overwrite
        )
    calibration, out = made.record.calibration, console()
    labels = calibration.dataset or {}
    out.print(f"calibrated on {calibration.rows:,} labels. {calibration.guarantee}")
    if labels["known_compositions"]:
        out.print(
            f"{labels['known_compositions']:,} of their structures share their composition with the training "
            "set: expect somewhat less coverage for new compositions"
        )
    _print_markdown(margin_table(made.record))
    out.print(f"model: {output}")
    _end(labels["left_out"], output)


@guarded
def evaluate(
    model: Annotated[
        Path, typer.Argument(help="Folder of a trained model, starter, or a published one: rf, alignn.")
    ],
    dataset: opt.Dataset,
    output: opt.ReportFolder,
    target: opt.TargetColumn = None,
    kind: opt.TargetKind = None,
    at_most: opt.AtMost = None,
    confidence: opt.JudgedConfidences = None,
    cache: opt.FeatureCache = None,
    artifacts: opt.Artifacts = None,
    offline: opt.Offline = None,
    registry: opt.Registry = None,
    max_sites: opt.MaxSites = None,
    executor: opt.Executor = None,
    workers: opt.Workers = None,
    shard_size: opt.ShardSize = None,
    quiet: opt.Quiet = None,
) -> None:
    """Judge a model on labels that it never saw: errors, coverage, width, and k-points spent.

    Writes tables (Markdown and JSON), plots (PNG) and every row's bounds (Parquet).

    **Examples**

    `goldilocks-batch evaluate model/ labels.parquet --target k_dist -o report/`

    `goldilocks-batch evaluate rf labels.parquet --artifacts models/ -o report/`

    `goldilocks-batch evaluate starter studies.parquet --at-most k_dist_at_most -o report/`
    """
    from goldilocks_batch.artifacts.inventory import levels_of
    from goldilocks_batch.artifacts.registry import load_registry
    from goldilocks_batch.cli.display import console
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.runs.attempt import found_model
    from goldilocks_batch.training.card import report as tables
    from goldilocks_batch.training.published import evaluate_published
    from goldilocks_batch.training.recipes import evaluate_model
    from goldilocks_batch.training.train import CONFIDENCES

    settings = load_config(
        None,
        artifacts=artifacts,
        offline=offline,
        registry=registry,
        max_sites=max_sites,
        executor=executor,
        workers=workers,
        shard_size=shard_size,
        quiet=quiet,
    )
    labels, known = target_of(target, kind, at_most), load_registry(registry)
    with resources_of(settings, cache) as resources:
        if str(model) in known.models and not model.is_dir():
            levels = levels_of(known, str(model)) if confidence is None else confidence
            published = [found_model(settings.updated(model=str(model), confidence=c).choice) for c in levels]
            judged = evaluate_published(published, dataset, labels, output, resources=resources)
        else:
            judged = evaluate_model(
                model,
                dataset,
                labels,
                output,
                confidences=confidence or CONFIDENCES,
                resources=resources,
            )
    _print_markdown(tables(judged.evaluation, remarks=judged.remarks))
    console().print(f"tables, plots and predictions: {output}")
    _end(judged.dataset.left_out, output)


@guarded
def suggest(
    results: Annotated[Path, typer.Argument(help="Output folder of a finished run.")],
    output: opt.OutputFile = Path("next.parquet"),
    number: Annotated[int, typer.Option("--number", "-n", help="How many structures.")] = 200,
    training: Annotated[
        Path | None,
        typer.Option(help="The structures with labels already; what is like them is worth less."),
    ] = None,
    features: opt.FeatureSchema = None,
    cache: opt.FeatureCache = None,
    artifacts: opt.Artifacts = None,
    offline: opt.Offline = None,
    registry: opt.Registry = None,
    executor: opt.Executor = None,
    workers: opt.Workers = None,
    quiet: opt.Quiet = None,
) -> None:
    """Pick the structures of a run that are most worth labelling next, as a manifest, best first.

    What counts is the width of the predicted interval, the distance from the training set, and diversity.

    **Examples**

    `goldilocks-batch suggest screening/ -n 200 -o next.parquet`

    `goldilocks-batch suggest screening/ -n 200 --training labels.parquet`
    """
    from goldilocks_batch.cli.display import console
    from goldilocks_batch.config.run import load_config
    from goldilocks_batch.training.suggest import suggest_next

    settings = load_config(
        None,
        artifacts=artifacts,
        offline=offline,
        registry=registry,
        executor=executor,
        workers=workers,
        quiet=quiet,
    )
    with resources_of(settings, cache) as resources:
        count = suggest_next(
            results,
            number,
            output,
            training=training,
            schema=features,
            resources=resources,
        )
    out = console()
    out.print(f"{count:,} structures, best first, in {output}")
    if training is None:
        out.print("chosen by interval and diversity alone: name the labels that there are with --training")


def mount(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(train_app, name="train")
    for command in (calibrate, evaluate, suggest):
        app.command()(command)


def target_of(column: str | None, kind: str | None, at_most: str | None = None) -> Target:
    """The target that flags describe.

    Raises:
        ConfigError: CONFIG_INVALID, the kind is not known.
    """
    from goldilocks_batch.config.checking import checked
    from goldilocks_batch.config.training import Target

    given = {"column": column, "kind": kind, "at_most": at_most}
    return Target(**checked(Target, {key: value for key, value in given.items() if value is not None}))


@contextlib.contextmanager
def resources_of(settings: RunConfig, cache: Path | None) -> Iterator[Resources]:
    """How features are had, with their progress and that of the forests on the terminal."""
    from goldilocks_batch.cli.display import observer_for
    from goldilocks_batch.training.executed import default_cache, resources_for

    with (
        observer_for(settings.quiet, "computing features", "structures") as features,
        observer_for(settings.quiet, "growing forests", "forests") as forests,
    ):
        yield resources_for(settings, cache or default_cache(), features, progress=_told(forests))


def _told(observer: Observer) -> Progress:
    """An observer of parts as one of forests or epochs."""
    from goldilocks_batch.results.report import Report

    begun = False

    def progress(done: int, total: int) -> None:
        nonlocal begun
        if begun:
            observer.advanced(Report(1, 1))
        else:
            observer.started(total, done, None)
            begun = True

    return progress


def _end_training(
    trained: Trained, judged: Judged, report: Path | None, output: Path, lines: Sequence[str]
) -> None:
    """Write the report of a training, print its tables, say where the model is, and end."""
    from goldilocks_batch.cli.display import console
    from goldilocks_batch.training.card import report as tables
    from goldilocks_batch.training.judged import write_judged

    if report is not None:
        write_judged(judged, report)
    out = console()
    out.print(trained.record.evaluation["kind"], style="bold")
    _print_markdown(tables(judged.evaluation))
    for line in lines:
        out.print(line)
    out.print(f"screen with it: goldilocks-batch run STRUCTURES --model {output}")
    _end(judged.dataset.left_out, output)


def _print_markdown(text: str) -> None:
    """Drawn on a terminal, as it is elsewhere."""
    from rich.markdown import Markdown

    from goldilocks_batch.cli.display import console

    out = console()
    if out.is_terminal:
        out.print(Markdown(text))
    else:
        typer.echo(text)


def _end(left_out: Mapping[str, int], folder: Path) -> None:
    """Say which structures had no features, and leave with the exit code."""
    from goldilocks_batch.cli.display import console

    if not left_out:
        raise typer.Exit(Exit.OK)
    out = console()
    out.print(f"structures left out, without features: {sum(left_out.values()):,}")
    for code, count in left_out.items():
        out.print(f"  {count:>8,}  {code}")
    out.print(f"they are listed in {folder / 'failures.parquet'}")
    raise typer.Exit(Exit.SOME_FAILED)
