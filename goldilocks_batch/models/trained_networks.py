"""A trained ensemble of ALIGNN networks on disk, and as a model.

The folder is that of :mod:`goldilocks_batch.models.trained_forest`, with a checkpoint for every network in
place of the forest, in the published layout (``quantile95_0.ckpt``: the number is the weight on
over-prediction in the loss, so 95 is a lower bound), and the table of elements that they were trained with.
Checkpoints are read as tensors and plain values only.
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
from goldilocks_batch.artifacts.record import ModelRecord, NetworkArtifacts, expect_columns
from goldilocks_batch.config.choices import Cell, SingleSite
from goldilocks_batch.core.errors import GoldilocksError
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.models.alignn import Alignn
from goldilocks_batch.models.bounds import SMALLEST_KDIST
from goldilocks_batch.models.calibration import Calibration
from goldilocks_batch.models.interface import ModelInputs, RawBounds
from goldilocks_batch.models.trained_forest import flagged
from goldilocks_batch.networks.alignn.architecture import read_networks
from goldilocks_batch.networks.checkpoint import read_element_table
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["CalibratedNetworks", "TrainedNetworks", "positive", "read_networks_of", "write_networks"]

_CALIBRATION, _ELEMENTS = "calibration.safetensors", "elements.json"


class CalibratedNetworks:
    """Trained networks at one confidence, as a :class:`~goldilocks_batch.models.interface.Model`.

    The bounds it gives are final: they need no correction.

    Attributes:
        feature_blocks: the features beside the graph.
        zeros: SOAP has no part in them.
        cell: the one that it was trained on.
        margins: what the networks' quantiles are moved by.
    """

    def __init__(self, model: TrainedNetworks, confidence: float, device: str) -> None:
        self.feature_blocks = model.record.feature_blocks
        self.zeros: Zeros = "library"
        self.cell: Cell = model.record.cell
        self.margins = model.calibration.margins(confidence)
        self._networks = model.load(self.margins.quantiles, device=device)
        self._largest = model.record.largest_cell

    def prepare(self, crystals: Sequence[Crystal]) -> object:
        """The graphs."""
        return self._networks.prepare(crystals)

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """Calibrated lower bound, median, calibrated upper bound; the spread is that of the networks."""
        raw = self._networks.predict(inputs)
        values = positive(raw.values)
        flags = dict(raw.flags)
        for row, found in flagged(inputs, values, self.margins, self._largest).items():
            flags[row] = (*flags.get(row, ()), *found)
        return RawBounds(self.margins.apply(values), raw.spread, flags, raw.failures)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetworks:
    """A model folder, read and checked.

    Attributes:
        record: ``model.json``.
        folder: where the checkpoints lie.
        artifacts: their names.
        calibration: its held-out rows.
        digest: sha256 of ``manifest.json``, which names those of all other files.
    """

    record: ModelRecord
    folder: Path
    artifacts: NetworkArtifacts
    calibration: Calibration
    digest: str

    def at(self, confidence: float, *, device: str = "cpu") -> CalibratedNetworks:
        """The model at a one-sided confidence, any in (0.5, 1) that its calibration rows allow.

        Args:
            confidence: one-sided.
            device: ``cpu``, ``cuda`` or ``auto``.

        Raises:
            ConfigError: see :meth:`~goldilocks_batch.models.calibration.Calibration.margins`.
            ModelError: a checkpoint is not acceptable.
        """
        return CalibratedNetworks(self, confidence, device)

    def load(self, levels: Sequence[float], *, device: str = "cpu") -> Alignn:
        """The networks of some of the quantiles that were trained, in this order."""
        by_level = dict(zip(self.artifacts.quantiles, self.artifacts.networks.values(), strict=True))
        paths = [[self.folder / name for name in by_level[level]] for level in levels]
        architecture, ensembles = read_networks(
            paths, len(self.record.feature_columns), over=[1.0 - level for level in levels]
        )
        table = read_element_table(self.folder / self.artifacts.elements)
        if table.shape[1] != architecture.atom_inputs:
            raise cannot_be_used(
                self.folder / self.artifacts.elements,
                f"it has {table.shape[1]} numbers an element, the networks take {architecture.atom_inputs}",
            )
        return Alignn.of(
            architecture,
            ensembles,
            table,
            single_site=self.single_site,
            device=device,
        )

    @property
    def single_site(self) -> SingleSite:
        """What is done with a cell of one atom: what was done in training."""
        return "supercell" if self.record.feature_parameters.get("single_site") == "supercell" else "skip"

    @property
    def levels(self) -> tuple[float, ...]:
        """Quantiles that a calibration is made of."""
        return self.artifacts.quantiles

    def failures(self, crystals: Sequence[Crystal]) -> dict[int, GoldilocksError]:
        """Rows that it can't predict, and why: those without a graph of elements that it knows."""
        return dict(self.load([0.5]).prepare(crystals).failures)

    def write_anew(
        self, folder: Path, calibration: Calibration, about: Mapping[str, Any], extra: Mapping[str, bytes]
    ) -> ModelRecord:
        """Write it with another calibration; see :func:`write_networks`."""
        files = ModelFolder(self.folder)
        checkpoints = {
            float(level): [(name, files.checked(name)) for name in names]
            for level, names in self.artifacts.networks.items()
        }
        elements = files.checked(self.artifacts.elements)
        return write_networks(folder, checkpoints, elements, calibration, about, extra)

    def predict(
        self, features: NDArray[np.floating], crystals: Sequence[Crystal], levels: Sequence[float]
    ) -> NDArray[np.float32]:
        """Quantiles of structures, ``(n, len(levels))``, 1/Å, NaN where there is no graph.

        Args:
            features: ``(n, k)``, beside the graph.
            crystals: primitive cells.
            levels: some of those trained.
        """
        inputs = ModelInputs(crystals, np.asarray(features, dtype=np.float64))
        return positive(self.load(levels).predict(inputs).values).astype(np.float32)


def positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outputs as quantiles: a network may give less than any mesh is made for, or less than nothing."""
    return np.maximum(values, SMALLEST_KDIST)


def write_networks(
    folder: Path,
    checkpoints: Mapping[float, Sequence[tuple[str, bytes]]],
    elements: bytes,
    calibration: Calibration,
    about: Mapping[str, Any],
    extra: Mapping[str, bytes] | None = None,
) -> ModelRecord:
    """Write a model; the same arguments give the same bytes.

    Args:
        folder: made if it is missing; files of these names are replaced.
        checkpoints: names and contents of each quantile's.
        elements: the table of elements, JSON.
        calibration: held-out rows.
        about: the fields of :class:`ModelRecord` that do not follow from the files.
        extra: further files by name.

    Raises:
        RunError: WRITE_FAILED, the file system refuses.
    """
    files = {name: data for group in checkpoints.values() for name, data in group}
    files |= {_ELEMENTS: elements, _CALIBRATION: packed(calibration.to_arrays()), **dict(extra or {})}
    artifacts = {
        "networks": {f"{level:g}": [name for name, _ in checkpoints[level]] for level in sorted(checkpoints)},
        "calibration_sha256": sha256_of_bytes(files[_CALIBRATION]),
    }
    record = ModelRecord.model_validate(
        {**about, "artifacts": artifacts, "role": "alignn_ensemble", "quantile_rule": "network_mean.v1"}
    )
    write_folder(folder, files, record)
    return record


def read_networks_of(folder: Path) -> TrainedNetworks:
    """Read a model folder by its own records; every file is checked, networks are loaded later.

    Raises:
        ModelError: as :func:`~goldilocks_batch.models.trained_forest.read_model`.
    """
    files = ModelFolder(folder)
    record = files.record(ModelRecord)
    artifacts = record.artifacts
    if not isinstance(artifacts, NetworkArtifacts):
        raise cannot_be_used(folder / "model.json", "it is a forest, not an ensemble of networks")
    expect_columns(folder, record)
    for name in artifacts.names:
        files.checked(name)
    if files.sha256(_CALIBRATION) != artifacts.calibration_sha256:
        raise cannot_be_used(
            folder / "model.json", f"it names another sha256 for {_CALIBRATION} than manifest.json"
        )
    calibration = Calibration.from_arrays(files.arrays(_CALIBRATION), record.calibration.kind)
    if not set(calibration.levels.tolist()) <= set(artifacts.quantiles):
        raise cannot_be_used(folder / _CALIBRATION, "it is of quantiles that no network here predicts")
    return TrainedNetworks(record, folder, artifacts, calibration, files.digest)
