"""The stand-in forests against the published library, on the golden features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from goldilocks_batch.artifacts.conversions import with_conversion
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.registry import load_registry
from goldilocks_batch.artifacts.resolve import resolve
from goldilocks_batch.models.bounds import finalise
from goldilocks_batch.models.convert import convert_forest, load_forest
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.forest_pickle import read_forest_pickle
from goldilocks_batch.models.interface import RawBounds

pytestmark = pytest.mark.shared

REGISTRY = Path(__file__).resolve().parents[1] / "registry-standins.toml"
LEVELS = {"95": 0.95, "90": 0.90, "85": 0.85}
RAW = ("raw_lower", "median", "raw_upper")
CORRECTED = ("lower", "median", "upper")


def forest_of(shared: Path, confidence: float) -> Forest:
    resolved = resolve(load_registry(REGISTRY), "rf", confidence, Places(shared / "hub"))
    return read_forest_pickle(resolved.file("forest"))


def golden(shared: Path, level: str, names: tuple[str, ...]) -> NDArray[np.float64]:
    table = pq.read_table(shared / "golden" / "rf.parquet")
    return np.stack([table[f"c{level}_{name}"].to_numpy() for name in names], axis=1)


@pytest.fixture(scope="module")
def features(shared: Path) -> NDArray[np.float64]:
    return np.array(pq.read_table(shared / "golden" / "features.parquet")["features"].to_pylist())


@pytest.mark.parametrize("level", LEVELS)
def test_raw_bounds_are_the_librarys(shared: Path, features: NDArray[np.float64], level: str) -> None:
    found = forest_of(shared, LEVELS[level]).predict(features)
    assert np.abs(found - golden(shared, level, RAW)).max() <= 1e-6


@pytest.mark.parametrize("level", LEVELS)
def test_corrected_bounds_are_the_applications(
    shared: Path, features: NDArray[np.float64], level: str
) -> None:
    correction = load_registry(REGISTRY).model("rf").levels[f"0.{level}"].correction
    raw = forest_of(shared, LEVELS[level]).predict(features).astype(np.float64)
    bounds = finalise(RawBounds(raw), correction)
    assert not bounds.failures
    assert np.abs(bounds.values - golden(shared, level, CORRECTED)).max() <= 1e-6


@pytest.mark.parametrize("level", LEVELS)
def test_the_quantiles_are_those_of_the_confidence(shared: Path, level: str) -> None:
    confidence = LEVELS[level]
    assert np.allclose(forest_of(shared, confidence).quantiles, [1 - confidence, 0.5, confidence])


@pytest.mark.parametrize("level", LEVELS)
def test_a_conversion_gives_the_same_bits(
    shared: Path, features: NDArray[np.float64], level: str, tmp_path: Path
) -> None:
    found = resolve(load_registry(REGISTRY), "rf", LEVELS[level], Places(shared / "hub"))
    converted = with_conversion(found, [tmp_path], convert=convert_forest)
    assert converted.converted is not None
    before, after = (load_forest(model).predict(features) for model in (found, converted))
    assert after.tobytes() == before.tobytes()
