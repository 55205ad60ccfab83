"""Coverage of whole trainings: real labels over 50 splits, and data whose distribution is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from goldilocks_batch.config.training import CalibrationSettings, ForestSettings, Target
from goldilocks_batch.training.dataset import Dataset, load_dataset
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.splits import holdout
from goldilocks_batch.training.train import CONFIDENCES, bounds_of, fit

FOREST = ForestSettings(n_estimators=30, max_features=0.2)
SPLIT = CalibrationSettings(kind="split", share=0.4)
CROSS = CalibrationSettings(kind="cross", folds=5)


@pytest.fixture(scope="module")
def jarvis(shared: Path) -> Dataset:
    path = shared / "data" / "jarvis_kpoint_length.parquet"
    return load_dataset(
        path, Target(column="kpoint_length", kind="kpoint_length"), FeatureSet("comp_lattice.v1")
    )


def near_nominal(shares: list[list[tuple[float, float, float]]], points: float) -> None:
    """Means over repetitions of (one-sided, both, two-sided) at every level within some points of nominal."""
    nominal = [(c, 2 * c - 1, 2 * c - 1) for c in CONFIDENCES]
    assert 100 * np.mean(shares, axis=0) == pytest.approx(100 * np.array(nominal), abs=points)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("calibration", [SPLIT, CROSS], ids=["split", "cross"])
def test_real_labels_over_50_splits_by_composition(jarvis: Dataset, calibration: CalibrationSettings) -> None:
    shares = []
    for seed in range(50):
        held = holdout(jarvis.formulas, 1 / 3, seed)
        seen, kept = jarvis.take(~held), jarvis.take(held)
        assert not set(seen.formulas) & set(kept.formulas)
        trained = fit(seen.features, seen.kdist, seen.formulas, FOREST, calibration, seed)
        held_by = []
        for central in (False, True):
            bounds = bounds_of(*trained, kept.features, central=central)
            above = np.array([kept.kdist >= bounds[c][:, 0] for c in CONFIDENCES])
            below = np.array([kept.kdist <= bounds[c][:, 2] for c in CONFIDENCES])
            held_by += [above.mean(axis=1), (above & below).mean(axis=1)]
        lower, both, _, two_sided = held_by
        shares.append(list(zip(lower, both, two_sided, strict=True)))
    near_nominal(shares, 1.5)


@pytest.mark.slow
@pytest.mark.parametrize("calibration", [SPLIT, CROSS], ids=["split", "cross"])
def test_labels_of_known_distribution(calibration: CalibrationSettings) -> None:
    shares = []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, (2500, 6))
        mean, width = -2 + 0.4 * x[:, 0] + 0.3 * np.sin(3 * x[:, 1]), 0.1 + 0.3 * (x[:, 2] > 0)
        y = np.exp(mean + width * rng.standard_normal(2500))
        groups = [str(row) for row in range(1000)]
        trained = fit(x[:1000], y[:1000], groups, FOREST, calibration, seed)
        held_by = []
        for central in (False, True):
            bounds = bounds_of(*trained, x[1000:], central=central)
            # the probability that a bound holds is known for each row: no label of a new row is needed
            low, high = (
                np.array(
                    [norm.cdf((np.log(bounds[c][:, k]) - mean[1000:]) / width[1000:]) for c in CONFIDENCES]
                )
                for k in (0, 2)
            )
            held_by += [1 - low.mean(axis=1), (high - low).mean(axis=1)]
        lower, both, _, two_sided = held_by
        shares.append(list(zip(lower, both, two_sided, strict=True)))
    near_nominal(shares, 1.5)


def test_intervals_adapt_to_where_labels_scatter() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (800, 2))
    noisy = x[:, 0] > 0
    y = np.exp(-2 + np.where(noisy, 0.4, 0.05) * rng.standard_normal(800))
    trained = fit(x, y, [str(row) for row in range(800)], FOREST, CalibrationSettings(folds=2), 0)
    bounds = bounds_of(*trained, np.array([[-0.5, 0.0], [0.5, 0.0]]), (0.9,))[0.9]
    quiet, loud = np.log(bounds[:, 2] / bounds[:, 0])
    assert loud > 3 * quiet
