"""How far it scales: a million rows through the machinery, ten million planned, and what follows from both.

    python -m benchmarks.scale stub manifest.parquet -o DIR --shard-size 250 --layout slurm

Each command prints its figures; ``docs/explanation/scale.md`` quotes them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")


def stub(options: argparse.Namespace) -> None:
    """The machinery alone."""
    from benchmarks.scaling.machinery import measured, print_figures

    figures = measured(options.manifest, options.output, options.shard_size, options.layout)
    print_figures(figures, options.record)


def plan(options: argparse.Namespace) -> None:
    """Planning and resuming, simulated."""
    from benchmarks.scaling.planning import plan_and_resume, simulated_manifest

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        manifest = Path(folder, "manifest.parquet")
        simulated_manifest(manifest, options.rows)
        plan_and_resume(manifest, Path(folder, "results"), options.shard_size)


def compact(options: argparse.Namespace) -> None:
    """The parts that `stub` left, compacted."""
    from benchmarks.scaling.planning import resume_after_compaction

    resume_after_compaction(options.output / "results")


def workers(options: argparse.Namespace) -> None:
    """One worker and two, with the model that ships."""
    from benchmarks.scaling.workers import print_scaling

    print_scaling(options.manifest, options.rows)


def start(options: argparse.Namespace) -> None:
    """Until a process is ready."""
    from benchmarks.scaling.predictions import print_starting
    from goldilocks_batch.config.run import RunConfig

    config = RunConfig(device="cpu", artifacts=options.artifacts, registry=options.registry)
    print_starting(options.models, config)


def predict(options: argparse.Namespace) -> None:
    """What the model says of many workers."""
    from benchmarks.scaling.predictions import print_predictions

    print_predictions(options.few, options.many)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("stub", help="a manifest through the machinery, nothing computed")
    command.set_defaults(run=stub)
    command.add_argument("manifest", type=Path)
    command.add_argument("-o", "--output", type=Path, required=True)
    command.add_argument("--shard-size", type=int, default=250)
    command.add_argument(
        "--layout",
        choices=("alone", "apart", "slurm"),
        default="alone",
        help="one process; scheduler and worker in own ones; or, as on SLURM, the worker, joined by TLS",
    )
    command.add_argument("--record", type=Path, help="keep the figures as JSON")
    command = commands.add_parser("plan", help="planning and resuming a run, simulated")
    command.set_defaults(run=plan)
    command.add_argument("--rows", type=int, default=10_000_000)
    command.add_argument("--shard-size", type=int, default=250)
    command.add_argument("--folder", type=Path, help="for some GB of temporary files")
    command = commands.add_parser("compact", help="the parts that `stub` left, compacted")
    command.set_defaults(run=compact)
    command.add_argument("output", type=Path)
    command = commands.add_parser("workers", help="strong and weak scaling over one worker and two")
    command.set_defaults(run=workers)
    command.add_argument("manifest", type=Path)
    command.add_argument("--rows", type=int, default=8000)
    command = commands.add_parser("start", help="what it takes a process to load libraries and model")
    command.set_defaults(run=start)
    command.add_argument("models", nargs="*", default=["baseline", "mc3d"])
    command.add_argument("--artifacts", type=Path, help="folder of model files")
    command.add_argument("--registry", type=Path, help="registry file in place of the package's")
    command = commands.add_parser(
        "predict", help="16, 128 and 1,024 workers, from two records of `stub`, layout slurm"
    )
    command.set_defaults(run=predict)
    command.add_argument("few", type=Path, help="record of a run with one row a shard")
    command.add_argument("many", type=Path, help="record of a run with hundreds of them")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
