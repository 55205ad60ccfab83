"""Each option of the command line, defined once.

An option left out is ``None`` here, so that a configuration file's value, or the default, stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__: list[str] = []

_MODEL = "Model"
_WORK = "How the work is done"

Inputs = Annotated[
    list[Path],
    typer.Argument(
        help="Directories, .zip or .tar.gz archives, structure files, Parquet manifests; mixed as you like."
    ),
]
OptionalInputs = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Directories, .zip or .tar.gz archives, structure files, Parquet manifests; mixed as you like."
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file with any of these options; flags override it."),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder for the results. [default: goldilocks-run]")
]
OutputFile = Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="rf: published forest; alignn: published networks; starter: small forest in the package, needs "
        "no files; baseline: constants; or the folder of a trained model. [default: rf]",
        rich_help_panel=_MODEL,
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(
        help="One-sided confidence: 0.95, 0.90 or 0.85; any between 0.5 and 1 of starter and trained models. "
        "[default: 0.95]",
        rich_help_panel=_MODEL,
    ),
]
Confidences = Annotated[
    list[float] | None,
    typer.Option("--confidence", help="One-sided level; may be repeated. [default: every level]"),
]
To = Annotated[Path | None, typer.Option("--to", help="Folder to write to, in place of the project's cache.")]
Grid = Annotated[
    str | None,
    typer.Option(
        help="Bound the recommended mesh is made from: lower, median or upper. [default: lower]",
        rich_help_panel=_MODEL,
    ),
]
EqualAxes = Annotated[
    bool | None,
    typer.Option(
        "--equal-axes/--no-equal-axes",
        help="Equal counts along axes of equal length.",
        rich_help_panel=_MODEL,
    ),
]
SingleSite = Annotated[
    str | None,
    typer.Option(
        help="One-atom cells (alignn): skip the bond-angle layers, or supercell. [default: skip]",
        rich_help_panel=_MODEL,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="Where networks run: auto, cpu or cuda. [default: auto]", rich_help_panel=_WORK),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="Of networks' matrix products on a GPU: float32, or faster and rounded, tf32 or bf16. "
        "[default: float32]",
        rich_help_panel=_WORK,
    ),
]
Artifacts = Annotated[
    Path | None,
    typer.Option(
        help="Folder of model files, ORGANISATION/REPOSITORY/FILE; what is not there is looked for in the "
        "project's cache.",
        rich_help_panel=_MODEL,
    ),
]
Offline = Annotated[
    bool | None,
    typer.Option(
        "--offline",
        help="Fetch nothing: model files are those in --artifacts and in the project's cache.",
        rich_help_panel=_MODEL,
    ),
]
Registry = Annotated[
    Path | None, typer.Option(help="Registry file (TOML) in place of the package's.", rich_help_panel=_MODEL)
]
MaxSites = Annotated[
    int | None,
    typer.Option(help="Refuse cells with more sites than this. [default: 1000]", rich_help_panel=_MODEL),
]
AllowOutside = Annotated[
    bool | None,
    typer.Option(
        "--allow-outside/--no-allow-outside",
        help="Let a manifest name files outside its own folder.",
        rich_help_panel=_MODEL,
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        help="local: a process a core (Dask); serial: this process; slurm: pilot jobs. [default: local]",
        rich_help_panel=_WORK,
    ),
]
Workers = Annotated[
    int | None, typer.Option(help="Worker processes. [default: one per core]", rich_help_panel=_WORK)
]
Gpus = Annotated[
    int | None,
    typer.Option(
        help="GPUs to use on this machine, a process each. [default: all, if the model has networks]",
        rich_help_panel=_WORK,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(help="Pilot jobs of each kind, or tasks of an array. [default: 1]", rich_help_panel=_WORK),
]
MaxJobs = Annotated[
    int | None,
    typer.Option(help="Adapt the number of pilot jobs up to this. [default: fixed]", rich_help_panel=_WORK),
]
Cluster = Annotated[
    str | None,
    typer.Option(help="Join a Dask cluster: tls://host:port or a scheduler file.", rich_help_panel=_WORK),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print the plan and the job scripts; start nothing.", rich_help_panel=_WORK
    ),
]
TaskTimeout = Annotated[
    float | None,
    typer.Option(help="Seconds for one shard, before it is split. [default: 1800]", rich_help_panel=_WORK),
]
ShardSize = Annotated[
    int | None,
    typer.Option(
        help="Structures in a task and a result file. [default: 10 to 20 s of work]", rich_help_panel=_WORK
    ),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(help="Memory of a process before it is ended, e.g. 4GB.", rich_help_panel=_WORK),
]
Overwrite = Annotated[
    bool | None,
    typer.Option(
        "--overwrite",
        help="Discard results in the output folder that are not this run's.",
        rich_help_panel=_WORK,
    ),
]
Quiet = Annotated[
    bool | None, typer.Option("--quiet", "-q", help="No progress, only the summary.", rich_help_panel=_WORK)
]

_LABELS = "Labels"
_TRAINING = "Training"

Dataset = Annotated[
    Path,
    typer.Argument(
        help="Labelled structures: a Parquet manifest with a target column, a folder with id_prop.csv and "
        "CIFs, or one with summary.csv."
    ),
]
TrainedModel = Annotated[Path, typer.Argument(help="Folder of a trained model, or starter.")]
ModelFolder = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for the model; appears when it is whole.")
]
ReportFolder = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for tables, plots and predictions.")
]
TrainingConfig = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file of training options; flags override it.")
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training rows, at most. [default: 300]")]
TargetColumn = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="Column of labels. [default: k_dist, kdist, kspacing or the like]",
        rich_help_panel=_LABELS,
    ),
]
TargetKind = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="kdist: 1/Å with the 2π; kpoint_length: L in Å, kdist = 2π/L. [default: kdist]",
        rich_help_panel=_LABELS,
    ),
]
AtMost = Annotated[
    str | None,
    typer.Option(
        help="Column of limits that labels which are missing do not exceed.", rich_help_panel=_LABELS
    ),
]
FeatureSchema = Annotated[
    str | None,
    typer.Option(
        "--features",
        help="comp_lattice.v1, comp_struct_lattice.v1, comp_struct_soap_lattice.v1; or all that the "
        "published forest takes, comp_struct_soap_lattice_metal.v1, with the metallicity network.",
        rich_help_panel=_TRAINING,
    ),
]
ModelName = Annotated[
    str | None, typer.Option("--name", help="Name of the model. [default: custom]", rich_help_panel=_TRAINING)
]
TestShare = Annotated[
    float | None,
    typer.Option(
        help="Share of the rows kept for the evaluation; 0: cross-validate. [default: 0]",
        rich_help_panel=_TRAINING,
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of all splits. [default: 0]", rich_help_panel=_TRAINING)]
TrainingReport = Annotated[
    Path | None,
    typer.Option("--report", help="Folder for the evaluation's tables, plots and predictions."),
]
JudgedConfidences = Annotated[
    list[float] | None,
    typer.Option("--confidence", help="One-sided level, repeatable. [default: 0.95 0.90 0.85 0.80]"),
]
FeatureCache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="Folder of computed features. [default: features in the project's cache, GOLDILOCKS_CACHE]",
        rich_help_panel=_WORK,
    ),
]
ReplaceModel = Annotated[bool, typer.Option("--overwrite", help="Replace a model in the output folder.")]
