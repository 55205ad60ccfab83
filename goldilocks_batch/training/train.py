"""Training as one recipe: split by composition, grow, calibrate, judge, write."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from goldilocks_batch.artifacts.folder import SHA256
from goldilocks_batch.artifacts.record import FEATURE_SCHEMAS
from goldilocks_batch.config.checking import checked, read_yaml
from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.models.calibration import LEVELS, Calibration, conformal_rank
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.forest import ForestSettings, train_forest
from goldilocks_batch.training.label_tables import Target
from goldilocks_batch.training.splits import fold_numbers, holdout

__all__ = [
    "CONFIDENCES",
    "CalibrationSettings",
    "Grown",
    "TrainConfig",
    "bounds_of",
    "cross_validate",
    "fit",
    "forests_to_grow",
    "load_options",
    "load_train_config",
]

#: Levels that every model is judged at: the three published ones and 0.80.
CONFIDENCES = (0.95, 0.90, 0.85, 0.80)


Options = TypeVar("Options", bound=BaseModel)

#: Called after each forest that has been grown.
Grown = Callable[[], None]


class CalibrationSettings(BaseModel):
    """How the labels that calibrate the bounds are set aside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["split", "cross"] = Field(
        "cross", description="split: rows kept from the training; cross: every row, predicted out of fold"
    )
    share: float = Field(0.25, gt=0, lt=1, description="split: share of the rows kept")
    folds: int = Field(10, ge=2, description="cross: number of folds")


class TrainConfig(BaseModel):
    """Every option of ``goldilocks-batch train rf``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("custom", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", description="of the model")
    target: Target = Field(Target(), description="which column holds the label, and what it means")
    feature_schema: str = Field("comp_struct_soap_lattice.v1", description="which features")
    forest: ForestSettings = Field(ForestSettings(), description="how the forest is grown")
    calibration: CalibrationSettings = Field(CalibrationSettings(), description="how it is calibrated")
    test_share: float = Field(
        0.0, ge=0, lt=1, description="share of the rows kept for the evaluation; 0: cross-validate instead"
    )
    validation_folds: int = Field(5, ge=2, description="folds of that cross-validation")
    seed: int = Field(0, ge=0, description="of all splits")
    remarks: tuple[str, ...] = Field((), description="sentences that a run with this model shows")
    describes: str | None = Field(
        None,
        pattern=SHA256,
        description="sha256 of the labels that name and remarks are about; others are refused under them",
    )

    @field_validator("feature_schema")
    @classmethod
    def _schema_is_known(cls, schema: str) -> str:
        if schema not in FEATURE_SCHEMAS:
            raise ValueError(f"'{schema}' is unknown; known are {', '.join(FEATURE_SCHEMAS)}")
        return schema

    def renamed(self, name: str | None, remarks: Sequence[str] = ()) -> Self:
        """The same recipe under a name of its own, with remarks of its own; itself without a name."""
        if name is None:
            return self
        return type(self)(**dict(self) | {"name": name, "remarks": tuple(remarks), "describes": None})

    def check_described(self, dataset: str, sha256: str) -> None:
        """Refuse labels that name and remarks are not about.

        Raises:
            ConfigError: CONFIG_INVALID.
        """
        if self.describes not in (None, sha256):
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"the name '{self.name}' and its remarks describe labels of sha256 {self.describes[:12]}…, "
                f"{dataset} has {sha256[:12]}…: name this model with --name, and say with --remark what a "
                "run with it should show",
            )


def load_train_config(path: Path | None = None, **overrides: object) -> TrainConfig:
    """Read a YAML file of training options and lay overrides over it; None overrides nothing.

    Args:
        path: the file; None for the defaults.
        overrides: options by name; a mapping overrides single options of a section.

    Raises:
        ConfigError: CONFIG_INVALID, the file is missing or no mapping, an option is unknown or has a value it
            does not take.
    """
    return load_options(TrainConfig, path, overrides)


def load_options(kind: type[Options], path: Path | None, overrides: Mapping[str, object]) -> Options:
    """Options of any kind of training; see :func:`load_train_config`."""
    values: dict[str, Any] = read_yaml(path) if path else {}
    for name, value in overrides.items():
        if isinstance(value, Mapping):
            given = {key: inner for key, inner in value.items() if inner is not None}
            section = values.get(name)
            values[name] = {**(section if isinstance(section, Mapping) else {}), **given}
        elif value is not None:
            values[name] = value
    return kind(**checked(kind, values))


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
