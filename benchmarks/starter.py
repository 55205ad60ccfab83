"""Train the starter model and judge it: the command that makes the model that ships.

    python benchmarks/starter.py jarvis_kpoint_length.parquet -o model/ --check kpoints_qe.parquet

The dataset may be any labelled file (``--column``, ``--kind``); ``--check`` names convergence studies that
the model never sees, with columns ``k_dist`` and, for unfinished ones, ``k_dist_at_most``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from goldilocks_batch.config.training import Target
from goldilocks_batch.models.trained_forest import read_model
from goldilocks_batch.training.plots import draw
from goldilocks_batch.training.recipes import Check, evaluate_model
from goldilocks_batch.training.resources import Resources
from goldilocks_batch.training.starter import train_starter


def main() -> None:
    """Train, write, plot, and print the card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--column", help="target column, if not kpoint_length")
    parser.add_argument("--kind", choices=["kdist", "kpoint_length"], default="kdist", help="of that column")
    parser.add_argument("--name", help="of the model, for other labels than JARVIS's")
    parser.add_argument("--check", type=Path, help="convergence studies to judge it on")
    parser.add_argument("--plots", type=Path, help="folder of plots")
    parser.add_argument("--cache", type=Path, help="folder of the feature cache")
    options = parser.parse_args()

    target = Target(column=options.column, kind=options.kind) if options.column else None
    studies = Target(column="k_dist", at_most="k_dist_at_most")
    checks = [Check(f"Elsewhere: {options.check.name}", options.check, studies)] if options.check else []
    resources = Resources(cache=options.cache)
    began = time.perf_counter()
    _, own = train_starter(
        options.dataset, options.output, target=target, name=options.name, checks=checks, resources=resources
    )
    print((options.output / "card.md").read_text(encoding="utf-8"))
    print(f"trained and judged in {time.perf_counter() - began:.0f} s")
    began = time.perf_counter()
    read_model(options.output)
    size = sum(path.stat().st_size for path in options.output.iterdir())
    print(f"{size / 1e6:.2f} MB, read and verified in {1e3 * (time.perf_counter() - began):.1f} ms")
    if options.plots:
        draw(own.dataset, own.bounds, own.evaluation, options.plots / "cross_validated")
        for check in checks:
            found = evaluate_model(
                options.output, check.path, check.target, options.plots / "check", resources=resources
            )
            draw(found.dataset, found.bounds, found.evaluation, options.plots / "check")


if __name__ == "__main__":
    main()
