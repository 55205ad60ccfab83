"""Which options commands take, and the flags that belong to no configuration; each defined once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from goldilocks_batch.cli.completion import complete_model
from goldilocks_batch.cli.logs import hush
from goldilocks_batch.cli.taking import takes
from goldilocks_batch.config.flags import MESSAGES, MODEL, WORK
from goldilocks_batch.config.run import RunConfig, load_config
from goldilocks_batch.config.training import (
    Target,
    TrainAlignnConfig,
    TrainBoostedConfig,
    TrainConfig,
    load_train_alignn_config,
    load_train_boosted_config,
    load_train_config,
)

__all__: list[str] = []

#: A command; decorators change what it takes.
Command = Callable[..., Any]

#: Where model files are had.
FILES = ("artifacts", "offline", "registry")
#: What is asked of which model.
ASKED = (
    "model",
    "confidence",
    "tolerance",
    "grid",
    "equal_axes",
    "symprec",
    "single_site",
    "max_sites",
    "allow_missing_hydrogens",
    "device",
    *FILES,
)
#: How inputs are read.
READING = ("allow_outside", "dialect", "id_column", "strict_ids")
#: Jobs of a scheduler.
JOBS = ("jobs", "max_jobs")
#: What one process, wherever it is, is allowed.
ALLOWED = ("shard_size", "memory_limit", "task_timeout")
#: Workers that do shards, of any kind.
WORKERS = ("executor", "workers", *JOBS, "cluster", "plain_tcp", *ALLOWED, "dashboard")

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file with any of these options; flags override it."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print the plan and the job scripts; start nothing.", rich_help_panel=WORK
    ),
]
Report = Annotated[
    bool, typer.Option("--report", help="Write a page about the run at its end, report.html in its folder.")
]


def _parquet(path: Path) -> Path:
    from goldilocks_batch.structures.sources.formats import is_parquet

    if is_parquet(path.name):
        return path
    raise typer.BadParameter(
        f"{path} would be a Parquet file, which other commands know by its name: call it {path.name}.parquet"
    )


OutputFile = Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.", callback=_parquet)]
Folder = Annotated[Path, typer.Argument(help="Output folder of a run.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        help="Only rows for which this holds, such as `kdist<0.15`, `status=failed`, "
        "`flags=wide_interval` or `kdist<0.15 and n_sites>8`; may be repeated."
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="No progress, only warnings and the summary.", rich_help_panel=MESSAGES
    ),
]
Confidences = Annotated[
    list[float] | None,
    typer.Option(
        "--confidence", help="One-sided level; may be repeated. [default: every level]", rich_help_panel=MODEL
    ),
]
To = Annotated[Path | None, typer.Option("--to", help="Folder to write to, in place of the project's cache.")]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="rf, alignn, baseline, mc3d, a record of PSDI (psdi:RECORD), or the folder of a model.",
        autocompletion=complete_model,
    ),
]
OptionalModelName = Annotated[
    str | None,
    typer.Argument(metavar="MODEL", help="One model; all by default.", autocompletion=complete_model),
]
ModelOrAll = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="rf, alignn, any other of the registry, a record of PSDI (psdi:RECORD), or all.",
        autocompletion=complete_model,
    ),
]

Dataset = Annotated[
    Path,
    typer.Argument(
        help="Labelled structures: a Parquet manifest with a target column, a folder with id_prop.csv and "
        "CIFs, or one with summary.csv."
    ),
]
BoostedDataset = Annotated[
    Path,
    typer.Argument(help="Labels: a Parquet manifest with a column for each tolerance, in meV per atom."),
]
TrainedModel = Annotated[
    Path, typer.Argument(help="Folder of a trained model, or mc3d.", autocompletion=complete_model)
]
JudgedModel = Annotated[
    Path,
    typer.Argument(
        help="Folder of a trained model, mc3d, or a published one: rf, alignn.",
        autocompletion=complete_model,
    ),
]
ModelFolder = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for the model; appears when it is whole.")
]
ReportFolder = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for tables, plots and predictions.")
]
TrainingConfig = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file of training options; flags override it.")
]
TrainingReport = Annotated[
    Path | None,
    typer.Option("--report", help="Folder for the evaluation's tables, plots and predictions."),
]
JudgedConfidences = Annotated[
    list[float] | None,
    typer.Option(
        "--confidence",
        help="One-sided level, repeatable. [default: 0.95 0.90 0.85 0.80, or a published model's]",
        rich_help_panel=MODEL,
    ),
]
FeatureCache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="Folder of computed features. [default: features in the project's cache, GOLDILOCKS_CACHE]",
        rich_help_panel=WORK,
    ),
]
Labelled = Annotated[
    Path | None,
    typer.Option(help="The structures with labels already; what is like them is worth less."),
]


def of_run(*names: str, file: bool = False, required: bool = False) -> Callable[[Command], Command]:
    """Flags in the place of a command's ``settings``, a RunConfig.

    Args:
        names: options that the command takes.
        file: whether it takes a file of them.
        required: whether inputs must be named.
    """

    def load(path: Path | None, **given: object) -> RunConfig:
        settings = load_config(path, **given)
        if settings.quiet:
            hush()
        return settings

    return takes("settings", RunConfig, *names, load=load, file=Config if file else None, required=required)


def of_forest(command: Command) -> Command:
    """Flags in the place of a command's ``options``, those of ``train rf``."""
    names = ("target.column", "target.kind", "feature_schema", "name", "remarks", "test_share", "seed")
    more = ("mixed_protocols",)
    return takes("options", TrainConfig, *names, *more, load=load_train_config, file=TrainingConfig)(command)


def of_boosted(command: Command) -> Command:
    """Flags in the place of a command's ``options``, those of ``train boosted``."""
    names = ("structures", "name", "remarks", "test_share", "seed", "mixed_protocols")
    load = load_train_boosted_config
    return takes("options", TrainBoostedConfig, *names, load=load, file=TrainingConfig)(command)


def of_networks(command: Command) -> Command:
    """Flags in the place of a command's ``options``, those of ``train alignn``."""
    names = ("target.column", "target.kind", "feature_schema", "name", "remarks", "single_site")
    fitted = ("fit.epochs", "test_share", "seed", "mixed_protocols")
    load = load_train_alignn_config
    return takes("options", TrainAlignnConfig, *names, *fitted, load=load, file=TrainingConfig)(command)


def of_labels(*names: str) -> Callable[[Command], Command]:
    """Flags in the place of a command's ``target``."""

    def load(_path: Path | None, **given: object) -> Target:
        return Target(**{name: value for name, value in given.items() if value is not None})

    return takes("target", Target, *names, load=load)
