"""Model folders: read back by their own records, refused when anything is not as listed."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from goldilocks_batch import predict
from goldilocks_batch.artifacts.record import COLUMN_DIGESTS, FEATURE_SCHEMAS
from goldilocks_batch.config.training import CalibrationSettings, ForestSettings, Target, TrainConfig
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError
from goldilocks_batch.features.table import column_names
from goldilocks_batch.models.bounds import finalise
from goldilocks_batch.models.calibration import Calibration
from goldilocks_batch.models.interface import ModelInputs
from goldilocks_batch.models.trained_forest import read_model
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.training.dataset import load_dataset
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.recipes import train_model
from goldilocks_batch.training.train import bounds_of
from tests.training_data import write_labelled

CONFIG = TrainConfig(
    target=Target(column="k_dist"),
    feature_schema="comp_lattice.v1",
    forest=ForestSettings(n_estimators=8),
    calibration=CalibrationSettings(folds=3),
    validation_folds=2,
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_model(write_labelled(folder / "labels.parquet", 90), CONFIG, folder / "model")
    return folder / "model"


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    copy = tmp_path / "model"
    copy.mkdir()
    for path in original.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def replaced(model: Path, name: str, data: bytes, *, relist: bool = True) -> None:
    """Replace a file; with ``relist`` by somebody who also adjusts the digests."""
    (model / name).write_bytes(data)
    if not relist:
        return
    digest = hashlib.sha256(data).hexdigest()
    if name.endswith(".safetensors"):
        record = json.loads((model / "model.json").read_text())
        key = "estimator" if name.startswith("forest") else "calibration"
        record["artifacts"][f"{key}_sha256"] = digest
        replaced(model, "model.json", json.dumps(record).encode())
    listing = json.loads((model / "manifest.json").read_text())
    for entry in listing["artifacts"]:
        if entry["name"] == name:
            entry |= {"size_bytes": len(data), "sha256": digest}
    (model / "manifest.json").write_text(json.dumps(listing))


def edited(model: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads((model / "model.json").read_text())
    change(record)
    replaced(model, "model.json", json.dumps(record).encode())


def refused(model: Path, code: ErrorCode, *words: str) -> None:
    with pytest.raises(ModelError) as refusal:
        read_model(model)
    assert refusal.value.code == code, refusal.value
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize("schema", FEATURE_SCHEMAS)
def test_schemas_are_pinned_to_the_columns(schema: str) -> None:
    names = "\n".join(column_names(FEATURE_SCHEMAS[schema]))
    assert hashlib.sha256(names.encode()).hexdigest() == COLUMN_DIGESTS[schema]


def test_a_model_is_read_back_by_its_record_alone(original: Path) -> None:
    trained = read_model(original)
    dataset = load_dataset(original.parent / "labels.parquet", CONFIG.target, FeatureSet("comp_lattice.v1"))
    expected = bounds_of(trained.forest, trained.calibration, dataset.features, (0.9,))[0.9]
    found = trained.at(0.9).predict(ModelInputs([], dataset.features)).values
    assert found.tobytes() == expected.tobytes()
    assert trained.record.training_elements == dataset.elements
    assert trained.record.feature_blocks == ("composition", "lattice")
    record = json.loads((original / "model.json").read_text())
    keys = """artifacts calibration feature_columns feature_schema feature_parameters quantiles
        requires_artifacts role runtime seed target task trainer deterministic record_origin
        record_schema_version""".split()
    assert set(keys) <= set(record)
    assert record["target"]["contract"] == "goldilocks.k_distance.mesh_lower_bound.2pi.v1"


def test_bounds_that_cross_the_median_are_repaired_and_flagged(original: Path) -> None:
    trained = read_model(original)
    dataset = load_dataset(original.parent / "labels.parquet", CONFIG.target, FeatureSet("comp_lattice.v1"))
    rows, levels = len(trained.calibration), trained.calibration.levels
    wide = np.geomspace(0.01, 100.0, len(levels))  # labels lie far inside: bounds move past the median
    predictions = (trained.calibration.targets[:, None] * wide).astype(np.float32)
    calibration = Calibration(levels, predictions, trained.calibration.targets, "split")
    model = replace(trained, calibration=calibration).at(0.9)
    inputs = ModelInputs(dataset.cells, dataset.features)
    bounds = finalise(model.predict(inputs), 0.0)
    assert (np.diff(bounds.values, axis=1) >= 0).all()
    assert model.predict(inputs).flags == dict.fromkeys(range(rows), ("crossed_bounds_repaired",))
    kept = trained.at(0.9).predict(inputs)
    assert not any("crossed_bounds_repaired" in names for names in kept.flags.values())


def test_training_twice_gives_the_same_bytes(original: Path, tmp_path: Path) -> None:
    train_model(original.parent / "labels.parquet", CONFIG, tmp_path / "again")
    for path in original.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_cells_larger_than_any_in_training_are_flagged(original: Path) -> None:
    from goldilocks_batch.structures.crystal import Crystal

    cells = [Crystal(np.eye(3) * 9, np.random.default_rng(0).random((n, 3)), np.full(n, 29)) for n in (2, 3)]
    raw = read_model(original).at(0.95).predict(ModelInputs(cells, np.zeros((2, 161))))
    assert raw.flags == {1: ("outside_training_cells",)}


def test_confidences_that_the_rows_cannot_give_are_refused(original: Path) -> None:
    with pytest.raises(ConfigError, match="at least 999 are needed"):
        read_model(original).at(0.999)


@pytest.mark.parametrize("name", ["model.json", "forest.safetensors", "calibration.safetensors"])
def test_a_changed_byte_is_noticed(model: Path, name: str) -> None:
    data = bytearray((model / name).read_bytes())
    data[len(data) // 2] ^= 1
    replaced(model, name, bytes(data), relist=False)
    refused(model, ErrorCode.ARTIFACT_DIGEST, name)


@pytest.mark.parametrize(
    "name", ["manifest.json", "model.json", "forest.safetensors", "calibration.safetensors"]
)
def test_a_missing_file_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    refused(model, ErrorCode.ARTIFACT_MISSING, name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.update(feature_schema="comp_graph.v9"), ["comp_graph.v9", "comp_lattice.v1"]),
        (lambda r: r["target"].update(contract="goldilocks.k_distance.other.v2"), ["target.contract"]),
        (lambda r: r["target"].update(units="1/bohr"), ["target.units"]),
        (
            lambda r: r.update(record_schema_version="v99", role=7),
            ["record_schema_version is 'v99', expected"],
        ),
        (lambda r: r.update(role="estimator_pickle"), ["role"]),
        (lambda r: r.update(quantile_rule="nearest"), ["quantile_rule"]),
        (lambda r: r["calibration"].update(scale="linear"), ["calibration.scale"]),
        (lambda r: r["feature_columns"].reverse(), ["feature columns", "161"]),
        (lambda r: r["feature_columns"].pop(), ["160 feature columns"]),
        (lambda r: r["artifacts"].update(estimator="../forest.safetensors"), ["Artifacts.estimator"]),
        (lambda r: r["artifacts"].update(estimator_sha256="0" * 64), ["another sha256"]),
        (lambda r: r.pop("target"), ["target: Field required"]),
        (lambda r: r["target"].pop("contract"), ["target.contract: Field required"]),
    ],
)
def test_a_record_that_asks_for_what_is_not_known(
    model: Path, change: Callable[[dict[str, Any]], object], words: list[str]
) -> None:
    edited(model, change)
    refused(model, ErrorCode.ARTIFACT_INVALID, *words)


def test_keys_of_other_tools_are_passed_over(model: Path) -> None:
    edited(model, lambda r: r.update(somebody_elses_key={"a": 1}))
    read_model(model)


@pytest.mark.parametrize("name", ["../model.json", "/etc/passwd", "a/b.json", "..", "a\\b", ""])
def test_names_that_leave_the_folder_are_refused(model: Path, name: str) -> None:
    listing = json.loads((model / "manifest.json").read_text())
    listing["artifacts"][0]["name"] = name
    (model / "manifest.json").write_text(json.dumps(listing))
    refused(model, ErrorCode.ARTIFACT_INVALID, "artifacts.0.name")


def test_a_link_out_of_the_folder_is_refused(model: Path, tmp_path: Path) -> None:
    (model / "forest.safetensors").rename(tmp_path / "elsewhere.safetensors")
    (model / "forest.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    refused(model, ErrorCode.ARTIFACT_FORBIDDEN, "forest.safetensors")


def test_a_file_longer_than_listed_is_not_read_to_its_end(model: Path) -> None:
    with (model / "forest.safetensors").open("r+b") as stream:
        stream.truncate(200 * 2**30)  # sparse: reading it would take minutes and all memory
    refused(model, ErrorCode.ARTIFACT_FORBIDDEN, "larger than")


@pytest.mark.parametrize("claimed", [2**63, 2**40, 100 * 2**20, 2**17])
def test_a_header_that_claims_too_much_is_refused(model: Path, claimed: int) -> None:
    data = bytearray((model / "forest.safetensors").read_bytes())
    data[:8] = claimed.to_bytes(8, "little")
    replaced(model, "forest.safetensors", bytes(data))
    refused(model, ErrorCode.ARTIFACT_INVALID, "header claims")


@pytest.mark.parametrize(
    "header",
    [
        {"feature": {"dtype": "I32", "shape": [2**40], "data_offsets": [0, 8]}},
        {"feature": {"dtype": "I32", "shape": [2], "data_offsets": [0, 2**50]}},
        {"feature": {"dtype": "I32", "shape": [2**32, 2**32], "data_offsets": [0, 8]}},
        {"feature": {"dtype": "NONSENSE", "shape": [2], "data_offsets": [0, 8]}},
        {"feature": {"dtype": "I32", "shape": [2], "data_offsets": [0, 8]}},
        [],
    ],
)
def test_arrays_that_claim_more_than_there_is_are_refused(model: Path, header: object) -> None:
    text = json.dumps(header).encode()
    replaced(model, "forest.safetensors", len(text).to_bytes(8, "little") + text + bytes(8))
    refused(model, ErrorCode.ARTIFACT_INVALID)


def test_a_pickle_in_place_of_arrays_is_never_run(model: Path, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "was_run",))

    replaced(model, "forest.safetensors", pickle.dumps(Payload()))
    refused(model, ErrorCode.ARTIFACT_INVALID)
    assert not (tmp_path / "was_run").exists()


def test_a_forest_that_would_lead_prediction_astray_is_refused(model: Path) -> None:
    arrays = load((model / "forest.safetensors").read_bytes())
    arrays["left"] = np.zeros_like(arrays["left"])
    replaced(model, "forest.safetensors", save(arrays))
    refused(model, ErrorCode.ARTIFACT_INVALID, "child")


def test_a_forest_of_other_columns_is_refused(model: Path) -> None:
    arrays = load((model / "forest.safetensors").read_bytes())
    arrays["n_features"] = np.array([200])
    replaced(model, "forest.safetensors", save(arrays))
    refused(model, ErrorCode.ARTIFACT_INVALID, "takes 200 columns")


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"[" * 100_000, b'{"artifacts": 3}', b"\xff\xfe"])
def test_records_that_are_no_records(model: Path, text: bytes) -> None:
    (model / "manifest.json").write_bytes(text)
    refused(model, ErrorCode.ARTIFACT_INVALID, "manifest.json")


def test_a_file_listed_twice_or_not_at_all(model: Path) -> None:
    listing = json.loads((model / "manifest.json").read_text())
    twice = {"artifacts": [*listing["artifacts"], listing["artifacts"][0]]}
    (model / "manifest.json").write_text(json.dumps(twice))
    refused(model, ErrorCode.ARTIFACT_INVALID, "twice")
    without = [entry for entry in listing["artifacts"] if entry["name"] != "forest.safetensors"]
    (model / "manifest.json").write_text(json.dumps({"artifacts": without}))
    refused(model, ErrorCode.ARTIFACT_INVALID, "does not list forest.safetensors")


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    refused(tmp_path, ErrorCode.ARTIFACT_MISSING, "manifest.json")
    (tmp_path / "manifest.json").mkdir()
    refused(tmp_path, ErrorCode.ARTIFACT_FORBIDDEN)


def test_a_model_says_which_cell_it_is_asked_on(model: Path) -> None:
    assert read_model(model).at(0.9).cell == "exact"
    edited(model, lambda record: record["feature_parameters"].pop("cell"))
    assert read_model(model).at(0.9).cell == "averaged"  # as models were that said nothing
    edited(model, lambda record: record["feature_parameters"].update(cell="conventional"))
    refused(model, ErrorCode.ARTIFACT_INVALID, "conventional", "averaged", "exact")


def test_one_crystal_has_one_prediction_in_every_cell(original: Path) -> None:
    """A cell whose c axis is the shortest: as it is, doubled, and with its axes in other places."""
    lattice, frac = np.diag([4.6, 4.7, 2.9]), np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    numbers = np.array([22, 79])
    doubled = np.concatenate([frac, frac + np.array([0, 0, 1])]) / [1, 1, 2]
    cells = [
        Crystal(lattice, frac, numbers),
        Crystal(lattice * [[1], [1], [2]], doubled, np.tile(numbers, 2)),
        Crystal(lattice[[2, 0, 1]], frac, numbers),
    ]
    rows = predict(cells, model=str(original)).to_pylist()
    for name in ("kdist_lower", "kdist_median", "kdist_upper", "primitive_mesh", "primitive_n_kpoints"):
        assert rows[0][name] == rows[1][name] == rows[2][name], name
    assert [row["n_sites_primitive"] for row in rows] == [2, 2, 2]
    assert rows[0]["primitive_mesh"] == [rows[0]["mesh"][axis] for axis in (2, 0, 1)]
