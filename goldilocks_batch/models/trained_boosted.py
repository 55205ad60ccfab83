"""A boosted model on disk: ``model.json``, ``manifest.json`` and arrays in safetensors; no pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goldilocks_batch.artifacts.folder import (
    ModelFolder,
    cannot_be_used,
    packed,
    sha256_of_bytes,
    write_folder,
)
from goldilocks_batch.artifacts.record import BoostedArtifacts, ModelRecord, expect_columns, expect_digests
from goldilocks_batch.artifacts.trained import chosen_tolerance
from goldilocks_batch.config.choices import Cell
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.models.boosted import BoostedParts, group_columns
from goldilocks_batch.models.interface import ModelInputs, RawBounds
from goldilocks_batch.models.nearness import Nearness
from goldilocks_batch.models.scaled import SIZES, Scaled
from goldilocks_batch.models.trees import Trees
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal

__all__ = ["BoostedModel", "CalibratedBoosted", "read_boosted", "write_boosted"]

_TREES, _TRAINING_SET, _CALIBRATION = (
    *("trees.safetensors", "training_set.safetensors"),
    "calibration.safetensors",
)
#: An element that fewer training structures hold is thin.
THIN = 30


class CalibratedBoosted:
    """A boosted model at a tolerance and a confidence, see :class:`~goldilocks_batch.models.interface.Model`.

    The bounds it gives are final: they need no correction.  Rows of thin elements, of small cells, far from
    the training set and of cells larger than any in it are flagged.

    Attributes:
        feature_blocks: what its columns are.
        cell: the one that it was trained on.
        zeros: of no importance: it takes no SOAP features.
    """

    def __init__(self, model: BoostedModel, confidence: float, tolerance: float) -> None:
        self.feature_blocks = model.record.feature_blocks
        self.zeros: Zeros = "exact"
        self.cell: Cell = model.record.cell
        self._parts, self._confidence, self._tolerance = model.parts, confidence, tolerance
        model.scaled.pooled(0, confidence)  # a confidence that cannot be had is refused here
        self._largest = model.record.largest_cell
        counts: Mapping[str, int] = (model.record.training.model_extra or {}).get("element_counts", {})
        self._thin = frozenset(z for z, symbol in enumerate(SYMBOLS) if 0 < int(counts.get(symbol, 0)) < THIN)

    def prepare(self, crystals: Sequence[Crystal]) -> None:
        """Nothing to prepare: features are all that trees take."""

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """Calibrated lower bound, median, calibrated upper bound, and the distance to the training set."""
        if inputs.features is None:
            raise ValueError("boosted trees need features")
        if not len(inputs.features):
            return RawBounds(np.empty((0, 3)), distance=np.empty(0))
        values, distance = self._parts.bounds(inputs.features, self._tolerance, self._confidence)
        flags = {}
        for row, crystal in enumerate(inputs.crystals):
            remarks = {
                "thin_elements": not self._thin.isdisjoint(crystal.numbers.tolist()),
                "small_cell": len(crystal) <= SIZES[0],
                "far_from_training": bool(distance[row] > 1.0),
                "outside_training_cells": len(crystal) > self._largest,
            }
            found = tuple(name for name, holds in remarks.items() if holds)
            if found:
                flags[row] = found
        return RawBounds(values, flags=flags, distance=distance)


@dataclass(frozen=True, slots=True, eq=False)
class BoostedModel:
    """A model folder, read and checked.

    Attributes:
        record: ``model.json``.
        parts: what predicts.
        scaled: its calibration.
        digest: sha256 of ``manifest.json``, which names those of all other files.
    """

    record: ModelRecord
    parts: BoostedParts
    scaled: Scaled
    digest: str

    def at(self, confidence: float, tolerance: float | None = None) -> CalibratedBoosted:
        """The model at a one-sided confidence in (0.5, 1) and a tolerance, by default its smallest.

        Raises:
            ConfigError: it has no such tolerance, or too few calibration rows for the confidence.
        """
        chosen = chosen_tolerance(self.record, tolerance)
        assert chosen is not None  # noqa: S101 - the record of boosted trees names tolerances
        return CalibratedBoosted(self, confidence, chosen)


def write_boosted(
    folder: Path, parts: BoostedParts, about: Mapping[str, Any], extra: Mapping[str, bytes] | None = None
) -> ModelRecord:
    """Write a model; the same arguments give the same bytes.

    Args:
        folder: made if it is missing; files of these names are replaced.
        parts: with their calibration.
        about: the fields of :class:`ModelRecord` that do not follow from the arrays.
        extra: further files by name, e.g. ``card.md``; listed in the manifest.

    Raises:
        ValueError: the parts have no calibration.
        RunError: WRITE_FAILED, the file system refuses.
    """
    if parts.scaled is None:
        raise ValueError("a model is written with its calibration; these parts have none")
    ensembles = {"location": parts.location, "scale": parts.scale}
    trees = {f"{of}.{name}": a for of, t in ensembles.items() for name, a in t.to_arrays().items()}
    files = {
        _TREES: packed(trees),
        _TRAINING_SET: packed(parts.nearness.to_arrays()),
        _CALIBRATION: packed(parts.scaled.to_arrays()),
    }
    artifacts = {f"{name.split('.')[0]}_sha256": sha256_of_bytes(data) for name, data in files.items()}
    record = ModelRecord.model_validate({**about, "artifacts": artifacts})
    write_folder(folder, files | dict(extra or {}), record)
    return record


def read_boosted(folder: Path) -> BoostedModel:
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
    if not isinstance(artifacts, BoostedArtifacts):
        raise cannot_be_used(folder / "model.json", f"it is a model of role {record.role}, not boosted trees")
    expect_columns(folder, record)
    named = {
        _TREES: artifacts.trees_sha256,
        _TRAINING_SET: artifacts.training_set_sha256,
        _CALIBRATION: artifacts.calibration_sha256,
    }
    expect_digests(files, named)
    try:
        columns = group_columns(record.feature_columns)
    except ValueError as error:
        raise cannot_be_used(folder / "model.json", f"groups cannot be made: {error}") from error
    width, arrays = len(record.feature_columns), files.arrays(_TREES)

    def trees(of: str, more: int) -> Trees:
        own = {name.removeprefix(f"{of}."): a for name, a in arrays.items() if name.startswith(f"{of}.")}
        return Trees.from_arrays(own, width + more)

    scaled = Scaled.from_arrays(files.arrays(_CALIBRATION), len(record.tolerances))
    parts = BoostedParts(
        tolerances=record.tolerances,
        location=trees("location", 1),
        scale=trees("scale", 2),
        nearness=Nearness.from_arrays(files.arrays(_TRAINING_SET), width),
        scaled=scaled,
        columns=columns,
    )
    return BoostedModel(record, parts, scaled, files.digest)
