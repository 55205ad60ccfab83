"""Boosted trees: the kernel against LightGBM, bounds in order, records that ask for too much."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.artifacts.folder import ModelFolder, packed, write_folder
from goldilocks_batch.artifacts.record import ModelRecord
from goldilocks_batch.artifacts.trained import shipped_model
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError
from goldilocks_batch.models.boosted import BoostedParts
from goldilocks_batch.models.scaled import FAMILIES, KNOTS, Groups, Scaled
from goldilocks_batch.models.trained_boosted import BoostedModel, read_boosted
from goldilocks_batch.models.trees import MOST_LEAVES, Trees


@pytest.fixture(scope="module")
def model() -> BoostedModel:
    return read_boosted(shipped_model("mc3d"))


@pytest.fixture(scope="module")
def rows(model: BoostedModel) -> NDArray[np.float64]:
    """Features around those of the training set."""
    rng = np.random.default_rng(3)
    nearness = model.parts.nearness
    back = np.linalg.pinv(nearness.axes)
    points = nearness.points[rng.integers(len(nearness.points), size=200)].astype(np.float64)
    found: NDArray[np.float64] = nearness.centre + points @ back
    found[:, model.parts.columns["sites"]] = rng.integers(1, 80, 200)
    found[:, model.parts.columns["metals"]] = rng.choice([0.0, 0.5, 1.0], 200)
    found[:, model.parts.columns["system"]] = rng.integers(1, 8, 200)
    return found


@pytest.mark.parametrize(("extra", "leaves"), [(False, 31), (True, 31), (False, 2), (False, MOST_LEAVES)])
def test_trees_give_what_the_library_gives(extra: bool, leaves: int) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(0)
    table = rng.normal(size=(500, 6))
    target = np.sin(table[:, 0]) + table[:, 1] * table[:, 2]
    options = {"objective": "huber", "verbosity": -1, "num_threads": 1, "extra_trees": extra}
    options |= {"num_leaves": leaves, "min_data_in_leaf": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(table, target), 30)
    trees = Trees.from_dump(booster.dump_model())
    other = rng.normal(size=(333, 6)) * 2
    np.testing.assert_allclose(trees.predict(other), booster.predict(other), rtol=0, atol=1e-12)
    arrays = Trees.from_arrays(trees.to_arrays(), 6)
    np.testing.assert_array_equal(arrays.predict(other), trees.predict(other))
    for value in (-1.0, 0.0, *trees.thresholds[trees.features == 2][:1].tolist()):
        other[:, 2] = value
        found = trees.where(2, value)
        assert not (found.features[_reached(found)] == 2).any()
        other[:, 2] = 99.0  # nobody asks
        one = found.predict(other)
        other[:, 2] = value
        np.testing.assert_allclose(one, trees.predict(other), rtol=0, atol=1e-12)


def _reached(trees: Trees) -> NDArray[np.int64]:
    """Nodes that a row may come to."""
    found, links = [], [root for root in trees.roots.tolist() if root >= 0]
    while links:
        found.append(links.pop())
        links += [child for child in trees.children[found[-1]].tolist() if child >= 0]
    return np.array(found, dtype=np.int64)


def test_ensembles_that_share_a_column_are_one() -> None:
    """Each answers where it should, alone and in a weighted sum."""
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(1)
    table = rng.normal(size=(400, 4))
    options = {"objective": "huber", "verbosity": -1, "num_threads": 1, "num_leaves": MOST_LEAVES - 2}
    options["min_data_in_leaf"] = 1
    boosters = [
        lightgbm.train(options, lightgbm.Dataset(table, table[:, 0] * k + table[:, 1] ** 2), 12)
        for k in range(4)
    ]
    every, low, middle, high = (Trees.from_dump(booster.dump_model()) for booster in boosters)
    parts = (every, low.within(4, None, 1.0), middle.within(4, 1.0, 2.0), high.within(4, 2.0, None))
    whole = Trees.weighted(parts, (0.25, 0.75, 0.75, 0.75))
    whole = Trees.from_arrays(whole.to_arrays(), 5)
    other = np.column_stack([rng.normal(size=(300, 4)), rng.choice([0.0, 1.0, 1.5, 2.0, 2.1], 300)])
    asked = np.digitize(other[:, 4], [1.0, 2.0], right=True)
    predicted = np.array([booster.predict(other[:, :4]) for booster in boosters])
    expected = 0.25 * predicted[0] + 0.75 * predicted[1 + asked, np.arange(300)]
    np.testing.assert_allclose(whole.predict(other), expected, rtol=0, atol=1e-12)
    for value in (0.0, 1.0, 1.5, 2.1):
        rows = other[:, 4] == value
        alone = whole.where(4, value)
        assert len(alone.roots) == 24, "trees of other values are left out"
        np.testing.assert_allclose(alone.predict(other[rows, :4]), expected[rows], rtol=0, atol=1e-12)


def test_trees_that_are_single_leaves() -> None:
    none = np.empty(0)
    trees = Trees(
        *(np.array([-1, -2], dtype=np.int32), none.astype(np.int16), none),
        *(np.empty((0, 2), dtype=np.int32), np.array([0.5, 0.25])),
    )
    assert Trees.from_arrays(trees.to_arrays(), 3).predict(np.ones((70, 3))).tolist() == [0.75] * 70


def test_trees_of_too_many_leaves_are_refused() -> None:
    nodes = MOST_LEAVES  # a chain, which has a leaf more than nodes
    children = np.array([[-1 - i, i + 1] for i in range(nodes)], dtype=np.int32)
    children[-1, 1] = -1 - nodes
    arrays: dict[str, NDArray[Any]] = {
        "roots": np.zeros(1, dtype=np.int32),
        "features": np.zeros(nodes, dtype=np.int16),
        "thresholds": np.zeros(nodes),
        "children": children,
        "leaves": np.zeros(nodes + 1),
    }
    with pytest.raises(ModelError, match="more than 64 leaves"):
        Trees.from_arrays(arrays, 1)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("features", lambda a: a + 50, "asks a column"),
        ("children", lambda a: np.zeros_like(a), "leads back"),
        ("children", lambda a: np.where(a < 0, -(10**6), a).astype(a.dtype), "not there"),
        ("children", lambda a: np.where(a == -2, -1, a).astype(a.dtype), "the same one"),
        ("leaves", lambda a: a * np.nan, "not finite"),
        ("thresholds", lambda a: a.astype(np.float32), "expected the arrays"),
        ("roots", lambda a: a[:0], "no tree"),
    ],
)
def test_trees_that_lead_astray_are_refused(
    model: BoostedModel, name: str, change: object, words: str
) -> None:
    arrays = model.parts.location.to_arrays()
    arrays[name] = change(arrays[name])  # type: ignore[operator]
    with pytest.raises(ModelError, match=words):
        Trees.from_arrays(arrays, len(model.record.feature_columns) + 1)


def test_bounds_are_ordered_and_fall_with_confidence(model: BoostedModel, rows: NDArray[np.float64]) -> None:
    confidences = (0.501, 0.6, 0.75, 0.8, 0.82, 0.85, 0.87, 0.9, 0.93, 0.95, 0.97, 0.99, 0.995)
    for tolerance in model.record.tolerances:
        bounds = np.array(model.parts.bounds_at(rows, tolerance, confidences))
        assert (bounds > 0).all()
        assert (np.diff(bounds, axis=2) >= 0).all()
        assert (np.diff(bounds[:, :, 0], axis=0) <= 0).all()
        assert (np.diff(bounds[:, :, 2], axis=0) >= 0).all()


@pytest.mark.parametrize("confidence", [0.55, 0.8, 0.95, 0.99])
def test_a_larger_tolerance_is_never_denser(
    model: BoostedModel, rows: NDArray[np.float64], confidence: float
) -> None:
    found = [model.parts.bounds(rows, t, confidence)[0] for t in model.record.tolerances]
    assert (np.diff(np.array(found), axis=0) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_calibration_is_monotone(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    scores = np.sort(rng.normal(size=(1, 200)) * rng.uniform(0.1, 3)).astype(np.float32)
    factors = {name: np.exp(rng.normal(size=(1, len(KNOTS), n))) for name, n in FAMILIES.items()}
    widths = np.sort(rng.uniform(0, 2, (1, len(KNOTS))), axis=1)
    lines = np.stack([rng.uniform(0, 1, (1, len(KNOTS))), rng.normal(size=(1, len(KNOTS)))], axis=2)
    scaled = Scaled(np.zeros(1), scores, widths, factors, lines if data.draw(st.booleans()) else None)
    location, scale = rng.normal(size=20), rng.uniform(0.05, 0.5, 20)
    groups = Groups({name: rng.integers(n, size=20) for name, n in FAMILIES.items()})
    levels = sorted(data.draw(st.lists(st.floats(0.51, 0.99), min_size=2, max_size=5)))
    found = [scaled.below(location, scale, groups, 0, level) for level in levels]
    assert (np.array(found) >= 0).all()
    assert (np.diff(np.array(found), axis=0) >= -1e-12).all()


def test_every_row_is_alone(model: BoostedModel, rows: NDArray[np.float64]) -> None:
    whole, distance = model.parts.bounds(rows, 3.0, 0.9)
    for place in (0, 77, 199):
        own, apart = model.parts.bounds(rows[place : place + 1], 3.0, 0.9)
        np.testing.assert_array_equal(own[0], whole[place])
        np.testing.assert_allclose(apart[0], distance[place], rtol=1e-3)


@pytest.mark.parametrize("tolerance", [2.0, 0.5, 10.0])
def test_a_tolerance_that_the_model_lacks_is_refused(model: BoostedModel, tolerance: float) -> None:
    with pytest.raises(ConfigError, match="it answers at 1 or 3 or 5"):
        model.at(0.95, tolerance)


@pytest.mark.parametrize("confidence", [0.5, 1.0, 0.3, 0.99999])
def test_a_confidence_that_cannot_be_had_is_refused(model: BoostedModel, confidence: float) -> None:
    with pytest.raises(ConfigError):
        model.at(confidence)


def _changed(source: Path, target: Path, change: dict[str, object]) -> Path:
    """The model with another record, listed by its manifest as it is."""
    files = ModelFolder(source)
    record = json.loads(files.checked("model.json")) | change
    kept = {name: files.checked(name) for name in files.names - {"manifest.json", "model.json"}}
    shutil.copytree(source, target)
    write_folder(target, kept, ModelRecord.model_construct(**record))
    return target


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tolerances": [1.0, 3.0]}, "not of 2 tolerances"),
        ({"tolerances": [3.0, 1.0, 5.0]}, "not positive and ascending"),
        ({"tolerances": []}, "name the tolerances"),
        ({"role": "quantile_forest"}, "not made of such files"),
        ({"feature_schema": "comp_lattice.v1"}, "feature columns are not those"),
    ],
)
def test_a_record_that_asks_for_what_it_has_not_is_refused(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    folder = _changed(shipped_model("mc3d"), tmp_path / "model", change)
    with pytest.raises(ModelError, match=words) as caught:
        read_boosted(folder)
    assert caught.value.code == ErrorCode.ARTIFACT_INVALID


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(shipped_model("mc3d"), folder)
    trees = folder / "trees.safetensors"
    data = bytearray(trees.read_bytes())
    data[len(data) // 2] ^= 1
    trees.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        read_boosted(folder)
    assert caught.value.code == ErrorCode.ARTIFACT_DIGEST


def test_the_shipped_model_is_small() -> None:
    size = sum(path.stat().st_size for path in shipped_model("mc3d").iterdir())
    assert size < 6e6


def test_arrays_of_a_training_set_that_do_not_fit_are_refused(model: BoostedModel) -> None:
    from goldilocks_batch.models.nearness import Nearness

    arrays = model.parts.nearness.to_arrays()
    assert packed(arrays) == packed(
        Nearness.from_arrays(arrays, len(model.record.feature_columns)).to_arrays()
    )
    for name, value in (("unit", np.zeros(1)), ("points", arrays["points"][:, :3]), ("centre", np.zeros(3))):
        with pytest.raises(ModelError):
            Nearness.from_arrays(arrays | {name: value}, len(model.record.feature_columns))


def test_parts_without_a_calibration_are_not_written(model: BoostedModel, tmp_path: Path) -> None:
    from dataclasses import replace

    from goldilocks_batch.models.trained_boosted import write_boosted

    parts: BoostedParts = replace(model.parts, scaled=None)
    with pytest.raises(ValueError, match="calibration"):
        write_boosted(tmp_path / "model", parts, {})
