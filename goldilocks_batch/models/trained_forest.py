"""A trained model on disk: ``model.json``, ``manifest.json`` and arrays in safetensors; no pickle.

``manifest.json`` lists every file of the folder with its size and sha256, ``model.json`` among them, and
``model.json`` says what the numbers mean in the Goldilocks record format; see
:mod:`goldilocks_batch.artifacts.folder` for how they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.artifacts.folder import (
    ModelFolder,
    cannot_be_used,
    packed,
    sha256_of_bytes,
    write_folder,
)
from goldilocks_batch.artifacts.record import Artifacts, ModelRecord, expect_columns, expect_digests
from goldilocks_batch.config.choices import Cell
from goldilocks_batch.core.errors import GoldilocksError
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.models.calibration import LEVELS, Calibration, Margins
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.interface import ModelInputs, RawBounds
from goldilocks_batch.structures.crystal import Crystal

__all__ = [
    "CalibratedForest",
    "TrainedModel",
    "flagged",
    "listed_files",
    "read_model",
    "write_model",
]

_FOREST, _CALIBRATION = "forest.safetensors", "calibration.safetensors"


class CalibratedForest:
    """A trained forest at one confidence, as a :class:`~goldilocks_batch.models.interface.Model`.

    The bounds it gives are final: they need no correction.  A cell larger than any it was trained on is
    flagged ``outside_training_cells``.

    Attributes:
        feature_blocks: what its columns are.
        zeros: what stands for SOAP entries that vanish by symmetry.
        cell: the one that it was trained on.
        margins: what its quantiles are moved by.
    """

    def __init__(self, model: TrainedModel, confidence: float) -> None:
        self.feature_blocks = model.record.feature_blocks
        self.zeros: Zeros = model.record.feature_parameters.get("soap_zeros", "library")
        self.cell: Cell = model.record.cell
        self.margins = model.calibration.margins(confidence)
        self._forest = model.forest
        self._largest = model.record.largest_cell

    def prepare(self, crystals: Sequence[Crystal]) -> None:
        """Nothing to prepare: features are all a forest takes."""

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """Calibrated lower bound, median, calibrated upper bound."""
        if inputs.features is None:
            raise ValueError("a forest needs features")
        raw = self._forest.predict(inputs.features, self.margins.quantiles)
        return RawBounds(self.margins.apply(raw), flags=flagged(inputs, raw, self.margins, self._largest))


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A model folder, read and checked.

    Attributes:
        record: ``model.json``.
        forest: its arrays.
        calibration: its held-out rows.
        digest: sha256 of ``manifest.json``, which names those of all other files.
    """

    record: ModelRecord
    forest: Forest
    calibration: Calibration
    digest: str

    @property
    def levels(self) -> tuple[float, ...]:
        """Quantiles that a calibration is made of."""
        return LEVELS

    def failures(self, crystals: Sequence[Crystal]) -> dict[int, GoldilocksError]:  # noqa: ARG002 - see predict
        """Rows that it can't predict, and why: none that have features."""
        return {}

    def write_anew(
        self, folder: Path, calibration: Calibration, about: Mapping[str, Any], extra: Mapping[str, bytes]
    ) -> ModelRecord:
        """Write it with another calibration; see :func:`write_model`."""
        return write_model(folder, self.forest, calibration, about, extra)

    def predict(
        self,
        features: NDArray[np.floating],
        crystals: Sequence[Crystal],  # noqa: ARG002 - networks take them
        levels: Sequence[float],
    ) -> NDArray[np.float32]:
        """Quantiles of ``(n, k)`` rows, ``(n, len(levels))``, 1/Å."""
        return self.forest.predict(features, levels)

    def at(self, confidence: float) -> CalibratedForest:
        """The model at a one-sided confidence, any in (0.5, 1) that its calibration rows allow.

        Raises:
            ConfigError: see :meth:`~goldilocks_batch.models.calibration.Calibration.margins`.
        """
        return CalibratedForest(self, confidence)


def flagged(
    inputs: ModelInputs, raw: NDArray[np.floating], margins: Margins, largest: float
) -> dict[int, tuple[str, ...]]:
    """What there is to remark on rows: bounds that crossed the median, cells larger than any in training.

    Args:
        inputs: n structures.
        raw: ``(n, 3)`` their quantiles, 1/Å.
        margins: what those are moved by.
        largest: sites of the largest cell in training.
    """
    flags: dict[int, tuple[str, ...]] = dict.fromkeys(
        margins.crossed(raw).tolist(), ("crossed_bounds_repaired",)
    )
    for row, crystal in enumerate(inputs.crystals):
        if len(crystal) > largest:
            flags[row] = (*flags.get(row, ()), "outside_training_cells")
    return flags


def write_model(
    folder: Path,
    forest: Forest,
    calibration: Calibration,
    about: Mapping[str, Any],
    extra: Mapping[str, bytes] | None = None,
) -> ModelRecord:
    """Write a model; the same arguments give the same bytes.

    Args:
        folder: made if it is missing; files of these names are replaced.
        forest: its arrays.
        calibration: its held-out rows.
        about: the fields of :class:`ModelRecord` that do not follow from the arrays.
        extra: further files by name, e.g. ``card.md``; listed in the manifest.

    Raises:
        RunError: WRITE_FAILED, the file system refuses.
    """
    files = {_FOREST: packed(forest.to_arrays()), _CALIBRATION: packed(calibration.to_arrays())}
    artifacts = {
        "estimator_sha256": sha256_of_bytes(files[_FOREST]),
        "calibration_sha256": sha256_of_bytes(files[_CALIBRATION]),
    }
    record = ModelRecord.model_validate({**about, "artifacts": artifacts})
    write_folder(folder, files | dict(extra or {}), record)
    return record


def read_model(folder: Path) -> TrainedModel:
    """Read a model folder by its own records.

    Raises:
        ModelError: ARTIFACT_MISSING; ARTIFACT_DIGEST, a file is not the one the manifest lists;
            ARTIFACT_FORBIDDEN, a file lies outside the folder or is larger than any model needs;
            ARTIFACT_INVALID, the record asks for what is not known here, or arrays are not what they should
            be.
    """
    files = ModelFolder(folder)
    record = files.record(ModelRecord)
    artifacts = record.artifacts
    if not isinstance(artifacts, Artifacts):
        raise cannot_be_used(folder / "model.json", "it is an ensemble of networks, not a forest")
    expect_columns(folder, record)
    named = {_FOREST: artifacts.estimator_sha256, _CALIBRATION: artifacts.calibration_sha256}
    expect_digests(files, named)
    forest = Forest.from_arrays(files.arrays(_FOREST))
    if forest.n_features[0] != len(record.feature_columns):
        raise cannot_be_used(
            folder / _FOREST, f"it takes {forest.n_features[0]} columns, the record has another number"
        )
    calibration = Calibration.from_arrays(files.arrays(_CALIBRATION), record.calibration.kind)
    return TrainedModel(record, forest, calibration, files.digest)


def listed_files(folder: Path) -> set[str]:
    """Names of the files that make the model in a folder, its manifest among them.

    Raises:
        ModelError: there is no manifest, or it is not understood.
    """
    return ModelFolder(folder).names
