"""Training boosted trees: intervals of labels, the recipe from file to folder, the same bytes each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from goldilocks_batch.config.training import (
    BoostedSettings,
    Target,
    TrainBoostedConfig,
    load_train_boosted_config,
)
from goldilocks_batch.core.errors import ConfigError, InputError
from goldilocks_batch.kpoints.mesh import mesh
from goldilocks_batch.models.boosted import location_of
from goldilocks_batch.models.trained_boosted import BoostedModel, read_boosted
from goldilocks_batch.training.boosted import train_boosted
from goldilocks_batch.training.boosted_fit import fit_boosted
from goldilocks_batch.training.labelled import Labelled
from goldilocks_batch.training.recipes import calibrate_model, evaluate_model
from goldilocks_batch.training.tolerances import constants_of, intervals
from tests.training_data import write_labelled

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
SMALL = BoostedSettings(trees=8, own_trees=4, own_ensembles=2, scale_trees=4, folds=2)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty structures with labels at two tolerances."""
    path = write_labelled(tmp_path_factory.mktemp("labels") / "labels.parquet", 60)
    table = pq.read_table(path)
    wider = np.array(table["k_dist"].to_pylist()) * 1.3
    pq.write_table(table.append_column("k_dist_3", [wider.tolist()]), path)
    return path


def test_intervals_hold_the_meshes_of_their_labels() -> None:
    rng = np.random.default_rng(0)
    lattices = np.eye(3) * rng.uniform(2, 20, (300, 3))[:, None]
    lengths = 2 * np.pi / np.diagonal(lattices, axis1=1, axis2=2)
    counts = rng.integers(1, 9, (300, 3))
    axis = rng.integers(0, 3, 300)
    counts[np.arange(300), axis] += 1
    end = lengths[np.arange(300), axis] / (counts[np.arange(300), axis] - 1)
    label = (end * (1 - 1e-6))[:, None]
    periodic = np.ones((300, 3), dtype=bool)
    expected = mesh(end * (1 - 1e-4), lattices, periodic)
    low, high = (np.exp(ends[:, 0]) for ends in intervals(label, lattices, np.zeros((300, 1), dtype=bool)))
    np.testing.assert_allclose(high, end, rtol=1e-9)
    assert (low < high).all()
    wide = high / low > 1.01  # ratios are rounded to five decimals, which narrow intervals do not outlive
    assert wide.sum() > 150
    for share in (0.0, 0.3, 0.9, 0.99):
        found = mesh((low + share * (high - low)) * (1 + 1e-9), lattices, periodic)
        np.testing.assert_array_equal(found[wide], expected[wide])


def test_a_label_that_is_at_least_has_no_upper_end() -> None:
    label = np.array([[0.7, 0.9]])
    low, high = intervals(label, np.eye(3)[None] * 4.0, np.array([[False, True]]))
    assert (np.isfinite(high[0, 0]), high[0, 1], np.exp(low[0, 1])) == (True, np.inf, 0.9)
    data = Labelled(np.zeros((1, 2)), (1.0, 3.0), low, high, np.array(["Si"]), np.ones(1))
    assert np.exp(data.label[0, 1]) == pytest.approx(0.9)
    assert data.low[0, 0] < data.middle[0, 0] < data.label[0, 0]


def test_every_second_ensemble_weighs_labels_by_kdist() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(240, 6))
    features[:, 0], features[:, 1], features[:, 2] = 8.0, 0.0, 4.0  # sites, metals, system
    kdist = np.exp(features[:, 3] + 0.3 * rng.normal(size=240))
    low, high = np.log(0.9 * kdist)[:, None], np.log(1.1 * kdist)[:, None]
    names = np.array([f"C{i}" for i in range(240)])
    data = Labelled(features, (1.0,), low, high, names, np.ones(240))

    def location(labels: Labelled, ensembles: int, seed: int) -> NDArray[np.float64]:
        settings = SMALL.model_copy(update={"ensembles": ensembles, "seed": seed})
        parts = fit_boosted(labels, settings, {"sites": 0, "metals": 1, "system": 2}).parts
        return location_of(parts.location, features, 1.0)

    weights = np.exp(data.middle[:, 0])
    weighed = location(replace(data, weights=weights / weights.mean()), 1, 1)
    plain = location(data, 1, 0)
    assert np.abs(weighed - plain).max() > 0.01
    np.testing.assert_allclose(location(data, 2, 0), 0.5 * (plain + weighed), rtol=1e-12)


def test_constants_fall_with_confidence() -> None:
    found = constants_of(np.log(np.random.default_rng(1).uniform(0.1, 1, (500, 2))), (1.0, 3.0))
    values = [found["3"][level] for level in ("0.5", "0.8", "0.95", "0.99")]
    assert values == sorted(values, reverse=True)


def test_the_recipe_makes_a_model_and_the_same_bytes_each_time(labels: Path, tmp_path: Path) -> None:
    config = TrainBoostedConfig(
        name="mine", columns={1.0: "k_dist", 3.0: "k_dist_3"}, boosting=SMALL, never_converged=0.04
    )
    model, judged = train_boosted(labels, config, tmp_path / "one")
    train_boosted(labels, config, tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert model.record.tolerances == (1.0, 3.0)
    assert set(judged["figures"]) == {"1", "3"}
    assert 0.6 < judged["figures"]["1"]["levels"]["0.80"]["lower_holds"] <= 1.0
    assert "never converged" in (tmp_path / "one" / "card.md").read_text(encoding="utf-8")
    with pytest.raises(Exception, match="it answers at 1 or 3"):
        model.at(0.9, 5.0)


@pytest.fixture(scope="module")
def trained(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "mine"
    train_boosted(
        labels, TrainBoostedConfig(columns={1.0: "k_dist", 3.0: "k_dist_3"}, boosting=SMALL), folder
    )
    return folder


def test_evaluation_judges_the_bounds_of_a_tolerance(labels: Path, trained: Path, tmp_path: Path) -> None:
    found = {}
    for tolerance, column in ((None, "k_dist"), (3.0, "k_dist_3")):
        judged = evaluate_model(
            trained, labels, Target(column=column), tmp_path / column, tolerance=tolerance
        )
        model = read_boosted(trained)
        expected = model.parts.bounds(judged.dataset.features, tolerance or 1.0, 0.95)[0]
        np.testing.assert_array_equal(judged.bounds[0.95], expected)
        assert any("flatter" in remark for remark in judged.remarks), "it was trained on the same file"
        assert (tmp_path / column / "evaluation.md").is_file()
        found[column] = judged.evaluation.mae
    assert found["k_dist"] != found["k_dist_3"]
    with pytest.raises(ConfigError, match="it answers at 1 or 3"):
        evaluate_model(trained, labels, Target(column="k_dist"), tmp_path / "two", tolerance=2.0)


def test_calibration_on_other_labels_keeps_the_trees_and_one_tolerance(trained: Path, tmp_path: Path) -> None:
    others = write_labelled(tmp_path / "others.parquet", 40, seed=7)
    made = calibrate_model(trained, others, Target(column="k_dist"), tmp_path / "anew", tolerance=3.0)
    assert isinstance(made, BoostedModel)
    old = read_boosted(trained)
    assert made.record.tolerances == (3.0,)
    assert made.record.calibration.kind == "split"
    np.testing.assert_array_equal(made.parts.location.leaves, old.parts.location.leaves)
    judged = evaluate_model(tmp_path / "anew", others, Target(column="k_dist"), tmp_path / "report")
    lower = judged.bounds[0.8][:, 0]
    kdist, cells = judged.dataset.kdist[:, None], judged.dataset.supplied
    _, high = intervals(kdist, cells, np.zeros(kdist.shape, dtype=bool))
    assert (np.log(lower) <= high[:, 0]).mean() >= 0.8, "its own calibration rows, whose meshes are converged"
    assert "None yet with this calibration" in (tmp_path / "anew" / "card.md").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="it answers at 3"):
        made.at(0.8, 1.0)


def test_training_labels_calibrate_nothing(labels: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="drop them"):
        calibrate_model(trained, labels, Target(column="k_dist"), tmp_path / "anew")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({1.0: "nothing"}, "no column nothing"),
        ({1.0: "k_dist_3", 3.0: "k_dist"}, "are columns exchanged"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    labels: Path, tmp_path: Path, columns: dict[float, str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        train_boosted(labels, TrainBoostedConfig(columns=columns, boosting=SMALL), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_shipped_options_can_be_read() -> None:
    config = load_train_boosted_config(CONFIGS / "train-mc3d.yaml")
    assert (config.name, sorted(config.columns)) == ("mc3d", [1.0, 3.0, 5.0])
