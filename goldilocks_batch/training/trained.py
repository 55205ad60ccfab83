"""A trained model of either kind, by its own record."""

from __future__ import annotations

from pathlib import Path

from goldilocks_batch.models.folder import ModelFolder
from goldilocks_batch.training.alignn_model import TrainedNetworks, read_networks_of
from goldilocks_batch.training.model_record import ModelRecord
from goldilocks_batch.training.record import TrainedModel, read_model

__all__ = ["Trained", "read_trained"]

Trained = TrainedModel | TrainedNetworks


def read_trained(folder: Path) -> Trained:
    """Read a model folder, a forest's or that of an ensemble of networks.

    Raises:
        ModelError: as :func:`~goldilocks_batch.training.record.read_model`.
    """
    record = ModelFolder(folder).record(ModelRecord)
    return read_networks_of(folder) if record.role == "alignn_ensemble" else read_model(folder)
