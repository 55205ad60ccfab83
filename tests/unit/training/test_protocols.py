"""Labels tell their protocol: trainings refuse a mixture, records and cards keep it, evaluations name it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from goldilocks_batch import GoldilocksError
from goldilocks_batch.config.training import CalibrationSettings, ForestSettings, Target, TrainConfig
from goldilocks_batch.training.protocols import PROTOCOL_KEY, protocols_of, remarks_on, said, single_protocol
from goldilocks_batch.training.recipes import evaluate_model, train_model
from tests.training_data import write_labelled

QE: dict[str, Any] = {
    "code": "espresso",
    "code_versions": ["7.2"],
    "functional": ["PBE"],
    "pseudopotentials": "abc",
    "cutoffs": "SSSP.json",
    "smearing": "cold",
    "degauss": 0.01,
    "rule": "tail of 3",
    "digest": "one",
}


def labelled(path: Path, *digests: str | None, told: dict[str, Any] | None = None, seed: int = 0) -> Path:
    """Labels whose rows have these protocols in turn."""
    rows = [digests[i % len(digests)] for i in range(60)]
    write_labelled(path, 60, seed, protocol=rows)
    if told is not None:
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({PROTOCOL_KEY: json.dumps(told).encode()}), path)
    return path


def small(**options: Any) -> TrainConfig:
    return TrainConfig(
        name="small",
        target=Target(column="k_dist"),
        feature_schema="comp_lattice.v1",
        forest=ForestSettings(n_estimators=2),
        calibration=CalibrationSettings(kind="cross", folds=2),
        validation_folds=2,
        **options,
    )


def test_a_dataset_that_does_not_tell_has_none(tmp_path: Path) -> None:
    assert protocols_of(write_labelled(tmp_path / "plain.parquet", 5)) == ()
    assert protocols_of(tmp_path / "nothing.parquet") == ()
    assert remarks_on((), None) == ()


def test_metadata_tell_of_their_own_digest_alone(tmp_path: Path) -> None:
    assert protocols_of(labelled(tmp_path / "a.parquet", "one", told=QE)) == (QE,)
    joined = protocols_of(labelled(tmp_path / "b.parquet", "two", "one", None, told=QE))
    assert joined == (QE, {"digest": "two"}, {"digest": "unknown"})
    assert said(QE) == (
        "espresso 7.2, PBE, pseudopotentials abc, cutoffs SSSP.json, cold smearing 0.01 Ry, tail of 3, "
        "protocol one"
    )
    assert said({"digest": "two"}) == "protocol two"


def test_a_mixture_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    path = labelled(tmp_path / "mixed.parquet", "one", "two")
    with pytest.raises(GoldilocksError, match=r"2 protocols \(one, two in the column protocol\)"):
        train_model(path, small(), tmp_path / "model")
    assert not (tmp_path / "model").exists()
    model, _ = train_model(path, small(mixed_protocols=True), tmp_path / "model")
    assert [p["digest"] for p in model.record.training.model_dump()["protocols"]] == ["one", "two"]
    assert len(single_protocol(path, mixed=True)) == 2


def test_the_record_and_the_card_keep_it_and_an_evaluation_names_both(tmp_path: Path) -> None:
    train_model(labelled(tmp_path / "labels.parquet", "one", told=QE), small(), tmp_path / "model")
    assert f"Labels of {said(QE)}." in (tmp_path / "model" / "card.md").read_text()
    target = Target(column="k_dist")
    same = labelled(tmp_path / "same.parquet", "one", told=QE, seed=1)
    judged = evaluate_model(tmp_path / "model", same, target, tmp_path / "report")
    assert f"These labels are of {said(QE)}. The model was trained on the same." in judged.remarks
    other = labelled(tmp_path / "other.parquet", "two", seed=1)
    judged = evaluate_model(tmp_path / "model", other, target, tmp_path / "report")
    (remark,) = (text for text in judged.remarks if text.startswith("These labels"))
    assert "protocol two" in remark
    assert f"another protocol: {said(QE)}" in remark
    assert remark in (tmp_path / "report" / "evaluation.md").read_text()
    plain = evaluate_model(
        tmp_path / "model", write_labelled(tmp_path / "p.parquet", 60, 1), target, tmp_path / "r"
    )
    assert not any("labels are of" in text for text in plain.remarks)


def test_a_model_whose_protocol_is_not_recorded_is_said_to_be_so() -> None:
    (remark,) = remarks_on((QE,), None)
    assert remark.endswith("is not recorded.")
