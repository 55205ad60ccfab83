"""Training, calibration and evaluation from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from goldilocks_batch.config.training import (
    CalibrationSettings,
    ForestSettings,
    Target,
    TrainConfig,
    load_train_config,
)
from goldilocks_batch.core.errors import ConfigError, ErrorCode, InputError, ModelError, RunError
from goldilocks_batch.models.trained_forest import read_model
from goldilocks_batch.training.recipes import Check, calibrate_model, evaluate_model, train_model
from tests.training_data import write_labelled

TARGET = Target(column="k_dist")
CROSS = TrainConfig(
    target=TARGET,
    feature_schema="comp_lattice.v1",
    forest=ForestSettings(n_estimators=8),
    calibration=CalibrationSettings(kind="cross", folds=3),
    validation_folds=2,
    remarks=("labels are made up",),
)
SPLIT = CROSS.model_copy(
    update={"calibration": CalibrationSettings(kind="split", share=0.4), "test_share": 0.3}
)
REPORT = {f"{name}.png" for name in ("parity", "coverage", "width", "waste")} | {
    "evaluation.json",
    "evaluation.md",
    "predictions.parquet",
}
CONFIGS = Path(__file__).resolve().parents[3] / "configs"


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.parquet"
    write_labelled(path, 120)
    return path


@pytest.fixture(scope="module")
def model(labels: Path) -> Path:
    train_model(labels, CROSS, labels.parent / "model")
    return labels.parent / "model"


def test_a_cross_calibrated_model_uses_every_label(labels: Path, tmp_path: Path) -> None:
    other = write_labelled(tmp_path / "other.parquet", 20, seed=9)
    trained, judged = train_model(
        labels, CROSS, tmp_path / "model", checks=[Check("Another lot", other, TARGET)]
    )
    assert len(trained.calibration) == len(trained.forest.y_train) == judged.evaluation.rows == 120
    card = (tmp_path / "model" / "card.md").read_text()
    for part in ("## Cross-validated (2 folds", "## Another lot", "labels are made up", "`comp_lattice.v1`"):
        assert part in card
    assert trained.record.evaluation["checks"]["Another lot"]["rows"] == 20


def test_a_split_model_keeps_calibration_and_test_rows_apart(labels: Path, tmp_path: Path) -> None:
    trained, judged = train_model(labels, SPLIT, tmp_path / "model")
    counts = len(trained.forest.y_train), len(trained.calibration), judged.evaluation.rows
    assert sum(counts) == 120
    assert counts[2] == pytest.approx(36, abs=2)
    assert counts[1] == pytest.approx(0.4 * (120 - counts[2]), abs=2)
    # what the test judged is what the folder's model says of rows it never saw
    again = trained.at(0.9).margins.apply(
        trained.forest.predict(judged.dataset.features, trained.at(0.9).margins.quantiles)
    )
    assert again.tobytes() == np.asarray(judged.bounds[0.9]).tobytes()
    assert "Held-out rows (30%" in (tmp_path / "model" / "card.md").read_text()


def test_cross_validated_bounds_come_from_trainings_without_the_row(labels: Path, model: Path) -> None:
    with pytest.raises(RunError, match=r"holds a model.*--overwrite"):
        train_model(labels, CROSS, model)
    trained, judged = train_model(labels, CROSS, model, overwrite=True)
    inside = trained.at(0.9).margins.apply(
        trained.forest.predict(judged.dataset.features, trained.at(0.9).margins.quantiles)
    )
    truth = judged.dataset.kdist
    # a forest that has seen the labels fits them better than those that have not
    assert np.abs(inside[:, 1] - truth).mean() < np.abs(judged.bounds[0.9][:, 1] - truth).mean()


def test_a_model_is_calibrated_anew_on_other_labels(model: Path, tmp_path: Path) -> None:
    coarser = np.array([0.05 * (i % 9 + 4) for i in range(60)])
    other = write_labelled(tmp_path / "other.parquet", 60, seed=4, k_dist=coarser)
    old = read_model(model)
    calibrate_model(model, other, TARGET, tmp_path / "new")
    new = read_model(tmp_path / "new")
    assert new.record.calibration.kind == "split"
    assert new.record.calibration.rows == len(new.calibration) == 60
    assert new.forest.to_arrays()["threshold"].tobytes() == old.forest.to_arrays()["threshold"].tobytes()
    assert new.record.training == old.record.training
    judged = evaluate_model(tmp_path / "new", other, TARGET, tmp_path / "report", confidences=(0.9,))
    # on its own calibration rows the promise is kept to the row, which lies on its bound to rounding
    assert judged.evaluation.levels[0].lower.hits in (54, 55)
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text())["rows"] == 60
    assert {path.name for path in (tmp_path / "report").iterdir()} == REPORT
    text = (tmp_path / "report" / "evaluation.md").read_text()
    assert text.startswith("The model was made with 60 of these 60 structures")
    assert "\n| 0.90 " in text
    assert "rows are of other.parquet" in new.record.calibration.guarantee  # shown by `models show`
    card = (tmp_path / "new" / "card.md").read_text()
    assert "Calibrated on other labels than it was trained on: `other.parquet`" in card
    assert "None yet with this calibration" in card


def test_the_training_set_cannot_calibrate(labels: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="what the model was trained on"):
        calibrate_model(model, labels, TARGET, tmp_path / "new")
    few = write_labelled(tmp_path / "few.parquet", 10, seed=4)
    with pytest.raises(ConfigError, match=r"10 calibration rows.*19 are needed") as refusal:
        calibrate_model(model, few, TARGET, tmp_path / "new")
    assert refusal.value.code == ErrorCode.DATASET_INVALID
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("config", [CROSS, SPLIT.model_copy(update={"test_share": 0.0})])
def test_too_few_rows_are_refused_with_the_number_needed(config: TrainConfig, tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "few.parquet", 16)
    with pytest.raises(ConfigError, match="19 are needed") as refusal:
        train_model(path, config, tmp_path / "model")
    assert refusal.value.code == ErrorCode.DATASET_INVALID
    assert not (tmp_path / "model").exists()


def test_limits_are_refused_before_any_work(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "a.parquet", 3, k=[0.2, None, 0.3], most=[None, 0.15, None])
    config = CROSS.model_copy(update={"target": Target(column="k", at_most="most")})
    with pytest.raises(InputError, match="can judge a model, not train one"):
        train_model(path, config, tmp_path / "model")


def test_a_folder_with_other_things_is_left_alone(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"thesis\.tex, no model's") as refusal:
        train_model(labels, CROSS, tmp_path)
    assert refusal.value.code == ErrorCode.OUTPUT_EXISTS
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_schema_with_a_network_needs_the_network(labels: Path, tmp_path: Path) -> None:
    config = CROSS.model_copy(update={"feature_schema": "comp_struct_soap_lattice_metal.v1"})
    with pytest.raises(ConfigError, match="needs the metallicity network"):
        train_model(labels, config, tmp_path / "model")


def test_evaluation_wants_a_model(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"manifest\.json"):
        evaluate_model(tmp_path, labels, TARGET, tmp_path / "report")


def test_the_shipped_options_are_the_defaults() -> None:
    written = yaml.safe_load((CONFIGS / "train-rf.yaml").read_text(encoding="utf-8"))
    assert written == TrainConfig().model_dump(mode="json")


def test_name_and_remarks_of_other_labels_are_refused(labels: Path, tmp_path: Path) -> None:
    about = CROSS.model_copy(update={"name": "theirs", "describes": 64 * "0"})
    with pytest.raises(ConfigError, match=r"'theirs' and its remarks describe .*--name") as refusal:
        train_model(labels, about, tmp_path / "model")
    assert refusal.value.code == ErrorCode.CONFIG_INVALID
    assert not (tmp_path / "model").exists()
    trained, _ = train_model(labels, about.renamed("mine", ("of mine",)), tmp_path / "model")
    assert (trained.record.name, trained.record.remarks) == ("mine", ("of mine",))
    assert "labels are made up" not in (tmp_path / "model" / "card.md").read_text()
    own = about.model_copy(update={"describes": trained.record.training.dataset_sha256})
    own.check_described("labels.parquet", trained.record.training.dataset_sha256)
    assert own.renamed(None) is own


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("forest: {n_estimatrs: 5}", "unknown option 'forest.n_estimatrs': did you mean 'n_estimators'"),
        ("forrest: {}", "unknown option 'forrest': did you mean 'forest'"),
        ("forest: {n_estimators: none}", "option 'forest.n_estimators' is 'none'"),
        ("test_share: 1.0", "test_share"),
        ("feature_schema: comp", "should be 'comp_lattice.v1', "),
        ("- a", "expected a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "train.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_train_config(tmp_path / "train.yaml")


def test_overrides_lie_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("seed: 3\nname: mine\n")
    config = load_train_config(tmp_path / "train.yaml", seed=4, name=None)
    assert (config.seed, config.name) == (4, "mine")
    (tmp_path / "train.yaml").write_text("target: {column: L, kind: kpoint_length}\n")
    config = load_train_config(tmp_path / "train.yaml", target={"column": "M", "kind": None})
    assert config.target == Target(column="M", kind="kpoint_length")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_train_config(tmp_path / "absent.yaml")
