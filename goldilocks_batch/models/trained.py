"""A trained model of any kind, by its own record."""

from __future__ import annotations

from pathlib import Path

from goldilocks_batch.artifacts.folder import ModelFolder
from goldilocks_batch.artifacts.record import ModelRecord
from goldilocks_batch.models.trained_boosted import BoostedModel, read_boosted
from goldilocks_batch.models.trained_forest import TrainedModel, read_model
from goldilocks_batch.models.trained_networks import TrainedNetworks, read_networks_of

__all__ = ["Trained", "read_trained"]

#: Models whose bounds are quantiles moved by margins.
Trained = TrainedModel | TrainedNetworks


def read_trained(folder: Path) -> Trained | BoostedModel:
    """Read a model folder: a forest's, that of an ensemble of networks, or boosted trees'.

    Raises:
        ModelError: as :func:`~goldilocks_batch.models.trained_forest.read_model`.
    """
    record = ModelFolder(folder).record(ModelRecord)
    if record.role == "boosted_trees":
        return read_boosted(folder)
    return read_networks_of(folder) if record.role == "alignn_ensemble" else read_model(folder)
