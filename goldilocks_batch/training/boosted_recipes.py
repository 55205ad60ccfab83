"""``evaluate`` and ``calibrate`` of boosted trees, on labels at one of their tolerances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.artifacts.trained import chosen_tolerance
from goldilocks_batch.models.trained_boosted import BoostedModel, read_boosted, write_boosted
from goldilocks_batch.training.boosted_card import boosted_card
from goldilocks_batch.training.card import describe_training
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.judged import failures_file
from goldilocks_batch.training.labelled import Labelled
from goldilocks_batch.training.placement import placed
from goldilocks_batch.training.scaled_fit import calibrate_scaled, small_constants
from goldilocks_batch.training.tolerances import constants_of, intervals
from goldilocks_batch.training.well_known import well_known_table

__all__ = ["boosted_bounds", "calibrate_boosted"]


def boosted_bounds(
    model: BoostedModel, data: Dataset, confidences: Sequence[float], tolerance: float | None
) -> dict[float, NDArray[np.float64]]:
    """Calibrated bounds of a dataset's rows: by confidence ``(n, 3)``, 1/Å.

    Raises:
        ConfigError: the model has no such tolerance, or a confidence needs more calibration rows.
    """
    chosen = chosen_tolerance(model.record, tolerance)
    assert chosen is not None  # noqa: S101 - the record of boosted trees names tolerances
    for confidence in confidences:
        model.scaled.pooled(0, confidence)  # a confidence that cannot be had is refused here
    return dict(zip(confidences, model.parts.bounds_at(data.features, chosen, confidences), strict=True))


def calibrate_boosted(
    model: BoostedModel, data: Dataset, tolerance: float | None, known_compositions: int, output: Path
) -> BoostedModel:
    """Write the same trees with bounds calibrated on labels at one tolerance, which the new model has alone.

    Args:
        model: the trees.
        data: labels that they never saw.
        tolerance: of the labels, meV per atom; the model's smallest by default.
        known_compositions: how many structures share their composition with the training set.
        output: the new model's folder, missing or empty.

    Raises:
        ConfigError: the model has no such tolerance, or the labels are too few for any confidence.
        RunError: WRITE_FAILED.
    """
    chosen = chosen_tolerance(model.record, tolerance)
    assert chosen is not None  # noqa: S101 - the record of boosted trees names tolerances
    kdist = data.kdist[:, None]
    low, high = intervals(kdist, data.supplied, np.zeros(kdist.shape, dtype=bool))
    labelled = Labelled(data.features, (chosen,), low, high, data.formulas, np.ones(len(data)))
    parts = model.parts
    groups = parts.groups(data.features, parts.nearness(data.features))
    location, scale = (values[:, None] for values in parts.ask(data.features, chosen))
    scaled = calibrate_scaled(labelled, location, scale, groups)
    scaled.pooled(0, 0.8)  # too few rows are refused here
    about = model.record.model_dump(mode="json", exclude={"artifacts"}) | {
        "tolerances": (chosen,),
        "constants": constants_of(labelled.label, labelled.tolerances),
        "small_constants": small_constants(labelled, location, groups, None),
        "evaluation": {},  # figures of another calibration say nothing of this one
    }
    about["calibration"] = {
        "method": "conformal_location_scale",
        "kind": "split",
        "rows": len(data),
        "guarantee": f"No row of {data.labels.name} trained the model: coverage of structures like these is "
        "at least the stated one on average, but for the groups' own factors.",
        "dataset": describe_training(data) | {"known_compositions": known_compositions},
    }
    anew = replace(parts, tolerances=(chosen,), scaled=scaled)
    features = FeatureSet(model.record.feature_schema, cell=model.record.cell)
    known = well_known_table(anew, model.record.training.elements, features)
    card = {"card.md": boosted_card(about, "Figures", {}, {}, known).encode()}
    with placed(output) as folder:
        write_boosted(folder, anew, about, card | failures_file(data))
    return read_boosted(output)
