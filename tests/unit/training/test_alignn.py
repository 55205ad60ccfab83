"""Training of networks from files to a model folder, and what is done with such a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from goldilocks_batch import predict
from goldilocks_batch.config.training import (
    FitSettings,
    NetworkSettings,
    Target,
    TrainAlignnConfig,
    load_train_alignn_config,
)
from goldilocks_batch.core.errors import ConfigError, ErrorCode, InputError, ModelError, RunError
from goldilocks_batch.models.trained import read_trained
from goldilocks_batch.models.trained_forest import read_model
from goldilocks_batch.models.trained_networks import TrainedNetworks, read_networks_of
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.training.alignn import train_alignn
from goldilocks_batch.training.elements import element_table
from goldilocks_batch.training.recipes import calibrate_model, evaluate_model
from tests.training_data import labelled_rows, write_labelled

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
TARGET = Target(column="k_dist")
SMALL = TrainAlignnConfig(
    name="small",
    target=TARGET,
    feature_schema="comp_lattice.v1",
    network=NetworkSettings(
        hidden=8, alignn_layers=1, gcn_layers=1, members=2, quantiles=(0.05, 0.2, 0.5, 0.8, 0.95)
    ),
    fit=FitSettings(epochs=3, batch_size=16),
    remarks=("labels are made up",),
)
ROWS = 110


class KilledError(Exception):
    pass


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = write_labelled(tmp_path_factory.mktemp("labels") / "labels.parquet", ROWS)
    return path


@pytest.fixture(scope="module")
def original(labels: Path) -> Path:
    train_alignn(labels, SMALL, labels.parent / "model", device="cpu")
    return labels.parent / "model"


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(original, tmp_path / "model"))


def relisted(model: Path, name: str, data: bytes) -> None:
    """Replace a file, by somebody who also adjusts its digest."""
    (model / name).write_bytes(data)
    listing = json.loads((model / "manifest.json").read_text())
    for entry in listing["artifacts"]:
        if entry["name"] == name:
            entry |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (model / "manifest.json").write_text(json.dumps(listing))


def edited(model: Path, **changes: Any) -> None:
    record = json.loads((model / "model.json").read_text()) | changes
    relisted(model, "model.json", json.dumps(record).encode())


def test_the_folder_holds_what_its_record_says(original: Path) -> None:
    trained = read_trained(original)
    assert isinstance(trained, TrainedNetworks)
    record = trained.record
    assert record.role == "alignn_ensemble"
    assert record.deterministic
    assert record.feature_parameters == {"cell": "exact", "single_site": "skip"}
    assert trained.levels == (0.05, 0.2, 0.5, 0.8, 0.95)
    # the number of a checkpoint is the weight on over-prediction, as in the published folders
    assert trained.artifacts.networks["0.05"] == ("quantile95_0.ckpt", "quantile95_1.ckpt")
    names = {name for name in digests(original) if name.endswith(".ckpt")}
    assert names == {f"quantile{over}_{member}.ckpt" for over in (95, 80, 50, 20, 5) for member in (0, 1)}
    state = torch.load(original / "quantile95_0.ckpt", weights_only=True)
    assert state["hyper_parameters"]["loss"] == {"name": "QuantileLoss", "quantile": 0.95}
    assert not list(original.parent.glob("*.training"))
    card = (original / "card.md").read_text()
    for part in (
        "An ensemble of ALIGNN networks",
        "2 networks for each of the quantiles 0.05, 0.2",
        "made up",
    ):
        assert part in card


@pytest.mark.slow
def test_rows_that_fit_calibrate_and_judge_are_kept_apart(labels: Path, tmp_path: Path) -> None:
    trained, judged = train_alignn(labels, SMALL, tmp_path / "model", device="cpu")
    counts = [trained.record.training.labels, len(trained.calibration), judged.evaluation.rows]
    assert sum(counts) == ROWS
    assert counts[1] == pytest.approx(0.2 * ROWS, abs=3)
    assert counts[2] == pytest.approx(0.1 * ROWS, abs=3)
    inside = trained.predict(judged.dataset.features, judged.dataset.cells, trained.levels)
    margins = trained.calibration.margins(0.9)
    again = margins.apply(inside[:, [trained.levels.index(q) for q in margins.quantiles]])
    np.testing.assert_allclose(again, judged.bounds[0.9], rtol=1e-6)


@pytest.mark.slow
def test_the_same_training_gives_the_same_bytes(labels: Path, original: Path, tmp_path: Path) -> None:
    train_alignn(labels, SMALL, tmp_path / "again", device="cpu")
    assert digests(tmp_path / "again") == digests(original)


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(
    labels: Path, original: Path, tmp_path: Path
) -> None:
    def kill(epoch: int, _most: int) -> None:
        if epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train_alignn(labels, SMALL, tmp_path / "model", device="cpu", progress=kill)
    assert not (tmp_path / "model").exists()
    other = SMALL.model_copy(update={"seed": 9})
    with pytest.raises(ConfigError, match="other data or options"):
        train_alignn(labels, other, tmp_path / "model", device="cpu")
    seen: list[int] = []
    train_alignn(
        labels, SMALL, tmp_path / "model", device="cpu", progress=lambda epoch, _most: seen.append(epoch)
    )
    assert seen == [2, 3]
    assert digests(tmp_path / "model") == digests(original)


def test_screening_gives_the_calibrated_bounds(original: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(original, tmp_path / "elsewhere")
    lattice = np.diag([3.1, 3.1, 4.0])
    crystals = [
        Crystal(lattice, np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), np.array([29, 30])),
        Crystal(2.9 * np.eye(3), np.zeros((1, 3)), np.array([29])),
        Crystal(3.0 * np.eye(3), np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), np.array([29, 95])),
        Crystal(20.0 * np.eye(3), np.zeros((1, 3)), np.array([29])),
    ]
    table = predict(crystals, model=str(moved), confidence=0.75)
    assert table["error_code"].to_pylist() == [None, None, None, "NO_NEIGHBOURS"]
    flags = table["flags"].to_pylist()
    assert "single_site" in flags[1]
    assert ["outside_training_elements" in row for row in flags[:3]] == [False, False, True]
    bounds = np.column_stack([table[f"kdist_{name}"].to_numpy() for name in ("lower", "median", "upper")])
    assert (np.diff(bounds[:3], axis=1) >= 0).all()
    assert (bounds[:3] > 0).all()
    assert all(spread > 0 for spread in table["spread_lower"].to_pylist()[:3])


@pytest.mark.slow
def test_a_cell_of_one_atom_is_treated_as_in_training(labels: Path, original: Path, tmp_path: Path) -> None:
    expanded = SMALL.model_copy(update={"single_site": "supercell"})
    train_alignn(labels, expanded, tmp_path / "model", device="cpu")
    crystal = Crystal(2.9 * np.eye(3), np.zeros((1, 3)), np.array([29]))
    table = predict(crystal, model=str(tmp_path / "model"), confidence=0.75)
    assert "single_site_supercell" in table["flags"].to_pylist()[0]
    table = predict(crystal, model=str(original), confidence=0.75)
    assert "single_site" in table["flags"].to_pylist()[0]
    # only the published networks can be asked for it
    with pytest.raises(ConfigError, match="does what it was trained with"):
        predict(crystal, model=str(original), confidence=0.75, single_site="supercell")


def test_it_is_calibrated_anew_and_evaluated(original: Path, labels: Path, tmp_path: Path) -> None:
    other = write_labelled(tmp_path / "other.parquet", 60, seed=4)
    calibrate_model(original, other, TARGET, tmp_path / "new")
    new, old = read_networks_of(tmp_path / "new"), read_networks_of(original)
    assert len(new.calibration) == 60
    assert new.record.training == old.record.training
    for name in old.artifacts.names[:-1]:
        assert (original / name).read_bytes() == (tmp_path / "new" / name).read_bytes()
    judged = evaluate_model(tmp_path / "new", other, TARGET, tmp_path / "report", confidences=(0.9,))
    # on its own calibration rows the promise is kept to the row, which lies on its bound to rounding
    assert judged.evaluation.levels[0].lower.hits in (54, 55)
    with pytest.raises(ConfigError, match="what the model was trained on"):
        calibrate_model(original, labels, TARGET, tmp_path / "not")


@pytest.mark.slow
def test_structures_without_a_graph_are_left_out_and_listed(tmp_path: Path) -> None:
    cells = [row["lattice_vectors"] for row in labelled_rows(ROWS)]
    sites = [row["cartesian_site_positions"] for row in labelled_rows(ROWS)]
    cells[5], sites[5] = (30.0 * np.eye(3)).tolist(), [[0.0] * 3, [15.0] * 3]
    columns: dict[str, Any] = {"lattice_vectors": cells, "cartesian_site_positions": sites}
    path = write_labelled(tmp_path / "labels.parquet", ROWS, **columns)
    trained, judged = train_alignn(path, SMALL, tmp_path / "model", device="cpu")
    assert judged.dataset.left_out == trained.record.training.model_dump()["left_out"] == {"NO_NEIGHBOURS": 1}
    failures = pq.read_table(tmp_path / "model" / "failures.parquet")
    assert failures["id"].to_pylist() == [labelled_rows(ROWS)[5]["id"]]


def test_too_few_rows_are_refused_before_the_work(tmp_path: Path) -> None:
    few = write_labelled(tmp_path / "few.parquet", 40)
    with pytest.raises((ConfigError, InputError), match="19 are needed") as refusal:
        train_alignn(few, SMALL, tmp_path / "model", device="cpu")
    assert refusal.value.code == ErrorCode.DATASET_INVALID
    assert [path.name for path in tmp_path.iterdir()] == ["few.parquet"]


def test_a_model_is_not_overwritten_unasked(labels: Path, model: Path) -> None:
    with pytest.raises(RunError, match=r"holds a model.*--overwrite"):
        train_alignn(labels, SMALL, model, device="cpu")


@pytest.mark.parametrize(
    "name", ["quantile95_0.ckpt", "elements.json", "calibration.safetensors", "model.json"]
)
def test_a_changed_byte_is_noticed(model: Path, name: str) -> None:
    data = bytearray((model / name).read_bytes())
    data[len(data) // 2] ^= 1
    (model / name).write_bytes(bytes(data))
    with pytest.raises(ModelError, match=name) as refusal:
        read_trained(model)
    assert refusal.value.code == ErrorCode.ARTIFACT_DIGEST


def test_checkpoints_of_another_shape_are_refused_though_they_are_listed(model: Path) -> None:
    path = model / "quantile80_0.ckpt"
    state = torch.load(path, weights_only=True)
    del state["state_dict"]["model.output_layer.bias"]
    torch.save(state, path)
    relisted(model, path.name, path.read_bytes())
    with pytest.raises(ModelError, match=r"output_layer\.bias"):
        read_networks_of(model).at(0.8)


def test_another_table_of_elements_is_refused(model: Path) -> None:
    table = json.loads((model / "elements.json").read_text())
    relisted(model, "elements.json", json.dumps({z: row[:5] for z, row in table.items()}).encode())
    with pytest.raises(ModelError, match="5 numbers an element"):
        read_networks_of(model).at(0.8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"role": "quantile_forest"}, "not made of such files"),
        ({"role": "oracle"}, "role"),
        ({"feature_schema": "comp_lattice.v2"}, "unknown"),
        ({"feature_columns": ["a", "b"]}, "columns"),
    ],
)
def test_a_record_that_asks_for_what_is_not_known(model: Path, changes: dict[str, Any], words: str) -> None:
    edited(model, **changes)
    with pytest.raises(ModelError, match=words):
        read_trained(model)


def test_readers_of_the_other_kind_say_so(original: Path) -> None:
    with pytest.raises(ModelError, match="an ensemble of networks, not a forest"):
        read_model(original)


def test_the_written_options_are_the_defaults() -> None:
    written = yaml.safe_load((CONFIGS / "train-alignn.yaml").read_text(encoding="utf-8"))
    assert written == TrainAlignnConfig().model_dump(mode="json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network: {quantiles: [0.5, 0.1]}", "ascend"),
        ("network: {quantiles: [0.1, 0.9]}", "0.5"),
        ("feature_schema: comp_struct_soap_lattice.v1", "'comp_struct_lattice.v1'"),
        ("fit: {epoch: 3}", "did you mean 'epochs'"),
        ("single_site: never", "single_site"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "train.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_train_alignn_config(tmp_path / "train.yaml")


def test_the_table_of_elements_is_on_equal_terms() -> None:
    table = element_table()
    known = ~np.isnan(table[:, 0])
    assert known.sum() == 118
    assert not known[0]
    assert (
        np.diff(table[[3, 11, 19, 37, 55]], axis=0)[:, 0] > 0
    ).all()  # atomic numbers of the alkali metals
    np.testing.assert_allclose(table[known].mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(table[known].std(axis=0), 1.0, atol=1e-5)
