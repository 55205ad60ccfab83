"""The model in the package: size, loading, prediction, bounds of well-known crystals, pictures; or train it.

    python -m benchmarks.mc3d --pictures pictures/
    python -m benchmarks.mc3d labels.parquet --structures mc3d_pbe.parquet --train train-mc3d.yaml -o mc3d/

With ``--train`` it trains as ``goldilocks-batch train boosted`` does and prints every figure of the card;
``--test-share 0.2`` keeps a fifth of the compositions apart for them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np

from goldilocks_batch.artifacts.trained import shipped_model
from goldilocks_batch.config.training import load_train_boosted_config
from goldilocks_batch.models.trained_boosted import read_boosted
from goldilocks_batch.training.boosted import SCHEMA, train_boosted
from goldilocks_batch.training.resources import Resources
from goldilocks_batch.training.tolerances import tables
from goldilocks_batch.training.well_known import well_known_table


def speed(folder: Path) -> None:
    """Size, loading and prediction of a model."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    times = []
    for _ in range(7):
        began = time.perf_counter()
        model = read_boosted(folder)
        times.append(time.perf_counter() - began)
    rows = np.repeat(model.parts.nearness.centre[None], 4096, axis=0)
    rows = rows * np.random.default_rng(0).uniform(0.5, 1.5, rows.shape)
    print(f"{size / 1e6:.2f} MB, read and verified in {1e3 * median(times):.1f} ms")
    for tolerance in model.record.tolerances:
        model.parts.bounds(rows, tolerance, 0.95)
        spent = []
        for _ in range(5):
            began = time.perf_counter()
            model.parts.bounds(rows, tolerance, 0.95)
            spent.append(time.perf_counter() - began)
        print(f"{1e6 * median(spent) / len(rows):.0f} µs a structure at {tolerance:g} meV")


def pictures(record: Path, folder: Path) -> None:
    """Coverage by group and cost by confidence, from a model's record."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    figures = json.loads(record.read_text(encoding="utf-8"))["evaluation"]["tolerances"]
    figure = Figure(figsize=(6.4, 4.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    groups = figures[next(iter(figures))]["levels"]["0.95"]["groups"]
    names = [(f, n) for f in ("size", "class", "system", "distance") for n in groups[f]]
    for offset, (tolerance, found) in enumerate(figures.items()):
        shares = [found["levels"]["0.95"]["groups"][f][n][1] for f, n in names]
        axes.plot(shares, np.arange(len(names)) + 0.2 * offset, "o", ms=4, label=f"{tolerance} meV/atom")
    axes.axvspan(0.92, 0.98, color="0.9")
    axes.set_yticks(range(len(names)), [f"{f}: {n}" for f, n in names], fontsize=7)
    axes.set_xlabel("share of labels whose lower bound at 0.95 holds")
    axes.legend(fontsize=7)
    figure.savefig(folder / "mc3d-coverage.png", metadata={"Software": None})
    figure = Figure(figsize=(5.0, 3.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for tolerance, found in figures.items():
        levels = [float(c) for c in found["levels"]]
        axes.plot(
            levels, [v["of_aiida"] for v in found["levels"].values()], "o-", label=f"{tolerance} meV/atom"
        )
    axes.set_xlabel("confidence")
    axes.set_ylabel("k-points, as a share of AiiDA's 0.15")
    axes.set_ylim(0)
    axes.legend(fontsize=7)
    figure.savefig(folder / "mc3d-cost.png", metadata={"Software": None})


def main() -> None:
    """Train if asked to, and print all figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--structures", type=Path)
    parser.add_argument("--train", type=Path, help="configuration to train with")
    parser.add_argument("--test-share", type=float)
    parser.add_argument("-o", "--output", type=Path, default=Path("mc3d"))
    parser.add_argument("--cache", type=Path, help="folder of the feature cache")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    folder = shipped_model("mc3d")
    if options.train:
        if options.dataset is None:
            parser.error("name the dataset to train on")
        config = load_train_boosted_config(
            options.train, structures=options.structures, test_share=options.test_share
        )
        folder = options.output
        train_boosted(
            options.dataset, config, folder, resources=Resources(cache=options.cache), overwrite=True
        )
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    print(record["evaluation"]["kind"], end="\n\n")
    print(tables(record["evaluation"]["tolerances"]))
    print(json.dumps(record["evaluation"]["studies"], indent=1))
    speed(folder)
    model = read_boosted(folder)
    print(well_known_table(model.parts, model.record.training.elements, Resources().features(SCHEMA)))
    if options.pictures:
        pictures(folder / "model.json", options.pictures)


if __name__ == "__main__":
    main()
