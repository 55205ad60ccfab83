"""What a training is asked to do: options of ``train rf`` and ``train alignn``, and what labels mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from goldilocks_batch.config.checking import Options, read_yaml
from goldilocks_batch.config.choices import FeatureSchema, NetworkSchema, SingleSite, TargetKind
from goldilocks_batch.config.flags import LABELS, TRAINING, Flag
from goldilocks_batch.config.labels import OnLabels
from goldilocks_batch.core.errors import ConfigError, ErrorCode

__all__ = [
    "BoostedSettings",
    "CalibrationSettings",
    "FitSettings",
    "ForestSettings",
    "NetworkSettings",
    "Studies",
    "Target",
    "TrainAlignnConfig",
    "TrainBoostedConfig",
    "TrainConfig",
    "load_train_alignn_config",
    "load_train_boosted_config",
    "load_train_config",
]

Kind = TypeVar("Kind", bound=Options)

#: What a model may be called: its name becomes that of files.
_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
_SHA256 = r"^[0-9a-f]{64}$"


class _Section(BaseModel):
    """A part of a configuration; what is wrong with it is told by the whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(Options):
    """Which column holds the label, and what it means."""

    column: Annotated[
        str | None, Flag(LABELS, name="--target", default="k_dist, kdist, kspacing or the like")
    ] = Field(None, description="column of labels")
    kind: Annotated[TargetKind, Flag(LABELS)] = Field(
        "kdist", description="kdist: 1/Å with the 2π; kpoint_length: L in Å, kdist = 2π/L"
    )
    at_most: Annotated[str | None, Flag(LABELS, default="")] = Field(
        None, description="for evaluation: column of limits that labels which are missing do not exceed"
    )


class ForestSettings(_Section):
    """How a forest is grown.

    Trees split on the mean squared error of ``log kdist``: k-point counts go with a power of kdist, so equal
    ratios matter equally.
    """

    n_estimators: int = Field(100, ge=1, description="trees")
    min_samples_leaf: int = Field(5, ge=1, description="training rows in a leaf, at least")
    max_features: float = Field(0.3, gt=0, le=1, description="share of the columns tried at a split")
    max_depth: int | None = Field(None, ge=1, description="levels of a tree; null: no limit")
    seed: int = Field(0, ge=0, description="of the bootstrap and of the columns tried")


class CalibrationSettings(_Section):
    """How the labels that calibrate the bounds are set aside."""

    kind: Literal["split", "cross"] = Field(
        "cross", description="split: rows kept from the training; cross: every row, predicted out of fold"
    )
    share: float = Field(0.25, gt=0, lt=1, description="split: share of the rows kept")
    folds: int = Field(10, ge=2, description="cross: number of folds")


class TrainConfig(OnLabels):
    """Every option of ``goldilocks-batch train rf``."""

    name: Annotated[str, Flag(TRAINING)] = Field("custom", pattern=_NAME, description="name of the model")
    target: Target = Field(Target(), description="which column holds the label, and what it means")
    feature_schema: Annotated[FeatureSchema, Flag(TRAINING, name="--features")] = Field(
        "comp_struct_soap_lattice.v1",
        description="which features; comp_struct_soap_lattice_metal.v1 is all that the published forest "
        "takes, with the metallicity network",
    )
    forest: ForestSettings = Field(ForestSettings(), description="how the forest is grown")
    calibration: CalibrationSettings = Field(CalibrationSettings(), description="how it is calibrated")
    test_share: Annotated[float, Flag(TRAINING)] = Field(
        0.0, ge=0, lt=1, description="share of the rows kept for the evaluation; 0: cross-validate instead"
    )
    validation_folds: int = Field(5, ge=2, description="folds of that cross-validation")
    seed: Annotated[int, Flag(TRAINING)] = Field(0, ge=0, description="seed of all splits")
    remarks: Annotated[tuple[str, ...], Flag(TRAINING, name="--remark", default="")] = Field(
        (), description="a sentence that a run with the model shows; may be repeated"
    )
    describes: str | None = Field(
        None,
        pattern=_SHA256,
        description="sha256 of the labels that name and remarks are about; others are refused under them",
    )

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


class NetworkSettings(_Section):
    """The networks' shape; the defaults are those of the published ones."""

    hidden: int = Field(64, ge=4, description="width of all features")
    alignn_layers: int = Field(4, ge=1, description="layers that update bonds, then atoms")
    gcn_layers: int = Field(4, ge=0, description="layers that update atoms alone")
    members: int = Field(3, ge=1, description="networks of each quantile; a bound is their mean")
    quantiles: tuple[float, ...] = Field((0.05, 0.5, 0.95), description="predicted, 0.5 among them")

    @field_validator("quantiles")
    @classmethod
    def _in_order(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        ascending = all(a < b for a, b in pairwise(quantiles))
        if not ascending or 0.5 not in quantiles or not 0 < quantiles[0] < 0.5 < quantiles[-1] < 1:
            raise ValueError("must ascend between 0 and 1, with 0.5 and some on either side of it")
        return quantiles


class FitSettings(_Section):
    """How networks are fitted."""

    epochs: Annotated[int, Flag(TRAINING)] = Field(
        300, ge=1, description="passes over the training rows, at most"
    )
    patience: int = Field(30, ge=1, description="epochs without a better network before the end")
    batch_size: int = Field(32, ge=1, description="structures of a step")
    learning_rate: float = Field(2e-3, gt=0, description="highest of the schedule")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's")
    clip: float = Field(1.0, gt=0, description="largest norm of a network's gradient")
    warm_up: int = Field(3, ge=0, description="epochs in which the learning rate rises")

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, from 0: rising in a line, then half a cosine down to a hundredth."""
        if epoch < self.warm_up:
            return self.learning_rate * (epoch + 1) / (self.warm_up + 1)
        share = (epoch - self.warm_up) / max(1, self.epochs - self.warm_up)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * share)))


class TrainAlignnConfig(OnLabels):
    """Every option of ``goldilocks-batch train alignn``."""

    name: Annotated[str, Flag(TRAINING)] = Field(
        "custom-alignn", pattern=_NAME, description="name of the model"
    )
    target: Target = Field(Target(), description="which column holds the label, and what it means")
    feature_schema: Annotated[NetworkSchema, Flag(TRAINING, name="--features")] = Field(
        "comp_struct_lattice.v1",
        description="which features beside the graph; comp_struct_lattice_metal.v1 is what the published "
        "networks take, with the metallicity network",
    )
    single_site: Annotated[SingleSite, Flag(TRAINING)] = Field(
        "skip",
        description="cells of one atom, which have no bond angles: skip the layers that use them, or double "
        "the cell along its periodic axes",
    )
    network: NetworkSettings = Field(NetworkSettings(), description="shape and number of the networks")
    fit: FitSettings = Field(FitSettings(), description="how they are fitted")
    calibration_share: float = Field(0.2, gt=0, lt=1, description="share of the rows that calibrate")
    stopping_share: float = Field(0.1, gt=0, lt=1, description="share of the others that tell when to stop")
    test_share: Annotated[float, Flag(TRAINING)] = Field(
        0.1, gt=0, lt=1, description="share of the rows kept for the evaluation"
    )
    seed: Annotated[int, Flag(TRAINING)] = Field(
        0, ge=0, description="seed of splits, first weights and the order of rows"
    )
    remarks: Annotated[tuple[str, ...], Flag(TRAINING, name="--remark", default="")] = Field(
        (), description="a sentence that a run with the model shows; may be repeated"
    )


class BoostedSettings(_Section):
    """How trees are boosted; every second one of several ensembles weighs a label by its kdist."""

    trees: int = Field(250, ge=1, description="boosted trees of an ensemble for all tolerances together")
    ensembles: int = Field(2, ge=1, description="of these, averaged; every second weighs labels by kdist")
    own_trees: int = Field(200, ge=0, description="trees of an ensemble for a tolerance alone; 0: none")
    own_ensembles: int = Field(4, ge=1, description="of these for each tolerance, averaged with the former")
    scale_trees: int = Field(200, ge=1, description="trees of the error's scale")
    learning_rate: float = Field(0.1, gt=0, description="of all but those of the scale")
    leaves: int = Field(60, ge=2, le=62, description="of a tree")
    rows_of_leaf: int = Field(20, ge=1, description="structures that each leaf holds at least")
    huber: float = Field(0.3, gt=0, description="error in log kdist from which the loss grows linearly")
    folds: int = Field(10, ge=2, description="by composition, for scale and calibration")
    seed: int = Field(0, ge=0, description="of folds and trees")


class Studies(_Section):
    """Convergence studies of another protocol: they judge a model, and calibrate its smallest cells."""

    path: Path = Field(description="a Parquet manifest with structures")
    columns: dict[float, str] = Field(description="column of labels by tolerance, meV per atom")


class TrainBoostedConfig(OnLabels):
    """Every option of ``goldilocks-batch train boosted``."""

    name: Annotated[str, Flag(TRAINING)] = Field(
        "custom-boosted", pattern=_NAME, description="name of the model"
    )
    columns: dict[float, str] = Field(
        {1.0: "k_dist"}, min_length=1, description="column of labels by tolerance, meV per atom"
    )
    at_least: dict[float, str] = Field(
        {},
        description="column by tolerance that is true where a label is known to be no smaller, and no more",
    )
    structures: Annotated[Path | None, Flag(TRAINING, default="in the dataset")] = Field(
        None, description="Parquet manifest with the structures of the labels, joined by id"
    )
    boosting: BoostedSettings = Field(BoostedSettings(), description="how trees are boosted")
    studies: tuple[Studies, ...] = Field((), description="convergence studies besides, see the card")
    never_converged: float = Field(
        0.0, ge=0, lt=1, description="share of the studies that never converged and are not among the labels"
    )
    test_share: Annotated[float, Flag(TRAINING)] = Field(
        0.0, ge=0, lt=1, description="share of the rows kept for the evaluation; 0: cross-validate instead"
    )
    seed: Annotated[int, Flag(TRAINING)] = Field(0, ge=0, description="seed of that share")
    remarks: Annotated[tuple[str, ...], Flag(TRAINING, name="--remark", default="")] = Field(
        (), description="a sentence that a run with the model shows; may be repeated"
    )


def load_train_boosted_config(path: Path | None = None, **overrides: object) -> TrainBoostedConfig:
    """The same for boosted trees.

    Raises:
        ConfigError: as :func:`load_train_config`.
    """
    return _loaded(TrainBoostedConfig, path, overrides)


def load_train_config(path: Path | None = None, **overrides: object) -> TrainConfig:
    """Read a YAML file of training options and lay overrides over it; None overrides nothing.

    Args:
        path: the file; None for the defaults.
        overrides: options by name; a mapping overrides single options of a section.

    Raises:
        ConfigError: CONFIG_INVALID, the file is missing or no mapping, an option is unknown or has a value it
            does not take.
    """
    return _loaded(TrainConfig, path, overrides)


def load_train_alignn_config(path: Path | None = None, **overrides: object) -> TrainAlignnConfig:
    """The same for networks.

    Raises:
        ConfigError: as :func:`load_train_config`.
    """
    return _loaded(TrainAlignnConfig, path, overrides)


def _loaded(kind: type[Kind], path: Path | None, overrides: Mapping[str, object]) -> Kind:
    values: dict[str, Any] = read_yaml(path) if path else {}
    for name, value in overrides.items():
        if isinstance(value, Mapping):
            given = {key: inner for key, inner in value.items() if inner is not None}
            section = values.get(name)
            values[name] = {**(section if isinstance(section, Mapping) else {}), **given}
        elif value is not None:
            values[name] = value
    return kind(**values)
