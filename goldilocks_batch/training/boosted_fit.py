"""Fit a boosted model: location and scale by LightGBM, calibrated out of fold.

The location is the mean of ensembles of the middle of each label's interval in log kdist, with Huber's loss,
since some labels are wrong: trees that learn all tolerances together, the tolerance being a column along
which predictions may only rise, and trees of each tolerance alone. Ensembles differ in what they draw, and
every second one weighs labels by kdist. The scale is learned from the errors of predictions that saw no row
of the same composition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.training import BoostedSettings
from goldilocks_batch.models.boosted import BoostedParts, location_of, log_tolerance, scale_of
from goldilocks_batch.models.nearness import NEIGHBOURS, Nearness
from goldilocks_batch.models.scaled import Groups
from goldilocks_batch.models.trees import Trees
from goldilocks_batch.training.labelled import Labelled
from goldilocks_batch.training.scaled_fit import More, calibrate_scaled
from goldilocks_batch.training.splits import fold_numbers

__all__ = ["Fitted", "ensembles", "fit_boosted"]

#: What trees of a tolerance alone count beside those of all together.
_ALONE = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fitted model and what it says of its own rows out of fold.

    Attributes:
        parts: the model.
        location: ``(n, t)`` μ of each row from trees that saw no row of its composition.
        scale: ``(n, t)`` w likewise.
        groups: of its own rows, by their distances to the other structures, those of the same composition
            left out.
        folds: ``(n,)``.
        more: studies of the smallest cells that are in the calibration.
    """

    parts: BoostedParts
    location: NDArray[np.float64]
    scale: NDArray[np.float64]
    groups: Groups
    folds: NDArray[np.int64]
    more: More | None


def fit_boosted(
    data: Labelled,
    settings: BoostedSettings,
    columns: Mapping[str, int],
    *,
    extra: Callable[[BoostedParts], More | None] | None = None,
    grown: Callable[[], None] | None = None,
) -> Fitted:
    """Fit location, scale, distance and calibration.

    Args:
        data: the labels.
        settings: how.
        columns: places of the columns that groups are made from, see
            :func:`~goldilocks_batch.models.boosted.group_columns`.
        extra: given the model without its calibration, studies of the smallest cells for it; see
            :func:`~goldilocks_batch.training.scaled_fit.calibrate_scaled`.
        grown: called after each ensemble.
    """
    folds = fold_numbers(data.groups, settings.folds, settings.seed)
    location = np.empty(data.low.shape)
    for fold in range(settings.folds):
        out = folds == fold
        trees = _location(data.take(~out), settings, grown)
        location[out] = _asked(trees, data.features[out], data.tolerances)
    error = np.abs(location - data.label)
    scale = np.empty(data.low.shape)
    for fold in range(settings.folds):
        out = folds == fold
        trees_of_scale = _scale(data, location, error, ~out, settings, grown)
        for place, tolerance in enumerate(data.tolerances):
            scale[out, place] = scale_of(trees_of_scale, data.features[out], location[out, place], tolerance)
    nearness, distance = _nearness(data)
    parts = BoostedParts(
        tolerances=data.tolerances,
        location=_location(data, settings, grown),
        scale=_scale(data, location, error, np.ones(len(folds), dtype=bool), settings, grown),
        nearness=nearness,
        scaled=None,
        columns=dict(columns),
    )
    more = extra(parts) if extra is not None else None
    groups = parts.groups(data.features, distance)
    scaled = calibrate_scaled(data, location, scale, groups, more)
    return Fitted(parts.calibrated(scaled), location, scale, groups, folds, more)


def ensembles(settings: BoostedSettings, tolerances: int) -> int:
    """How many ensembles :func:`fit_boosted` grows for labels at so many tolerances."""
    own = tolerances * settings.own_ensembles if settings.own_trees and tolerances > 1 else 0
    return (1 + settings.ensembles + own) * (settings.folds + 1)


def _asked(trees: Trees, features: NDArray[np.float64], tolerances: tuple[float, ...]) -> NDArray[np.float64]:
    return np.column_stack([location_of(trees, features, tolerance) for tolerance in tolerances])


def _with_tolerance(rows: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Rows and the column of the tolerance, which comes last."""
    return np.column_stack([rows, np.full(len(rows), log_tolerance(tolerance))])


def _parameters(settings: BoostedSettings) -> dict[str, Any]:
    """What makes LightGBM give the same trees each time, and what all ensembles share."""
    return {
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "max_bin": 63,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": settings.seed + 1,
    }


def _location(data: Labelled, settings: BoostedSettings, grown: Callable[[], None] | None) -> Trees:
    """Trees of all tolerances, averaged with those of each alone where there are several."""
    column, places = data.features.shape[1], range(len(data.tolerances))
    parameters = {
        **_parameters(settings),
        "objective": "huber",
        "alpha": settings.huber,
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "feature_fraction": 0.5,
        "feature_fraction_bynode": 0.5,
    }
    rows = np.vstack([_with_tolerance(data.features, tolerance) for tolerance in data.tolerances])
    monotone = {
        "monotone_constraints": [0] * column + [1],
        "min_data_in_leaf": settings.rows_of_leaf * len(places),
    }
    together = _members(
        *(rows, data.middle.T.ravel(), np.tile(data.weights, len(places)), {**parameters, **monotone}),
        *(settings.trees, settings.ensembles, grown),
    )
    if not settings.own_trees or len(places) == 1:
        return Trees.weighted(together, [1.0 / len(together)] * len(together))
    at = [log_tolerance(tolerance) for tolerance in data.tolerances]
    between: list[float | None] = [None, *((a + b) / 2.0 for a, b in pairwise(at)), None]
    own = parameters | {"min_data_in_leaf": settings.rows_of_leaf}
    alone = [
        trees.within(column, between[place], between[place + 1])
        for place in places
        for trees in _members(
            *(data.features, data.middle[:, place], data.weights, own),
            *(settings.own_trees, settings.own_ensembles, grown),
        )
    ]
    shares = [(1.0 - _ALONE) / len(together)] * len(together) + [_ALONE / settings.own_ensembles] * len(alone)
    return Trees.weighted(together + alone, shares)


def _members(
    rows: NDArray[np.float64],
    middle: NDArray[np.float64],
    weights: NDArray[np.float64],
    parameters: Mapping[str, Any],
    trees: int,
    count: int,
    grown: Callable[[], None] | None,
) -> list[Trees]:
    """So many ensembles of so many trees, each of a seed of its own, every second one weighed by kdist."""
    kdist, found = np.exp(middle), []
    for member in range(count):
        own = weights * kdist / kdist.mean() if member % 2 else weights
        found.append(_boost(rows, middle, own, {**parameters, "seed": parameters["seed"] + member}, trees))
        if grown is not None:
            grown()
    return found


def _scale(
    data: Labelled,
    location: NDArray[np.float64],
    error: NDArray[np.float64],
    kept: NDArray[np.bool_],
    settings: BoostedSettings,
    grown: Callable[[], None] | None,
) -> Trees:
    rows = np.vstack(
        [
            _with_tolerance(np.column_stack([data.features[kept], location[kept, place]]), tolerance)
            for place, tolerance in enumerate(data.tolerances)
        ]
    )
    parameters = {
        **_parameters(settings),
        "objective": "huber",
        "alpha": 0.3,
        "learning_rate": 0.05,
        "num_leaves": 12,
        "min_data_in_leaf": 60,
        "feature_fraction": 0.25,
        "lambda_l2": 5.0,
    }
    weights = np.tile(data.weights[kept], len(data.tolerances))
    trees = _boost(rows, error[kept].T.ravel(), weights, parameters, settings.scale_trees)
    if grown is not None:
        grown()
    return trees


def _boost(
    rows: NDArray[np.float64],
    target: NDArray[np.float64],
    weights: NDArray[np.float64],
    parameters: Mapping[str, Any],
    count: int,
) -> Trees:
    import lightgbm

    data = lightgbm.Dataset(rows, target, weight=weights, free_raw_data=True)
    return Trees.from_dump(lightgbm.train(dict(parameters), data, count).dump_model())


def _nearness(data: Labelled, dimensions: int = 16) -> tuple[Nearness, NDArray[np.float64]]:
    """The training set's distances, and those of its own structures to other compositions."""
    centre, spread = data.features.mean(axis=0), data.features.std(axis=0)
    weight = np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0)
    standard = (data.features - centre) * weight
    # the covariance's eigenvectors, the sign of each fixed, so that the same data give the same bytes
    _, vectors = np.linalg.eigh(standard.T @ standard)
    leading = vectors[:, ::-1][:, : min(dimensions, vectors.shape[1])]
    leading = leading * np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
    axes = weight[:, None] * leading
    points = ((data.features - centre) @ axes).astype(np.float32)
    distance = np.empty(len(points))
    length = (points**2).sum(axis=1)
    _, composition = np.unique(data.groups, return_inverse=True)
    for start in range(0, len(points), 512):
        block = slice(start, start + 512)
        square = length[block, None] + length - 2.0 * points[block] @ points.T
        square[composition[block, None] == composition] = np.inf
        kept = min(NEIGHBOURS, square.shape[1]) - 1
        distance[block] = np.sqrt(np.maximum(np.partition(square, kept, axis=1)[:, kept], 0.0))
    finite = distance[np.isfinite(distance)]
    unit = float(np.quantile(finite, 0.95)) if len(finite) else 1.0
    return Nearness(centre, axes, points, np.array([unit])), np.minimum(distance / unit, 1e3)
