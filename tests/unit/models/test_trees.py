"""Sums of leaves, to the last bit those of a walk down every tree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.models.trees import MOST_LEAVES, Trees


def walked(trees: Trees, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leaf values added in the order of the trees."""
    total = np.zeros(len(rows))
    for root in trees.roots:
        links = np.full(len(rows), root)
        while (links >= 0).any():
            nodes = np.maximum(links, 0)
            right = rows[np.arange(len(rows)), trees.features[nodes]] > trees.thresholds[nodes]
            links = np.where(links >= 0, trees.children[nodes, right.astype(int)], links)
        total += trees.leaves[-1 - links]
    return total


def grown(rng: np.random.Generator, leaves: list[int], thresholds: NDArray[np.float64]) -> Trees:
    """Trees of so many leaves, split anywhere, with columns and thresholds ``(k, m)`` drawn at random."""
    roots: list[int] = []
    features: list[int] = []
    levels: list[float] = []
    children: list[list[int]] = []
    ends = 0

    def grow(size: int) -> int:
        nonlocal ends
        if size == 1:
            ends += 1
            return -ends
        place, left = len(features), int(rng.integers(1, size))
        features.append(int(rng.integers(len(thresholds))))
        levels.append(float(rng.choice(thresholds[features[-1]])))
        children.append([0, 0])
        children[place] = [grow(left), grow(size - left)]
        return place

    roots = [grow(size) for size in leaves]
    return Trees(
        np.array(roots, dtype=np.int32),
        np.array(features, dtype=np.int16),
        np.array(levels, dtype=np.float64),
        np.array(children, dtype=np.int32).reshape(-1, 2),
        rng.normal(size=ends),
    )


def around(rng: np.random.Generator, count: int, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows at thresholds, next to them, and anywhere; a column more than there are thresholds for."""
    columns = [rng.choice(own, count) for own in thresholds] + [np.full(count, np.nan)]
    rows = np.stack(columns, axis=1)
    side = rng.integers(4, size=rows.shape)
    beside = np.nextafter(rows, np.where(side == 1, np.inf, -np.inf))
    rows = np.where((side == 1) | (side == 2), beside, rows)
    return np.where(side == 3, rng.normal(size=rows.shape) * 2, rows)


def same(trees: Trees, rows: NDArray[np.float64]) -> None:
    assert trees.predict(rows).tobytes() == walked(trees, rows).tobytes()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    leaves=st.lists(st.integers(1, MOST_LEAVES), max_size=11),
    most=st.sampled_from([1, 7, 8, 63, 64, 200]),
    count=st.sampled_from([0, 1, 15, 17, 255, 256, 257, 600]),
)
def test_any_trees_of_any_rows(seed: int, leaves: list[int], most: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    thresholds = rng.normal(size=(3, most))
    same(grown(rng, leaves, thresholds), around(rng, count, thresholds))


def test_a_column_of_thousands_of_thresholds() -> None:
    rng = np.random.default_rng(0)
    thresholds = rng.normal(size=(1, 5000))
    trees = grown(rng, [MOST_LEAVES] * 100, thresholds)
    assert len(np.unique(trees.thresholds)) > 3000
    same(trees, around(rng, 700, np.append(thresholds, [[-np.inf, np.inf]], axis=1)))


def test_zeros_of_both_signs_and_infinities() -> None:
    rng = np.random.default_rng(0)
    values = np.array([-0.0, 0.0, 5e-324, -5e-324, 1.0])
    trees = grown(rng, [MOST_LEAVES] * 9, np.stack([values, values]))
    rows = rng.choice([*values, np.inf, -np.inf, 1e308, -1e308], (300, 2))
    same(trees, rows)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_end_in_a_leaf(value: float) -> None:
    """No such row is predicted, and none reads outside of the arrays."""
    rng = np.random.default_rng(0)
    thresholds = rng.normal(size=(2, 63))
    same(grown(rng, [MOST_LEAVES] * 20, thresholds), np.full((3, 2), value))


def test_a_row_is_predicted_the_same_in_any_batch() -> None:
    rng = np.random.default_rng(0)
    thresholds = rng.normal(size=(5, 30))
    trees, rows = grown(rng, [40] * 30, thresholds), around(rng, 1000, thresholds)
    whole = trees.predict(rows)
    for first, last in ((0, 1), (255, 258), (999, 1000), (3, 700)):
        assert trees.predict(rows[first:last]).tobytes() == whole[first:last].tobytes()
    assert trees.predict(np.asfortranarray(rows)).tobytes() == whole.tobytes()


def test_chains_of_the_most_leaves() -> None:
    """Nodes that exclude one leaf each, and those that exclude all but one of the rest."""
    nodes = np.arange(MOST_LEAVES - 1)
    inner = np.append(nodes[1:], -MOST_LEAVES)
    rows = np.linspace(-1, MOST_LEAVES, 400)[:, None]
    for children in ([-1 - nodes, inner], [inner, -1 - nodes]):
        thresholds = nodes if children[0][0] < 0 else nodes[::-1]
        trees = Trees(
            *(np.zeros(1, dtype=np.int32), np.zeros(len(nodes), dtype=np.int16)),
            thresholds.astype(np.float64),
            np.stack(children, axis=1).astype(np.int32),
            np.arange(MOST_LEAVES, dtype=np.float64),
        )
        same(trees, rows)
        assert len(np.unique(trees.predict(rows))) == MOST_LEAVES


def test_no_trees_are_zero() -> None:
    trees = grown(np.random.default_rng(0), [], np.zeros((1, 1)))
    assert trees.predict(np.ones((3, 2))).tolist() == [0.0] * 3
    assert trees.predict(np.ones((0, 2))).tolist() == []
