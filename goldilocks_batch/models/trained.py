"""A trained model of either kind, by its own record."""

from __future__ import annotations

from pathlib import Path

from goldilocks_batch.artifacts.folder import ModelFolder
from goldilocks_batch.artifacts.record import ModelRecord
from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.models.trained_forest import TrainedModel, read_model
from goldilocks_batch.models.trained_networks import TrainedNetworks, read_networks_of

__all__ = ["Trained", "read_trained"]

Trained = TrainedModel | TrainedNetworks


def read_trained(folder: Path) -> Trained:
    """Read a model folder, a forest's or that of an ensemble of networks.

    Raises:
        ModelError: as :func:`~goldilocks_batch.models.trained_forest.read_model`.
    """
    record = ModelFolder(folder).record(ModelRecord)
    if record.role == "boosted_trees":
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"{folder} holds boosted trees, which are judged and calibrated as they are trained "
            "(train boosted): evaluate and calibrate take forests and networks",
        )
    return read_networks_of(folder) if record.role == "alignn_ensemble" else read_model(folder)
