from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.models._forest_kernel import ENTRIES
from goldilocks_batch.models.forest import Forest

QUANTILES = (0.05, 0.5, 0.95)


def trained(
    seed: int, n_train: int = 60, n_features: int = 4, trees: int = 7, ties: bool = True
) -> dict[str, Any]:
    """What a published pickle holds, made with scikit-learn: nodes, sorted targets, leaves, weights."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_train, n_features)).astype(np.float32)
    y = np.abs(x[:, 0]) + 0.1 * rng.random(n_train)
    order = np.argsort(y, kind="stable")
    x, y = x[order], y[order]
    if ties:
        y = np.round(y, 1)
    model = RandomForestRegressor(trees, min_samples_leaf=2, random_state=seed).fit(x, y)
    leaves = model.apply(x).T.astype(np.int64)
    weights = np.zeros(leaves.shape, dtype=np.float32)
    for tree, samples in enumerate(model.estimators_samples_):
        counts = np.bincount(samples, minlength=n_train)
        leaves[tree, counts == 0] = -1
        for leaf in np.unique(leaves[tree][leaves[tree] >= 0]):
            inside = leaves[tree] == leaf
            weights[tree, inside] = counts[inside] / counts[inside].sum()
    return {
        "nodes": [tree.tree_.__getstate__()["nodes"] for tree in model.estimators_],
        "y_train": y.astype(np.float32),
        "leaves": leaves,
        "weights": weights,
        "quantiles": QUANTILES,
        "n_features": n_features,
    }


def naive(parts: dict[str, Any], row: NDArray[np.float32]) -> list[float]:
    """The rule of domain of the published forests, one training row after the other, in float64."""
    weight = np.zeros(len(parts["y_train"]))
    for nodes, leaves, weights in zip(parts["nodes"], parts["leaves"], parts["weights"], strict=True):
        node = 0
        while nodes[node]["left_child"] >= 0:
            left = row[nodes[node]["feature"]] <= nodes[node]["threshold"]
            node = nodes[node]["left_child"] if left else nodes[node]["right_child"]
        weight += np.where(leaves == node, weights, 0.0)
    weight /= weight.sum()
    answers = []
    for q in parts["quantiles"]:
        reached, previous = 0.0, None
        for y, w in zip(parts["y_train"], weight, strict=True):
            if w == 0:
                continue
            before, reached = reached, reached + w
            if reached >= q - 1e-6:
                answers.append(y if previous is None else previous + (y - previous) * (q - before) / w)
                break
            previous = y
    return answers


@given(seed=st.integers(0, 50), ties=st.booleans())
def test_prediction_follows_the_published_rule(seed: int, ties: bool) -> None:
    parts = trained(seed, ties=ties)
    forest = Forest.from_trees(**parts)
    rows = np.random.default_rng(seed + 1).normal(size=(6, 4)).astype(np.float32)
    expected = [naive(parts, row) for row in rows]
    assert np.allclose(forest.predict(rows), expected, atol=2e-5)


def test_a_row_does_not_depend_on_its_batch() -> None:
    forest = Forest.from_trees(**trained(1))
    rows = np.random.default_rng(2).normal(size=(50, 4))
    whole = forest.predict(rows)
    assert np.array_equal(whole, np.concatenate([forest.predict(rows[i : i + 1]) for i in range(50)]))
    order = np.random.default_rng(3).permutation(50)
    assert np.array_equal(forest.predict(rows[order]), whole[order])


def test_rows_in_large_leaves_go_a_few_at_a_time_and_get_the_same() -> None:
    # one tree without a split: every row shares its leaf with all training rows
    n_train = 20_000
    root = np.zeros(1, dtype=trained(1)["nodes"][0].dtype)
    root["left_child"] = root["right_child"] = -1
    y = np.linspace(0.1, 1.0, n_train)
    weights = np.full((1, n_train), 1 / n_train, dtype=np.float32)
    forest = Forest.from_trees([root], y, np.zeros((1, n_train), dtype=np.int64), weights, QUANTILES, 2)
    assert 300 * n_train > ENTRIES
    answers = forest.predict(np.zeros((300, 2)))
    assert np.array_equal(answers, np.repeat(forest.predict(np.zeros((1, 2))), 300, axis=0))
    assert np.allclose(answers[0], np.quantile(y, QUANTILES), atol=1e-3)


def test_quantiles_are_ordered_and_within_the_targets() -> None:
    parts = trained(4)
    rows = np.random.default_rng(5).normal(size=(200, 4))
    answers = Forest.from_trees(**parts).predict(rows, quantiles=np.linspace(0.01, 0.99, 25).tolist())
    assert (np.diff(answers, axis=1) >= -1e-6).all()
    assert answers.min() >= parts["y_train"].min()
    assert answers.max() <= parts["y_train"].max() + 1e-6


def test_arrays_make_the_same_forest() -> None:
    forest = Forest.from_trees(**trained(6))
    again = Forest.from_arrays({name: array.copy() for name, array in forest.to_arrays().items()})
    rows = np.random.default_rng(7).normal(size=(20, 4))
    assert np.array_equal(forest.predict(rows), again.predict(rows))


def test_rows_of_another_shape_or_with_nan_are_refused() -> None:
    forest = Forest.from_trees(**trained(8))
    with pytest.raises(ValueError, match="4 features"):
        forest.predict(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="NaN"):
        forest.predict(np.array([[0.0, np.nan, 0.0, 0.0]]))


def test_no_rows_is_no_answer() -> None:
    assert Forest.from_trees(**trained(9)).predict(np.empty((0, 4))).shape == (0, 3)


DAMAGE: dict[str, tuple[str, Any, str]] = {
    "a cycle": ("left", lambda a: np.where(np.arange(len(a)) == 1, 0, a), "child"),
    "a child that is not there": (
        "right",
        lambda a: np.where(np.arange(len(a)) == 0, len(a) + 5, a),
        "child",
    ),
    "a negative child": ("left", lambda a: np.where(np.arange(len(a)) == 0, -7, a), "child"),
    "a child in another tree": (
        "right",
        lambda a: np.where(np.arange(len(a)) == 0, len(a) - 1, a),
        "another tree",
    ),
    "roots out of order": ("roots", lambda a: a[::-1], "another tree"),
    "a feature that is not there": ("feature", lambda a: np.where(a == a.max(), 99, a), "feature"),
    "a root that is not there": ("roots", lambda a: a + 10_000, "root"),
    "no tree": ("roots", lambda a: a[:0], "no tree"),
    "NaN thresholds": ("threshold", lambda a: a * np.nan, "threshold"),
    "entries out of order": ("starts", lambda a: a[::-1], "entries"),
    "a training row that is not there": ("rows", lambda a: a + 1000, "training row"),
    "negative weights": ("weights", lambda a: -a, "weight"),
    "NaN weights": ("weights", lambda a: a * np.nan, "weight"),
    "zero weights": ("weights", lambda a: 0 * a, "no weight"),
    "targets out of order": ("y_train", lambda a: a[::-1], "ascending"),
    "a NaN target": ("y_train", lambda a: np.where(np.arange(len(a)) == 3, np.nan, a), "targets"),
    "a quantile of 1": ("quantiles", lambda a: a + 0.05, "quantile"),
    "arrays of different lengths": ("threshold", lambda a: a[:-1], "different lengths"),
    "another type": ("rows", lambda a: a.astype(np.int64), "int64"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_arrays_are_refused(name: str) -> None:
    array, change, complaint = DAMAGE[name]
    arrays = Forest.from_trees(**trained(10)).to_arrays()
    kind = arrays[array].dtype
    changed = np.ascontiguousarray(change(arrays[array]))
    arrays[array] = changed if name == "another type" else changed.astype(kind)
    with pytest.raises(ModelError, match=complaint) as caught:
        Forest.from_arrays(arrays)
    assert caught.value.code == ErrorCode.ARTIFACT_INVALID


def test_missing_and_superfluous_arrays_are_refused() -> None:
    arrays = Forest.from_trees(**trained(11)).to_arrays()
    with pytest.raises(ModelError, match="expected the arrays"):
        Forest.from_arrays({**arrays, "extra": arrays["rows"]})
    del arrays["rows"]
    with pytest.raises(ModelError, match="expected the arrays"):
        Forest.from_arrays(arrays)


def test_trees_and_leaves_must_fit_each_other() -> None:
    parts = trained(12)
    with pytest.raises(ModelError, match="leaves"):
        Forest.from_trees(**{**parts, "leaves": parts["leaves"][:-1]})
    with pytest.raises(ModelError, match="does not have"):
        Forest.from_trees(**{**parts, "leaves": parts["leaves"] + 10_000})
