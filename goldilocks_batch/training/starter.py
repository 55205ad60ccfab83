"""The model that ships: its recipe.  Any file of k-point lengths or k-distances can train it anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goldilocks_batch.config.training import CalibrationSettings, ForestSettings, Target, TrainConfig
from goldilocks_batch.models.trained_forest import TrainedModel
from goldilocks_batch.training.judged import Judged
from goldilocks_batch.training.recipes import Check, train_model
from goldilocks_batch.training.resources import Resources

__all__ = ["STARTER", "train_starter"]

#: Composition and lattice alone: on the JARVIS labels, grouped cross-validation finds no feature set or
#: setting of the forest (leaves of 3 to 8 rows, 0.1 to 0.4 of the columns) that is better by more than the
#: folds scatter, so the smallest and fastest set is taken and nothing else is tuned.
STARTER = TrainConfig(
    name="starter",
    target=Target(column="kpoint_length", kind="kpoint_length"),
    feature_schema="comp_lattice.v1",
    forest=ForestSettings(n_estimators=200, min_samples_leaf=5, max_features=0.2),
    calibration=CalibrationSettings(kind="cross", folds=10),
    remarks=(
        "starter is trained on JARVIS-DFT's converged k-point lengths (VASP, OptB88vdW, 1 meV per cell), "
        "mostly metals: a stricter protocol than the published models', so its meshes are on the dense side.",
        "It shows what a screening looks like without any download; for production use a published model, or "
        "one trained on labels of your own protocol.",
    ),
    describes="353c355e1f2725000d3302ea1eab91771259d55fbb3d68bb537e0504445bdbe1",
)


def train_starter(
    dataset: Path,
    output: Path,
    *,
    target: Target | None = None,
    name: str | None = None,
    checks: Sequence[Check] = (),
    resources: Resources | None = None,
) -> tuple[TrainedModel, Judged]:
    """Train the starter model.

    Args:
        dataset: any labelled dataset; by default read as a manifest with a column ``kpoint_length``, in Å.
        output: the model's folder.
        target: another column or another kind of label.
        name: of the model; needed for other labels than JARVIS's, whose remarks are then left out.
        checks: datasets that it is judged on besides, for its card.
        resources: how features are had.

    Raises:
        as :func:`~goldilocks_batch.training.recipes.train_model`.
    """
    config = STARTER.renamed(name).model_copy(update={"target": target or STARTER.target})
    return train_model(dataset, config, output, checks=checks, resources=resources)
