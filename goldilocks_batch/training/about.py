"""What a model's record says of its training and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from goldilocks_batch.artifacts.record import Kind
from goldilocks_batch.core.versions import versions
from goldilocks_batch.models.calibration import Calibration
from goldilocks_batch.training.card import describe_training
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.train import (
    CONFIDENCES,
)

__all__ = ["NOT_JUDGED", "Named", "about_model", "calibration_about"]


_GUARANTEES: dict[Kind, str] = {
    "split": "If the calibration rows and a new structure are exchangeable, a bound holds with at least its "
    "stated probability, averaged over structures; nothing is promised for any one kind of structure.",
    "cross": "Each row was predicted by a forest that saw no row of its composition; the final forest saw "
    "all. Coverage is then measured to be close to the stated one, and no finite-sample proof covers it.",
}


NOT_JUDGED = (
    "None yet with this calibration: `goldilocks-batch evaluate` judges it on labels that neither training "
    "nor calibration saw."
)


class Named(Protocol):
    """What the options of every kind of training have in common."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a run with it shows."""


def about_model(
    data: Dataset,
    features: FeatureSet,
    config: Named,
    calibration: Calibration,
    trainer: Mapping[str, Any],
    seed: int,
    quantiles: Sequence[float] = (0.05, 0.5, 0.95),
) -> dict[str, Any]:
    """The fields of a model's record that do not follow from its files, but for its evaluation.

    Args:
        data: what it was trained on.
        features: what it takes.
        config: its name and remarks.
        calibration: its held-out rows.
        trainer: what trained it, and how.
        seed: of all draws.
        quantiles: what it predicts unless asked otherwise.
    """
    version = versions()["goldilocks-batch"]
    return {
        "record_origin": f"goldilocks-batch {version}",
        "name": config.name,
        "calibration": calibration_about(calibration),
        "feature_schema": features.schema,
        "feature_columns": features.columns,
        "feature_parameters": {"cell": features.cell}
        | ({"soap_zeros": features.zeros} if "soap" in features.blocks else {}),
        "quantiles": tuple(quantiles),
        "requires_artifacts": [
            {"name": file.role, "file": file.path.name, "record_id": file.role, "sha256": file.sha256}
            for file in features.files
        ],
        "runtime": {"version": version},
        "target": {
            "contract": "goldilocks.k_distance.mesh_lower_bound.2pi.v1",
            "name": "k_distance",
            "units": "1/angstrom",
        },
        "seed": seed,
        "trainer": trainer,
        "training": describe_training(data),
        "remarks": config.remarks,
    }


def calibration_about(calibration: Calibration) -> dict[str, Any]:
    """What a record says of margins."""
    margins = {f"{c:.2f}": calibration.margins(c) for c in CONFIDENCES}
    return {
        "kind": calibration.kind,
        "rows": len(calibration),
        "guarantee": _GUARANTEES[calibration.kind],
        "margins": {
            level: {name: round(getattr(m, name), 6) for name in ("lower", "upper", "central")}
            for level, m in margins.items()
        },
    }
