"""Grown forests: the same every time, Meinshausen's weights, labels off their ladder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.config.training import ForestSettings
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.training.forest import forest_of, grow, spread_ties, train_forest
from tests.training_data import numbers

SETTINGS = ForestSettings(n_estimators=12, min_samples_leaf=3, seed=5)


def weights_of(forest: Forest, row: NDArray[np.float32]) -> NDArray[np.float64]:
    """Weight of each training row for a new row, walked in plain Python."""
    weights = np.zeros(len(forest.y_train))
    for root in forest.roots:
        node = root
        while forest.feature[node] >= 0:
            goes_left = row[forest.feature[node]] <= forest.threshold[node]
            node = forest.left[node] if goes_left else forest.right[node]
        entries = slice(forest.starts[node], forest.starts[node + 1])
        weights[forest.rows[entries]] += forest.weights[entries]
    return weights / len(forest.roots)


def test_a_forest_is_the_same_every_time_and_for_any_number_of_threads() -> None:
    features, kdist, _ = numbers(150)
    one = train_forest(features, kdist, SETTINGS).to_arrays()
    two = train_forest(features, kdist, SETTINGS, n_jobs=2).to_arrays()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    other = train_forest(features, kdist, SETTINGS.model_copy(update={"seed": 6})).to_arrays()
    assert one["threshold"].tobytes() != other["threshold"].tobytes()


def test_weights_are_those_behind_the_library_forest() -> None:
    features, kdist, _ = numbers(150)
    rows = features.astype(np.float32)
    regressor = grow(rows, kdist, SETTINGS)
    forest = forest_of(regressor, rows, kdist, (0.1, 0.5, 0.9))
    fresh = numbers(20, seed=1)[0].astype(np.float32)
    means = regressor.predict(fresh, quantiles="mean", weighted_leaves=True)
    for row, mean in zip(fresh, means, strict=True):
        weights = weights_of(forest, row)
        assert weights.sum() == pytest.approx(1, abs=1e-6)
        assert weights @ np.log(forest.y_train) == pytest.approx(mean, abs=1e-6)


def test_quantiles_are_read_off_the_weighted_labels() -> None:
    features, kdist, _ = numbers(150)
    forest = train_forest(features, kdist, SETTINGS)
    fresh = numbers(20, seed=1)[0]
    for row, found in zip(fresh, forest.predict(fresh, (0.1, 0.5, 0.9)), strict=True):
        weights = weights_of(forest, row.astype(np.float32))
        met = np.flatnonzero(weights)
        reached = np.cumsum(weights[met])
        for quantile, value in zip((0.1, 0.5, 0.9), found, strict=True):
            place = int(np.searchsorted(reached, quantile - 1e-6))
            assert forest.y_train[met[max(place - 1, 0)]] <= value + 1e-7
            assert value <= forest.y_train[met[place]] + 1e-7


def test_quantiles_agree_with_the_library_to_a_step_of_the_labels() -> None:
    features, kdist, _ = numbers(600)
    rows = features.astype(np.float32)
    regressor = grow(rows, kdist, ForestSettings(n_estimators=50))
    fresh = numbers(200, seed=1)[0].astype(np.float32)
    ours = np.log(forest_of(regressor, rows, kdist, (0.1, 0.5, 0.9)).predict(fresh))
    theirs = regressor.predict(fresh, quantiles=[0.1, 0.5, 0.9], weighted_leaves=True)
    assert np.abs(ours - theirs).mean() < 0.01  # neighbouring labels are some 0.03 apart


@given(
    st.lists(st.integers(1, 8), min_size=2, max_size=40).filter(lambda v: len(set(v)) > 1), st.integers(0, 3)
)
def test_spread_labels_are_distinct_ordered_and_stay_on_their_rung(steps: list[int], seed: int) -> None:
    labels = 0.05 * np.array(steps, dtype=float)
    spread = spread_ties(labels, seed)
    assert (spread > 0).all()
    assert len(np.unique(spread)) == len(labels)
    rungs = np.unique(labels)
    for label, value in zip(labels, spread, strict=True):
        assert rungs[np.argmin(np.abs(np.log(rungs / value)))] == label


def test_a_label_alone_on_its_rung_keeps_its_place_among_even_ones() -> None:
    ladder = np.geomspace(0.05, 0.8, 5)
    assert spread_ties(ladder, 0) == pytest.approx(ladder)
