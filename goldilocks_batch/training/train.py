"""Training as one recipe: split by composition, grow, calibrate, judge, write."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.training import CalibrationSettings, ForestSettings, TrainConfig
from goldilocks_batch.models.calibration import LEVELS, Calibration, conformal_rank
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.forest import train_forest
from goldilocks_batch.training.splits import fold_numbers, holdout

__all__ = ["CONFIDENCES", "Grown", "bounds_of", "cross_validate", "fit", "forests_to_grow"]

#: Levels that every model is judged at: the three published ones and 0.80.
CONFIDENCES = (0.95, 0.90, 0.85, 0.80)


#: Called after each forest that has been grown.
Grown = Callable[[], None]


def fit(
    features: NDArray[np.floating],
    kdist: NDArray[np.float64],
    groups: Sequence[str] | NDArray[np.str_],
    forest: ForestSettings,
    calibration: CalibrationSettings,
    seed: int,
    *,
    n_jobs: int = 1,
    grown: Grown | None = None,
) -> tuple[Forest, Calibration]:
    """Grow a forest and calibrate it.

    Args:
        features: ``(n, k)``.
        kdist: ``(n,)`` labels, 1/Å.
        groups: ``(n,)`` what must stay together, e.g. reduced formulas.
        forest: how it is grown.
        calibration: how it is calibrated.
        seed: of the split or the folds.
        n_jobs: threads that grow trees.
        grown: told of every forest.

    Raises:
        ConfigError: DATASET_INVALID, there are too few rows or compositions.
    """

    def forest_on(rows: NDArray[np.bool_]) -> Forest:
        found = train_forest(features[rows], kdist[rows], forest, n_jobs=n_jobs)
        if grown is not None:
            grown()
        return found

    if calibration.kind == "split":
        held = holdout(groups, calibration.share, seed)
        advice = "add labels, or let every row calibrate (calibration.kind: cross)"
        conformal_rank(int(held.sum()), max(CONFIDENCES), advice)  # before the work, not after it
        trained = forest_on(~held)
        return trained, _calibration(trained.predict(features[held], LEVELS), kdist[held], "split")
    folds = fold_numbers(groups, calibration.folds, seed)
    conformal_rank(len(kdist), max(CONFIDENCES), "add labels")
    predictions = np.empty((len(kdist), len(LEVELS)), dtype=np.float32)
    for fold in range(calibration.folds):
        out = folds == fold
        predictions[out] = forest_on(~out).predict(features[out], LEVELS)
    return forest_on(np.ones(len(kdist), dtype=bool)), _calibration(predictions, kdist, "cross")


def _calibration(
    predictions: NDArray[np.float32], kdist: NDArray[np.float64], kind: Literal["split", "cross"]
) -> Calibration:
    return Calibration(np.array(LEVELS), predictions, kdist.astype(np.float32), kind)


def bounds_of(
    forest: Forest,
    calibration: Calibration,
    features: NDArray[np.floating],
    confidences: Sequence[float] = CONFIDENCES,
    *,
    central: bool = False,
) -> dict[float, NDArray[np.float64]]:
    """Calibrated bounds of ``(n, k)`` rows by confidence, each ``(n, 3)``, 1/Å; one pass for all.

    With ``central`` both bounds are moved by one margin, and hold together for ``2 c - 1`` of the rows.
    """
    margins = [calibration.margins(confidence) for confidence in confidences]
    wanted = sorted({quantile for m in margins for quantile in m.quantiles})
    raw = forest.predict(features, wanted)
    return {
        m.confidence: m.apply(raw[:, [wanted.index(q) for q in m.quantiles]], central=central)
        for m in margins
    }


def cross_validate(
    dataset: Dataset,
    config: TrainConfig,
    confidences: Sequence[float] = CONFIDENCES,
    *,
    n_jobs: int = 1,
    grown: Grown | None = None,
) -> tuple[dict[float, NDArray[np.float64]], dict[float, NDArray[np.float64]]]:
    """Bounds of every row from a whole training, calibration included, that saw no row of its composition.

    Returns:
        By confidence ``(n, 3)``, 1/Å: one-sided bounds; two-sided intervals.
    """
    folds = fold_numbers(dataset.formulas.tolist(), config.validation_folds, config.seed + 1)
    found = [{confidence: np.empty((len(dataset), 3)) for confidence in confidences} for _ in range(2)]
    for fold in range(config.validation_folds):
        out = folds == fold
        seen = dataset.take(~out)
        trained = fit(
            seen.features,
            seen.kdist,
            seen.formulas,
            config.forest,
            config.calibration,
            config.seed,
            n_jobs=n_jobs,
            grown=grown,
        )
        for central, bounds in enumerate(found):
            fold_bounds = bounds_of(*trained, dataset.features[out], confidences, central=bool(central))
            for confidence, values in fold_bounds.items():
                bounds[confidence][out] = values
    return found[0], found[1]


def forests_to_grow(config: TrainConfig) -> int:
    """How many forests a training grows, those of its calibration and cross-validation included."""
    each = config.calibration.folds + 1 if config.calibration.kind == "cross" else 1
    return each if config.test_share else each * (1 + config.validation_folds)


def trainer_about(config: TrainConfig) -> Mapping[str, Any]:
    """For the record: what grew the trees, and how."""
    return {
        "library": "quantile-forest",
        "version": importlib.metadata.version("quantile-forest"),
        "scikit_learn": importlib.metadata.version("scikit-learn"),
        "settings": config.model_dump(mode="json", exclude={"remarks", "describes"}),
    }
