"""A trained model whose features need a published network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from goldilocks_batch import predict
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.record import SCHEMA_ID
from goldilocks_batch.artifacts.registry import load_registry
from goldilocks_batch.artifacts.resolve import resolve_files
from goldilocks_batch.config.training import CalibrationSettings, ForestSettings, Target, TrainConfig
from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.training.recipes import train_model
from goldilocks_batch.training.resources import Resources
from tests.training_data import write_labelled

pytestmark = pytest.mark.shared


def trained(folder: Path, shared: Path, sha256: str | None = None) -> Path:
    """A model of all 483 features; its record names the network's files, or others if so wished."""
    registry = load_registry()
    files = resolve_files(registry, registry.model("rf").files, "rf", Places(shared / "hub"))
    if sha256 is not None:
        files = tuple(replace(file, sha256=sha256) for file in files)
    config = TrainConfig(
        target=Target(column="k_dist"),
        feature_schema=SCHEMA_ID,
        forest=ForestSettings(n_estimators=5),
        calibration=CalibrationSettings(folds=2),
        validation_folds=2,
    )
    labels = write_labelled(folder / "l.parquet", 60)
    train_model(labels, config, folder / "model", resources=Resources(files))
    return folder / "model"


def test_its_network_is_found_like_any_model_file(tmp_path: Path, shared: Path) -> None:
    model = trained(tmp_path, shared)
    crystal = Crystal(3.0 * np.eye(3), np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]), np.array([29, 30]))
    table = predict([crystal], model=str(model), confidence=0.8, artifacts=shared / "hub")
    assert table["status"].to_pylist() == ["ok"]
    with pytest.raises(ModelError, match=r"is_metal\.ckpt") as refusal:
        predict([crystal], model=str(model), confidence=0.8, offline=True)
    assert refusal.value.code == ErrorCode.ARTIFACT_MISSING


def test_another_network_is_refused(tmp_path: Path, shared: Path) -> None:
    model = trained(tmp_path, shared, sha256="0" * 64)
    with pytest.raises(ModelError, match="another network gives other features") as refusal:
        predict([], model=str(model), confidence=0.8, artifacts=shared / "hub")
    assert refusal.value.code == ErrorCode.ARTIFACT_DIGEST
