"""The options of ``train alignn``."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from goldilocks_batch.config.choices import SingleSite
from goldilocks_batch.training.alignn_fit import (
    FitSettings,
)
from goldilocks_batch.training.label_tables import Target
from goldilocks_batch.training.train import load_options

__all__ = ["NetworkSettings", "TrainAlignnConfig", "load_train_alignn_config"]


#: Schemas without SOAP, which graphs take the place of; the last has the published networks' 231 columns.
_SCHEMAS = ("comp_lattice.v1", "comp_struct_lattice.v1", "comp_struct_lattice_metal.v1")


class NetworkSettings(BaseModel):
    """The networks' shape; the defaults are those of the published ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class TrainAlignnConfig(BaseModel):
    """Every option of ``goldilocks-batch train alignn``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("custom-alignn", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", description="of the model")
    target: Target = Field(Target(), description="which column holds the label, and what it means")
    feature_schema: str = Field("comp_struct_lattice.v1", description="which features beside the graph")
    single_site: SingleSite = Field("skip", description="cells of one atom, without a line graph")
    network: NetworkSettings = Field(NetworkSettings(), description="shape and number of the networks")
    fit: FitSettings = Field(FitSettings(), description="how they are fitted")
    calibration_share: float = Field(0.2, gt=0, lt=1, description="share of the rows that calibrate")
    stopping_share: float = Field(0.1, gt=0, lt=1, description="share of the others that tell when to stop")
    test_share: float = Field(0.1, gt=0, lt=1, description="share of the rows kept for the evaluation")
    seed: int = Field(0, ge=0, description="of splits, first weights and the order of rows")
    remarks: tuple[str, ...] = Field((), description="sentences that a run with this model shows")

    @field_validator("feature_schema")
    @classmethod
    def _schema_is_known(cls, schema: str) -> str:
        if schema not in _SCHEMAS:
            raise ValueError(f"'{schema}' is none for networks; known are {', '.join(_SCHEMAS)}")
        return schema


def load_train_alignn_config(path: Path | None = None, **overrides: object) -> TrainAlignnConfig:
    """Read a YAML file of options and lay overrides over it; None overrides nothing.

    Raises:
        ConfigError: as :func:`~goldilocks_batch.training.train.load_train_config`.
    """
    return load_options(TrainAlignnConfig, path, overrides)
