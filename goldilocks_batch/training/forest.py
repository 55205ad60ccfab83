"""Train a quantile forest and take its arrays out.

The trees are grown by quantile-forest.  What is kept is what :class:`~goldilocks_batch.models.forest.Forest`
predicts from: the nodes, and for every leaf the training rows in it with Meinshausen's weights, the share
that a row's bootstrap copies have of the leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.training import ForestSettings
from goldilocks_batch.models.forest import Forest

__all__ = ["QUANTILE_RULE", "forest_of", "grow", "spread_ties", "train_forest"]

#: How quantiles are read off the weighted training targets: Meinshausen's weights (2006), linear between
#: neighbouring targets, first row whose cumulative weight reaches q.  quantile-forest's own default pools the
#: rows of all leaves instead and reads ``q (N - 1)``.
QUANTILE_RULE = "meinshausen_weights.linear.v1"


def train_forest(
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    settings: ForestSettings,
    quantiles: Sequence[float] = (0.05, 0.5, 0.95),
    *,
    n_jobs: int = 1,
) -> Forest:
    """Grow a forest; the same data, settings and library versions give the same arrays.

    Args:
        features: ``(n, k)``, finite; used as float32.
        targets: ``(n,)`` kdist, 1/Å, positive.
        settings: how.
        quantiles: what the forest predicts unless asked otherwise.
        n_jobs: threads that grow trees; without influence on the result.
    """
    rows = np.ascontiguousarray(features, dtype=np.float32)
    regressor = grow(rows, targets, settings, n_jobs=n_jobs)
    return forest_of(regressor, rows, spread_ties(targets, settings.seed), quantiles)


def spread_ties(targets: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    """Spread equal labels evenly over their rung.

    Labels lie on a ladder of distances that were tried, so many are equal, and a quantile read off them is
    one of few values, most often exactly some label.  Bounds that tie with labels cannot be calibrated: any
    margin covers too much or too little.  Equal labels are therefore laid out evenly, in the logarithm,
    between the midpoints to the next smaller and the next larger label; which goes where is drawn.

    Args:
        targets: ``(n,)`` positive, two different values at least.
        seed: of the draw.

    Returns:
        ``(n,)`` positive, all different; labels that were different keep their order.
    """
    rungs, rung_of, counts = np.unique(np.log(targets), return_inverse=True, return_counts=True)
    middles = 0.5 * (rungs[1:] + rungs[:-1])
    # the ladder's ends reach as far outwards as inwards
    ends = np.concatenate([[2 * rungs[0] - middles[0]], middles, [2 * rungs[-1] - middles[-1]]])
    shuffled = np.random.default_rng(seed).permutation(len(targets))
    order = shuffled[np.argsort(rung_of[shuffled], kind="stable")]
    place = np.empty(len(targets))
    place[order] = np.arange(len(targets)) - np.repeat(np.cumsum(counts) - counts, counts) + 0.5
    share = place / counts[rung_of]
    spread: NDArray[np.float64] = np.exp(ends[rung_of] + share * np.diff(ends)[rung_of])
    return spread


def grow(
    rows: NDArray[np.float32], targets: NDArray[np.floating], settings: ForestSettings, *, n_jobs: int = 1
) -> Any:
    """A fitted ``quantile_forest.RandomForestQuantileRegressor`` of ``log kdist``, every row kept."""
    from quantile_forest import RandomForestQuantileRegressor

    regressor = RandomForestQuantileRegressor(
        n_estimators=settings.n_estimators,
        min_samples_leaf=settings.min_samples_leaf,
        max_features=settings.max_features,
        max_depth=settings.max_depth,
        max_samples_leaf=None,
        bootstrap=True,
        random_state=settings.seed,
        n_jobs=n_jobs,
    )
    return regressor.fit(rows, np.log(targets))


def forest_of(
    regressor: Any, rows: NDArray[np.float32], targets: NDArray[np.floating], quantiles: Sequence[float]
) -> Forest:
    """The arrays of a forest fitted on ``rows`` and ``targets``; it predicts in the units of ``targets``.

    Args:
        regressor: a fitted forest of scikit-learn's or quantile-forest's.
        rows: ``(n, k)`` float32, what it was fitted on.
        targets: ``(n,)``, what it was fitted on or a rising function of it.
        quantiles: what the forest predicts unless asked otherwise.
    """
    order = np.argsort(targets, kind="stable")
    leaves = np.asarray(regressor.apply(rows)).T[:, order]  # (n_trees, n)
    copies = np.array([np.bincount(drawn, minlength=len(rows)) for drawn in regressor.estimators_samples_])
    copies = copies[:, order]
    weights = np.zeros(leaves.shape, dtype=np.float64)
    for leaf, count, weight in zip(leaves, copies, weights, strict=True):
        weight[:] = count / np.maximum(np.bincount(leaf, weights=count), 1)[leaf]
    return Forest.from_trees(
        nodes=[tree.tree_.__getstate__()["nodes"] for tree in regressor.estimators_],
        y_train=np.asarray(targets)[order],
        leaves=np.where(copies > 0, leaves, -1),
        weights=weights,
        quantiles=quantiles,
        n_features=rows.shape[1],
    )
