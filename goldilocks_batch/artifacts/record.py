"""What ``model.json`` holds: the Goldilocks record format, as far as it is used here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from goldilocks_batch.artifacts.folder import (
    PLAIN_NAME,
    SHA256,
    ModelFolder,
    RecordPart,
    cannot_be_used,
    sha256_of_bytes,
)
from goldilocks_batch.config.choices import Cell

__all__ = [
    "COLUMN_DIGESTS",
    "FEATURE_SCHEMAS",
    "SCHEMA_ID",
    "Artifacts",
    "BoostedArtifacts",
    "Kind",
    "ModelRecord",
    "NetworkArtifacts",
    "expect_columns",
    "expect_digests",
]

#: How calibration rows are set aside: a split of their own, or every row once by cross-validation.
Kind = Literal["split", "cross"]


#: Identifier of the 483-column schema in the records of published models.
SCHEMA_ID = "comp_struct_soap_lattice_metal.v1"

#: Feature schemas and their blocks; only the last needs a downloaded network.
FEATURE_SCHEMAS: dict[str, tuple[str, ...]] = {
    "comp_lattice.v1": ("composition", "lattice"),
    "comp_struct_lattice.v1": ("composition", "structure", "lattice"),
    "comp_struct_soap_lattice.v1": ("composition", "structure", "soap", "lattice"),
    SCHEMA_ID: ("composition", "structure", "soap", "lattice", "metallicity"),
    "comp_struct_lattice_metal.v1": ("composition", "structure", "lattice", "metallicity"),
    "comp_struct_physics_elements.v1": ("composition", "structure", "physics", "elements"),
    "comp_struct_physics_bands.v1": ("composition", "structure", "physics", "elements", "bands"),
}

#: Sha256 of each schema's column names, one a line: another name or order is another schema.
COLUMN_DIGESTS = {
    "comp_lattice.v1": "233eebd1516e66d691db3e00224b25b6861ff06619e7b72ea21b92878fa45f42",
    "comp_struct_lattice.v1": "6e318b30c75a64ff43d7816d067850538d731a3902293e3964676d6c5cb1c122",
    "comp_struct_soap_lattice.v1": "e0d80da3feab0e45b7f9bb65911afb277cb872e8cfd171c776dcad12cbdce7af",
    SCHEMA_ID: "58e5a2a1e6e60a953094f6621dea46dc62c743dccd282ec258613c697010fbc1",
    "comp_struct_lattice_metal.v1": "713da4dbc314a22b6aeee620552c425af075b57bc7dbc08b508035722f9fc239",
    "comp_struct_physics_elements.v1": "5dce2afaa633bafa6f43fc686951c67c2ce47f6a4871c5de45b2d57860562410",
    "comp_struct_physics_bands.v1": "979abe231b9b4f43170462355beacb0f598a3860ccd89190ae7d8343b67a054d",
}


class Artifacts(RecordPart):
    """The files that make the model."""

    estimator: Literal["forest.safetensors"] = "forest.safetensors"
    estimator_sha256: str = Field(pattern=SHA256)
    calibration: Literal["calibration.safetensors"] = "calibration.safetensors"
    calibration_sha256: str = Field(pattern=SHA256)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files."""
        return self.estimator, self.calibration


class NetworkArtifacts(RecordPart):
    """The files that make an ensemble of networks.

    Attributes:
        networks: checkpoints by the quantile they predict, ascending, as ``0.05``.
    """

    networks: dict[str, tuple[str, ...]] = Field(min_length=2)
    elements: Literal["elements.json"] = "elements.json"
    calibration: Literal["calibration.safetensors"] = "calibration.safetensors"
    calibration_sha256: str = Field(pattern=SHA256)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files."""
        return *(name for group in self.networks.values() for name in group), self.elements, self.calibration

    @property
    def quantiles(self) -> tuple[float, ...]:
        """Predicted ones, ascending."""
        return tuple(float(quantile) for quantile in self.networks)


class BoostedArtifacts(RecordPart):
    """The files that make a model of boosted trees."""

    trees: Literal["trees.safetensors"] = "trees.safetensors"
    trees_sha256: str = Field(pattern=SHA256)
    training_set: Literal["training_set.safetensors"] = "training_set.safetensors"
    training_set_sha256: str = Field(pattern=SHA256)
    calibration: Literal["calibration.safetensors"] = "calibration.safetensors"
    calibration_sha256: str = Field(pattern=SHA256)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files."""
        return self.trees, self.training_set, self.calibration


class CalibrationAbout(RecordPart):
    """How bounds are calibrated; ``margins`` (log kdist) are for people, loading computes them anew.

    ``dataset`` describes the labels if they are others than those of the training.
    """

    method: Literal["conformalized_quantile_regression", "conformal_location_scale"] = (
        "conformalized_quantile_regression"
    )
    scale: Literal["log"] = "log"
    kind: Kind
    dataset: dict[str, Any] | None = None
    rows: int = Field(ge=1)
    guarantee: str
    margins: dict[str, dict[str, float]] = Field(default_factory=dict)


class Required(RecordPart):
    """A file of another model that the features need."""

    name: str
    file: str
    record_id: str
    sha256: str = Field(pattern=SHA256)


class Runtime(RecordPart):
    """What predicts."""

    id: str = "goldilocks-batch"
    version: str


class TargetAbout(RecordPart):
    """What is predicted."""

    contract: Literal["goldilocks.k_distance.mesh_lower_bound.2pi.v1"]
    name: str = "k_distance"
    units: Literal["1/angstrom"]


class TrainingAbout(RecordPart):
    """The labels: what a user should know of them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    dataset: str = ""
    dataset_sha256: str = ""
    labels: int = 0
    elements: tuple[str, ...] = ()
    sites: dict[str, int] = Field(default_factory=dict)


class ModelRecord(RecordPart):
    """``model.json``.

    Attributes:
        training: labels, elements, cell sizes, settings: what a user should know of the data.
        evaluation: figures on rows that the model they were measured on never saw.
        remarks: for the summary of a run, a sentence each.
        tolerances: meV per atom that a model of boosted trees answers at, ascending.
        constants: by tolerance and confidence, the constant k-distance that covers as many labels, 1/Å.
        small_constants: the same for primitive cells of up to ``small_sites`` atoms.
        small_sites: 0 where such cells have no constant of their own.
    """

    record_schema_version: Literal["goldilocks_batch.model_record.v1"] = "goldilocks_batch.model_record.v1"
    record_origin: str
    name: str = Field(pattern=PLAIN_NAME)
    task: Literal["k_distance"] = "k_distance"
    role: Literal["quantile_forest", "alignn_ensemble", "boosted_trees"] = "quantile_forest"
    artifacts: Artifacts | NetworkArtifacts | BoostedArtifacts
    calibration: CalibrationAbout
    feature_schema: str
    feature_columns: tuple[str, ...]
    feature_parameters: dict[str, Any]
    quantiles: tuple[float, ...]
    quantile_rule: Literal["meinshausen_weights.linear.v1", "network_mean.v1", "location_scale.v1"] = (
        "meinshausen_weights.linear.v1"
    )
    tolerances: tuple[float, ...] = ()
    constants: dict[str, dict[str, float]] = Field(default_factory=dict)
    small_constants: dict[str, dict[str, float]] = Field(default_factory=dict)
    small_sites: int = 0
    requires_artifacts: tuple[Required, ...] = ()
    runtime: Runtime
    seed: int
    deterministic: bool = True
    target: TargetAbout
    trainer: dict[str, Any]
    training: TrainingAbout = TrainingAbout()
    evaluation: dict[str, Any] = Field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @field_validator("feature_schema")
    @classmethod
    def _schema_is_known(cls, schema: str) -> str:
        if schema not in FEATURE_SCHEMAS:
            raise ValueError(f"feature schema '{schema}' is unknown; known are {', '.join(FEATURE_SCHEMAS)}")
        return schema

    @field_validator("feature_parameters")
    @classmethod
    def _cell_is_known(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters.get("cell", "averaged") not in get_args(Cell):
            raise ValueError(f"it is asked on a cell '{parameters['cell']}'; known are averaged and exact")
        return parameters

    @model_validator(mode="after")
    def _role_fits_files(self) -> ModelRecord:
        kinds = {"alignn_ensemble": NetworkArtifacts, "boosted_trees": BoostedArtifacts}
        if not isinstance(self.artifacts, kinds.get(self.role, Artifacts)):
            raise ValueError(f"a model of role {self.role} is not made of such files")
        return self

    @model_validator(mode="after")
    def _tolerances_are_in_order(self) -> ModelRecord:
        if (self.role == "boosted_trees") != bool(self.tolerances):
            raise ValueError("boosted trees name the tolerances that they answer at, and no other model does")
        if list(self.tolerances) != sorted(set(self.tolerances)) or any(t <= 0 for t in self.tolerances):
            raise ValueError(f"tolerances {self.tolerances} are not positive and ascending")
        return self

    @property
    def feature_blocks(self) -> tuple[str, ...]:
        """The blocks of features, in order."""
        return FEATURE_SCHEMAS[self.feature_schema]

    @property
    def cell(self) -> Cell:
        """The cell that it is asked on; the averaged one, if trained before there was a choice."""
        cell: Cell = self.feature_parameters.get("cell", "averaged")
        return cell

    @property
    def training_elements(self) -> tuple[str, ...]:
        """Symbols of the elements that it was trained on."""
        return self.training.elements

    @property
    def largest_cell(self) -> float:
        """Sites of the largest primitive cell that it was trained on; infinite if that is not known."""
        return self.training.sites.get("largest", math.inf)


def expect_columns(folder: Path, record: ModelRecord) -> None:
    """Refuse a record whose columns are not those of its feature schema.

    Raises:
        ModelError: ARTIFACT_INVALID.
    """
    digest = sha256_of_bytes("\n".join(record.feature_columns).encode())
    if digest != COLUMN_DIGESTS[record.feature_schema]:
        raise cannot_be_used(
            folder / "model.json",
            f"its {len(record.feature_columns)} feature columns are not those of {record.feature_schema}",
        )


def expect_digests(files: ModelFolder, named: Mapping[str, str]) -> None:
    """Refuse a record that names other digests than the manifest for some of the files.

    Args:
        files: the model's folder.
        named: the sha256 that the record names, by file.

    Raises:
        ModelError: ARTIFACT_INVALID.
    """
    for name, sha256 in named.items():
        if files.sha256(name) not in (None, sha256):
            raise cannot_be_used(
                files.path / "model.json", f"it names another sha256 for {name} than manifest.json"
            )
