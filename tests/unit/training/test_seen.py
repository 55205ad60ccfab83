"""Structures that a model was made with are known again, however they are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core.structure import Structure

from goldilocks_batch.artifacts.folder import packed, sha256_of_bytes
from goldilocks_batch.config.training import (
    CalibrationSettings,
    ForestSettings,
    NetworkSettings,
    Target,
    TrainAlignnConfig,
    TrainConfig,
)
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError
from goldilocks_batch.models.trained import read_trained
from goldilocks_batch.training.alignn import train_alignn
from goldilocks_batch.training.dataset import Dataset, load_dataset
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.recipes import calibrate_model, evaluate_model, train_model
from goldilocks_batch.training.seen import Seen
from tests.training_data import labelled_rows, write_labelled

TARGET = Target(column="k_dist")
COUNT = 100
FOREST = TrainConfig(
    target=TARGET,
    feature_schema="comp_lattice.v1",
    forest=ForestSettings(n_estimators=4),
    calibration=CalibrationSettings(kind="cross", folds=2),
    validation_folds=2,
)
NETWORKS = TrainAlignnConfig(
    target=TARGET,
    feature_schema="comp_lattice.v1",
    network=NetworkSettings(hidden=8, alignn_layers=1, gcn_layers=0, members=1),
    fit={"epochs": 1},
    test_share=0.2,
)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = write_labelled(tmp_path_factory.mktemp("labels") / "labels.parquet", COUNT)
    return path


@pytest.fixture(scope="module")
def forest(labels: Path) -> Path:
    train_model(labels, FOREST, labels.parent / "forest")
    return labels.parent / "forest"


@pytest.fixture(scope="module")
def networks(labels: Path) -> Path:
    train_alignn(labels, NETWORKS, labels.parent / "networks", device="cpu")
    return labels.parent / "networks"


def saved_again(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="gzip")


def a_part(path: Path, table: pa.Table) -> None:
    pq.write_table(table.slice(10, 40), path)


def in_another_order(path: Path, table: pa.Table) -> None:
    pq.write_table(table.take(pa.array(np.random.default_rng(0).permutation(COUNT))), path)


def as_text(path: Path, table: pa.Table) -> None:
    """CIF of a supercell with another origin and four decimals."""
    texts = []
    for row in labelled_rows(COUNT):
        lattice = np.array(row["lattice_vectors"])
        structure = Structure(lattice, list(row["species_at_sites"]), [[0.0] * 3, [0.5] * 3])
        structure.translate_sites([0, 1], [0.13, 0.27, 0.41])
        structure.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
        texts.append(structure.to(fmt="cif", significant_figures=4))
    columns = {"id": [f"mine-{row}" for row in range(COUNT)], "cif": texts, "k_dist": table["k_dist"]}
    pq.write_table(pa.table(columns), path)


def one_among_others(path: Path, table: pa.Table) -> None:
    other = pa.Table.from_pylist(labelled_rows(60, seed=8))
    renamed = table.slice(3, 1).set_column(0, "id", pa.array(["the-one"]))
    pq.write_table(pa.concat_tables([other, renamed.select(other.column_names)]), path)


@pytest.mark.parametrize("model", ["forest", "networks"])
@pytest.mark.parametrize("disguise", [saved_again, a_part, in_another_order, as_text, one_among_others])
def test_training_labels_do_not_calibrate_in_disguise(
    model: str,
    disguise: Callable[[Path, pa.Table], None],
    labels: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    folder = request.getfixturevalue(model)
    path = tmp_path / "disguised.parquet"
    disguise(path, pq.read_table(labels))
    with pytest.raises(
        ConfigError, match=r"\d+ of \d+ structures \[.* what the model was trained on"
    ) as refusal:
        calibrate_model(folder, path, TARGET, tmp_path / "new")
    assert refusal.value.code == ErrorCode.DATASET_INVALID
    if disguise is one_among_others:
        assert "1 of 61 structures [the-one]" in str(refusal.value)
    if model == "forest" and disguise is as_text:
        assert f"{COUNT} of {COUNT} structures [mine-0, " in str(refusal.value)
    evaluate_model(folder, path, TARGET, tmp_path / "report")
    assert "structures: the figures flatter it" in (tmp_path / "report" / "evaluation.md").read_text()


def test_rows_that_judged_networks_are_free_to_calibrate_them(
    labels: Path, networks: Path, tmp_path: Path
) -> None:
    seen = Seen.read(networks)
    assert seen is not None
    data = load_dataset(labels, TARGET, FeatureSet("comp_lattice.v1"))
    overlap = seen.overlap(data)
    record = read_trained(networks).record
    assert overlap.trained.sum() == record.training.labels
    assert overlap.calibrated.sum() == record.calibration.rows
    free = ~overlap.trained
    assert free.sum() == COUNT - record.training.labels
    pq.write_table(pq.read_table(labels).filter(pa.array(free)), tmp_path / "free.parquet")
    new = calibrate_model(networks, tmp_path / "free.parquet", TARGET, tmp_path / "new")
    assert new.record.calibration.rows == free.sum()


def test_shared_compositions_are_counted_not_refused(forest: Path, labels: Path, tmp_path: Path) -> None:
    names = ("lattice_vectors", "cartesian_site_positions")
    stretched: dict[str, Any] = {
        name: [(1.2 * np.array(row[name])).tolist() for row in labelled_rows(30)] for name in names
    }
    path = write_labelled(tmp_path / "stretched.parquet", 30, **stretched)
    new = calibrate_model(forest, path, TARGET, tmp_path / "new")
    assert (new.record.calibration.dataset or {})["known_compositions"] == 30
    judged = evaluate_model(forest, path, TARGET, tmp_path / "report")
    assert judged.remarks[0].startswith("30 of these 30 structures are not in the training set but share")
    # what calibrated it may calibrate it again, but flatters it
    calibrate_model(tmp_path / "new", path, TARGET, tmp_path / "again")
    judged = evaluate_model(tmp_path / "new", path, TARGET, tmp_path / "report")
    assert judged.remarks[0].startswith("The model was made with 30 of these 30")
    # the training set is still known
    with pytest.raises(ConfigError, match="what the model was trained on"):
        calibrate_model(tmp_path / "new", labels, TARGET, tmp_path / "not")


def test_models_of_before_fall_back_to_the_file(forest: Path, labels: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    listing = json.loads((forest / "manifest.json").read_text())
    listing["artifacts"] = [entry for entry in listing["artifacts"] if entry["name"] != "seen.safetensors"]
    for entry in listing["artifacts"]:
        (old / entry["name"]).write_bytes((forest / entry["name"]).read_bytes())
    (old / "manifest.json").write_text(json.dumps(listing))
    with pytest.raises(ConfigError, match=f"{COUNT} of {COUNT} structures .* what the model was trained on"):
        calibrate_model(old, labels, TARGET, tmp_path / "new")
    saved_again(tmp_path / "again.parquet", pq.read_table(labels))
    calibrate_model(old, tmp_path / "again.parquet", TARGET, tmp_path / "new")


@pytest.mark.parametrize(
    "change",
    [
        lambda a: {**a, "trained": a["trained"][:-1]},
        lambda a: {**a, "distances": a["distances"].astype(np.float64)},
        lambda a: {"trained": a["trained"]},
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]], forest: Path, tmp_path: Path
) -> None:
    seen = Seen.read(forest)
    assert seen is not None
    names = ("compositions", "distances", "trained")
    data = packed(change({name: getattr(seen, name) for name in names}))
    (tmp_path / "seen.safetensors").write_bytes(data)
    entry = {"name": "seen.safetensors", "size_bytes": len(data), "sha256": sha256_of_bytes(data)}
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": [entry]}))
    with pytest.raises(ModelError, match=r"seen\.safetensors cannot be used") as refusal:
        Seen.read(tmp_path)
    assert refusal.value.code == ErrorCode.ARTIFACT_INVALID


def test_other_structures_of_a_composition_are_others(labels: Path) -> None:
    data = load_dataset(labels, TARGET, FeatureSet("comp_lattice.v1"))
    formulas, counts = np.unique(data.formulas, return_counts=True)
    first = np.array([list(data.formulas).index(f) for f in formulas[counts == 2]])
    overlap = Seen.of(data.take(first)).overlap(data)
    assert len(first) > 5
    assert overlap.trained.sum() == overlap.compositions.sum() == len(first)
    assert not (overlap.trained & overlap.compositions).any()


def test_an_atom_alone_is_known_by_its_composition(tmp_path: Path) -> None:
    cell = (30.0 * np.eye(3)).tolist()
    table = pa.table(
        {
            "id": ["a", "b"],
            "lattice_vectors": [cell, cell],
            "cartesian_site_positions": [[[0.0] * 3], [[0.0] * 3]],
            "species_at_sites": [["Cu"], ["Au"]],
            "k_dist": [0.1, 0.2],
        }
    )
    pq.write_table(table, tmp_path / "alone.parquet")
    data: Dataset = load_dataset(tmp_path / "alone.parquet", TARGET, FeatureSet("comp_lattice.v1"))
    assert Seen.of(data.take(np.array([0]))).overlap(data).trained.tolist() == [True, False]
