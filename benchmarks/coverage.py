"""Do calibrated bounds hold as often as they promise?  Random splits of real labels, and made-up data.

    python benchmarks/coverage.py jarvis_kpoint_length.parquet

Real labels: ``--splits`` random splits by reduced composition; a forest is trained and calibrated on one
side, split and cross, and its bounds are counted on the other.  Made-up data: the distribution of every label
is known, so the probability with which a bound holds is computed, not counted.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # before the libraries are loaded

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from goldilocks_batch.config.training import CalibrationSettings, ForestSettings, Target
from goldilocks_batch.training.dataset import Dataset, load_dataset
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.splits import holdout
from goldilocks_batch.training.train import CONFIDENCES, bounds_of, fit

FOREST = ForestSettings(n_estimators=40, min_samples_leaf=5, max_features=0.2)
KINDS = {
    "split": CalibrationSettings(kind="split", share=0.4),
    "cross": CalibrationSettings(kind="cross", folds=5),
}


def real(dataset: Dataset, calibration: CalibrationSettings, seed: int) -> NDArray[np.float64]:
    """``(levels, 4)`` shares of a held-out third: lower bound holds, upper, both, two-sided interval."""
    held = holdout(dataset.formulas, 1 / 3, seed)
    seen, kept = dataset.take(~held), dataset.take(held)
    trained = fit(seen.features, seen.kdist, seen.formulas, FOREST, calibration, seed)
    bounds, intervals = (bounds_of(*trained, kept.features, central=central) for central in (False, True))
    return np.array(
        [[*_counted(kept.kdist, bounds[c]), _counted(kept.kdist, intervals[c])[2]] for c in CONFIDENCES]
    )


def _counted(truth: NDArray[np.float64], bounds: NDArray[np.float64]) -> list[float]:
    above, below = truth >= bounds[:, 0], truth <= bounds[:, 2]
    return [float(above.mean()), float(below.mean()), float((above & below).mean())]


def made_up(calibration: CalibrationSettings, seed: int, rows: int = 1000) -> NDArray[np.float64]:
    """The same shares, exact, for labels ``log y ~ N(mean(x), width(x))`` whose width varies fourfold."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows + 2000, 8))
    mean, width = -2 + 0.4 * x[:, 0] + 0.3 * np.sin(3 * x[:, 1]), 0.1 + 0.3 * (x[:, 2] > 0)
    y = np.exp(mean + width * rng.standard_normal(len(x)))
    groups = [f"{i // 2}" for i in range(rows)]
    trained = fit(x[:rows], y[:rows], groups, FOREST, calibration, seed)
    shares = []
    for central in (False, True):
        for bounds in bounds_of(*trained, x[rows:], central=central).values():
            low, high = (norm.cdf((np.log(bounds[:, k]) - mean[rows:]) / width[rows:]) for k in (0, 2))
            shares.append([1 - low.mean(), high.mean(), (high - low).mean()])
    one_sided, two_sided = np.array(shares).reshape(2, len(CONFIDENCES), 3)
    return np.column_stack([one_sided, two_sided[:, 2]])


def show(title: str, found: Sequence[NDArray[np.float64]]) -> float:
    """Print means over the repetitions; return the largest distance from nominal of those promised."""
    mean = np.mean(found, axis=0)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.zeros(mean.shape)
    print(f"\n{title}, {len(found)} repetitions")
    print(f"| nominal | lower | upper | nominal | both bounds | two-sided |\n{'| --- ' * 6}|")
    worst = np.zeros(3)
    for confidence, values, errors in zip(CONFIDENCES, mean, error, strict=True):
        lower, upper, central, two_sided = (f"{v:.4f} ± {e:.4f}" for v, e in zip(values, errors, strict=True))
        print(
            f"| {confidence:.2f} | {lower} | {upper} | {2 * confidence - 1:.2f} | {central} | {two_sided} |"
        )
        nominal = np.array([confidence, 2 * confidence - 1, 2 * confidence - 1])
        worst = np.maximum(worst, np.abs(values[[0, 2, 3]] - nominal))
    apart = ", ".join(f"{100 * value:.2f}" for value in worst)
    print(f"largest distance from nominal of lower, both, two-sided: {apart} points")
    return float(worst.max())


def main() -> None:
    """Run both, for both kinds of calibration."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--column", default="kpoint_length")
    parser.add_argument("--kind", choices=["kdist", "kpoint_length"], default="kpoint_length")
    parser.add_argument("--features", default="comp_lattice.v1")
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()

    target = Target(column=options.column, kind=options.kind)
    dataset = load_dataset(options.dataset, target, FeatureSet(options.features), cache=options.cache)
    began, worst = time.process_time(), 0.0
    for name, calibration in KINDS.items():
        seeds = range(options.splits)
        worst = max(
            worst, show(f"{options.dataset.name}, {name}", [real(dataset, calibration, s) for s in seeds])
        )
        worst = max(worst, show(f"made-up data, {name}", [made_up(calibration, s) for s in seeds]))
    print(f"\n{time.process_time() - began:.0f} s of CPU time")
    if worst > 0.015:
        raise SystemExit("coverage is more than 1.5 points from nominal")


if __name__ == "__main__":
    main()
