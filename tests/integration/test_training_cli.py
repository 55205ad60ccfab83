"""Training, calibration, evaluation and suggestions as a user types them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from goldilocks_batch.config.training import Target
from goldilocks_batch.models.trained_forest import read_model
from goldilocks_batch.results.folder import read_results
from goldilocks_batch.training.dataset import load_dataset
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.train import bounds_of
from tests.training_data import labelled_rows, write_labelled

pytestmark = pytest.mark.slow

ROWS = 90
SMALL = {
    "name": "made-up",
    "feature_schema": "comp_lattice.v1",
    "forest": {"n_estimators": 8},
    "calibration": {"kind": "cross", "folds": 3},
    "validation_folds": 2,
}
PLOTS = {f"{name}.png" for name in ("parity", "coverage", "width", "waste")}


def words(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "goldilocks_batch.cli.app", *map(str, arguments)]


def command(*arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(*arguments), capture_output=True, text=True, check=False, env=environment(cache)
    )


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "GOLDILOCKS_CACHE": str(cache), "PYTHONUNBUFFERED": "1"}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def computed(cache: Path) -> int:
    """Structures that have been described, over all attempts."""
    parts = (cache / "features").glob("*/*/part-*.parquet")
    return sum(pq.read_metadata(path).num_rows for path in parts)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = write_labelled(tmp_path_factory.mktemp("labels") / "labels.parquet", ROWS)
    return path


@pytest.fixture(scope="module")
def options(labels: Path) -> Path:
    path = labels.parent / "train.yaml"
    path.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(labels: Path, options: Path, cache: Path) -> Path:
    folder = labels.parent / "model"
    done = command("train", "rf", labels, "-c", options, "-o", folder, "--workers", "2", cache=cache)
    assert done.returncode == 0, done.stderr
    assert f"{ROWS} structures, 0 done already" in done.stderr
    assert "12 forests, 0 done already" in done.stderr
    for text in ("Cross-validated (2 folds", "| confidence", "| crystal system", f"--model {folder}"):
        assert text in done.stdout.replace("\n", " ")
    return folder


def test_a_second_training_computes_no_features_and_gives_the_same_bytes(
    labels: Path, options: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    assert computed(cache) == ROWS
    arguments = [
        "train",
        "rf",
        labels,
        "-c",
        options,
        "-o",
        tmp_path / "again",
        "--report",
        tmp_path / "report",
    ]
    done = command(*arguments, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "structures" not in done.stderr
    assert computed(cache) == ROWS
    assert digests(tmp_path / "again") == digests(model)
    assert {path.name for path in (tmp_path / "report").iterdir()} >= PLOTS | {"predictions.parquet"}


def test_one_process_without_a_cache_gives_the_same_bytes(
    labels: Path, options: Path, model: Path, tmp_path: Path
) -> None:
    flags = ["--executor", "serial", "--cache", tmp_path / "other"]
    done = command(
        "train", "rf", labels, "-c", options, "-o", tmp_path / "again", *flags, cache=tmp_path / "none"
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "none").exists()
    assert digests(tmp_path / "again") == digests(model)


def test_a_model_that_was_moved_is_read_by_its_own_record(
    labels: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    features = load_dataset(labels, Target(), FeatureSet("comp_lattice.v1")).features
    trained = read_model(model)
    expected = bounds_of(trained.forest, trained.calibration, features, (0.9,))[0.9]
    moved = tmp_path / "elsewhere" / "m"
    shutil.copytree(model, moved)
    flags = ["--model", moved, "--confidence", "0.9", "--executor", "serial"]
    done = command("run", labels, *flags, "-o", tmp_path / "run", cache=cache)
    assert done.returncode == 0, done.stderr
    table = read_results(tmp_path / "run")
    found = np.column_stack([table[f"kdist_{name}"].to_numpy() for name in ("lower", "median", "upper")])
    assert found.tobytes() == expected.tobytes()
    assert set(table["model"].to_pylist()) == {"made-up"}


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "missing": ({"k_dist": [None, 0.2, float("nan"), *[0.1] * 27]}, "DATASET_INVALID", "2 of 30 targets"),
    "negative": ({"k_dist": [0.1, -0.2, 0.3] * 10}, "DATASET_INVALID", "10 of 30 targets"),
    "zero": ({"k_dist": [0.1, 0.0, *[0.3] * 28]}, "DATASET_INVALID", "1 of 30 targets"),
    "text": ({"k_dist": ["dense"] * 30}, "DATASET_INVALID", "all 30 targets"),
    "twice": ({"id": ["a", "b", "a", *map(str, range(27))]}, "DUPLICATE_ID", "1 of 29 ids [a]"),
    "equal": ({"k_dist": [0.2] * 30}, "DATASET_INVALID", "all 30 targets"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_dataset_is_refused_with_how_many_and_which(
    case: str, options: Path, cache: Path, tmp_path: Path
) -> None:
    columns, code, text = BAD[case]
    path = write_labelled(tmp_path / "labels.parquet", 30, **columns)
    done = command("train", "rf", path, "-c", options, "-o", tmp_path / "model", cache=cache)
    refused(done, code, text)
    ids = [row["id"] for row in labelled_rows(30)]
    named = {"missing": [0, 2], "negative": [1, 4], "zero": [1]}.get(case, [])
    assert all(ids[row] in done.stderr for row in named)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", ["cross", "split"])
def test_fewer_rows_than_the_calibration_needs(kind: str, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text(yaml.safe_dump({**SMALL, "calibration": {"kind": kind, "folds": 3}}))
    path = write_labelled(tmp_path / "labels.parquet", 16)
    done = command("train", "rf", path, "-c", tmp_path / "train.yaml", "-o", tmp_path / "model", cache=cache)
    refused(done, "DATASET_INVALID", "19 are needed")
    assert [p.name for p in tmp_path.iterdir() if "model" in p.name] == []


def refused(done: subprocess.CompletedProcess[str], code: str, text: str) -> None:
    error = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2, done.stderr
    assert code in error
    assert text in error
    assert "Traceback" not in done.stderr


def test_structures_without_features_are_counted_and_listed(
    options: Path, cache: Path, tmp_path: Path
) -> None:
    species = [row["species_at_sites"] for row in labelled_rows(40)]
    species[3], species[7] = ["Xx", "Cu"], ["Cu"]
    path = write_labelled(tmp_path / "labels.parquet", 40, species_at_sites=species)
    flags = ["-c", options, "--executor", "serial"]
    done = command("train", "rf", path, *flags, "-o", tmp_path / "model", cache=cache)
    assert done.returncode == 1, done.stderr
    assert "structures left out, without features: 2" in done.stdout
    assert "1  SPECIES_UNKNOWN" in done.stdout
    failures = pq.read_table(tmp_path / "model" / "failures.parquet")
    assert failures["error_code"].to_pylist() == ["SPECIES_UNKNOWN", "SHAPE_MISMATCH"]
    assert failures["id"].to_pylist() == [labelled_rows(40)[row]["id"] for row in (3, 7)]
    assert "2 structures were left out" in (tmp_path / "model" / "card.md").read_text()
    # they are part of the model, and do not hinder its use
    assert read_model(tmp_path / "model").record.training.labels == 38


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_leaves_no_model_and_keeps_its_features(
    labels: Path, tmp_path: Path, number: signal.Signals
) -> None:
    slow = {**SMALL, "forest": {"n_estimators": 300, "min_samples_leaf": 1}}
    (tmp_path / "slow.yaml").write_text(yaml.safe_dump(slow))
    cache, folder = tmp_path / "cache", tmp_path / "out" / "model"
    arguments = words("train", "rf", labels, "-c", tmp_path / "slow.yaml", "-o", folder, "--workers", "2")
    with subprocess.Popen(
        arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment(cache)
    ) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 120
        for line in process.stderr:
            if "12 forests" in line or time.monotonic() > deadline:
                break
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert not folder.parent.exists()
    assert computed(cache) == ROWS
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(SMALL))
    again = command("train", "rf", labels, "-c", tmp_path / "quick.yaml", "-o", folder, cache=cache)
    assert again.returncode == 0, again.stderr
    assert computed(cache) == ROWS


def test_what_was_computed_before_an_interruption_is_not_computed_again(
    options: Path, tmp_path: Path
) -> None:
    path, cache = write_labelled(tmp_path / "labels.parquet", 300), tmp_path / "cache"
    flags = [
        "-c",
        options,
        "--features",
        "comp_struct_soap_lattice.v1",
        "--workers",
        "2",
        "--shard-size",
        "5",
    ]
    arguments = ["train", "rf", path, *flags, "-o", tmp_path / "model"]
    with subprocess.Popen(
        words(*arguments), stderr=subprocess.PIPE, text=True, env=environment(cache)
    ) as process:
        deadline = time.monotonic() + 120
        while not computed(cache) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert 0 < computed(cache) < 300
    assert not (tmp_path / "model").exists()
    again = command(*arguments, cache=cache)
    assert again.returncode == 0, again.stderr
    assert computed(cache) == 300


def test_a_model_is_calibrated_and_judged_on_other_labels(model: Path, cache: Path, tmp_path: Path) -> None:
    mine = write_labelled(tmp_path / "mine.parquet", 60, seed=4)
    done = command("calibrate", model, mine, "-o", tmp_path / "new", "--executor", "serial", cache=cache)
    assert done.returncode == 0, done.stderr
    assert "calibrated on 60 labels" in done.stdout
    assert "| 0.95 " in done.stdout
    theirs = write_labelled(tmp_path / "theirs.parquet", 50, seed=5)
    flags = ["--confidence", "0.9", "--confidence", "0.68", "--executor", "serial"]
    done = command("evaluate", tmp_path / "new", theirs, "-o", tmp_path / "report", *flags, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "50 labels. MAE of the median" in done.stdout
    assert "| 0.68 " in done.stdout
    assert {path.name for path in (tmp_path / "report").iterdir()} >= PLOTS | {"evaluation.json"}
    rows = pq.read_table(tmp_path / "report" / "predictions.parquet")
    assert rows["id"].to_pylist() == [row["id"] for row in labelled_rows(50, seed=5)]
    assert {"lower_0.68", "upper_0.9"} <= set(rows.column_names)


def test_what_a_model_was_made_with_does_not_calibrate_it_and_flatters_it(
    labels: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    refused(
        command("calibrate", model, labels, "-o", tmp_path / "new", cache=cache),
        "DATASET_INVALID",
        "what the model was trained on",
    )
    done = command("evaluate", model, labels, "-o", tmp_path / "report", "-q", cache=cache)
    assert done.stdout.startswith(f"The model was made with {ROWS} of these {ROWS} structures")


def test_suggestions_of_a_run_are_a_manifest_that_can_be_screened(
    labels: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    pool = write_labelled(tmp_path / "pool.parquet", 70, seed=3)
    flags = ["--model", model, "--executor", "serial"]
    assert command("run", pool, *flags, "-o", tmp_path / "run", cache=cache).returncode == 0
    next_up = tmp_path / "next.parquet"
    arguments = ["suggest", tmp_path / "run", "-n", "9", "-o", next_up, "--executor", "serial"]
    done = command(*arguments, "--training", labels, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "9 structures, best first" in done.stdout
    assert pq.read_table(next_up)["distance_from_training"].null_count == 0
    assert command("run", next_up, *flags, "-o", tmp_path / "again", cache=cache).returncode == 0
    done = command(*arguments, cache=cache)
    assert "--training" in done.stdout
    assert pq.read_table(next_up).num_rows == 9


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["train", "rf", "absent.parquet", "-o", "m"], "INPUT_NOT_FOUND", "does not exist"),
        (["train", "rf", "x", "-o", "m", "--features", "comp"], "Invalid value", "comp_lattice.v1"),
        (["train", "rf", "x", "-o", "m", "--kind", "length"], "Invalid value", "'length'"),
        (["train", "rf", "x", "-o", "m", "-c", "absent.yaml"], "CONFIG_INVALID", "cannot be read"),
        (["evaluate", "nowhere", "x", "-o", "r"], "ARTIFACT_MISSING", "nowhere does not exist"),
        (["evaluate", "mc3d", "x", "-o", "r", "--kind", "length"], "Invalid value", "'length'"),
        (["calibrate", "nowhere", "x", "-o", "m"], "ARTIFACT_MISSING", "nowhere does not exist"),
        (["suggest", "nowhere"], "RESUME_REFUSED", "nowhere does not exist"),
    ],
)
def test_what_cannot_be_done_says_why(arguments: list[str], code: str, text: str, cache: Path) -> None:
    refused(command(*arguments, cache=cache), code, text)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["rf", "alignn"])
def test_published_models_are_judged_by_the_bounds_that_they_screen_with(
    name: str, cache: Path, tmp_path: Path, shared: Path
) -> None:
    labels = write_labelled(tmp_path / "labels.parquet", 30)
    registry = Path(__file__).resolve().parents[1] / "registry-standins.toml"
    flags = ["--artifacts", shared / "hub", "--registry", registry, "--executor", "serial", "--offline"]
    done = command("evaluate", name, labels, "-o", tmp_path / "report", *flags, cache=cache)
    assert done.returncode == 0, done.stderr
    assert f"Bounds of the published model '{name}'" in done.stdout
    assert "two-sided" not in done.stdout
    screen = ["run", labels, "-m", name, "--confidence", "0.9", "-o", tmp_path / "run", *flags]
    assert command(*screen, cache=cache).returncode == 0
    table, judged = read_results(tmp_path / "run"), pq.read_table(tmp_path / "report" / "predictions.parquet")
    assert table["id"].to_pylist() == judged["id"].to_pylist()
    for end in ("lower", "upper"):
        np.testing.assert_allclose(
            judged[f"{end}_0.9"].to_numpy(), table[f"kdist_{end}"].to_numpy(), rtol=1e-5
        )


def test_a_constant_is_judged_beside_other_models(cache: Path, tmp_path: Path) -> None:
    labels = write_labelled(tmp_path / "labels.parquet", 30)
    done = command("evaluate", "baseline", labels, "-o", tmp_path / "report", cache=cache)
    refused(done, "CONFIG_INVALID", "constants in use")


@pytest.mark.shared
def test_a_model_with_a_network_needs_that_network(
    labels: Path, cache: Path, tmp_path: Path, shared: Path
) -> None:
    (tmp_path / "train.yaml").write_text(
        yaml.safe_dump({**SMALL, "feature_schema": "comp_struct_soap_lattice_metal.v1"})
    )
    arguments = ["train", "rf", labels, "-c", tmp_path / "train.yaml", "-o", tmp_path / "model"]
    refused(command(*arguments, "--offline", cache=cache), "ARTIFACT_MISSING", "--artifacts")
    network = ["--artifacts", shared / "hub", "--executor", "serial"]
    done = command(*arguments, *network, cache=cache)
    assert done.returncode == 0, done.stderr
    screen = ["run", labels, "--model", tmp_path / "model", "-o", tmp_path / "run", "--offline"]
    refused(command(*screen, cache=cache), "ARTIFACT_MISSING", "--artifacts")
    done = command(*screen, *network, cache=cache)
    assert done.returncode == 0, done.stderr
    features = FeatureSet("comp_struct_soap_lattice_metal.v1")
    trained = read_model(tmp_path / "model")
    assert len(trained.record.feature_columns) == len(features.columns) == 483


@pytest.mark.shared
@pytest.mark.slow
def test_a_model_trained_on_jarvis_screens_mc3d(cache: Path, tmp_path: Path, shared: Path) -> None:
    (tmp_path / "train.yaml").write_text(
        yaml.safe_dump({**SMALL, "feature_schema": "comp_struct_lattice.v1"})
    )
    labels = shared / "data" / "jarvis_kpoint_length.parquet"
    flags = ["--target", "kpoint_length", "--kind", "kpoint_length", "--workers", "2"]
    done = command(
        "train", "rf", labels, "-c", tmp_path / "train.yaml", *flags, "-o", tmp_path / "model", cache=cache
    )
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(shared / "data" / "mc3d_pbe.parquet")
    pq.write_table(
        rows.take(pa.array(range(0, rows.num_rows, rows.num_rows // 300))), tmp_path / "mc3d.parquet"
    )
    screen = ["run", tmp_path / "mc3d.parquet", "--model", tmp_path / "model", "--workers", "2"]
    done = command(*screen, "-o", tmp_path / "run", cache=cache)
    assert done.returncode == 0, done.stderr
    table = read_results(tmp_path / "run")
    assert table.num_rows >= 300
    bounds = np.column_stack([table[f"kdist_{name}"].to_numpy() for name in ("lower", "median", "upper")])
    assert (np.diff(bounds, axis=1) >= 0).all()
    # labels reach from 0.05 to 0.5 1/Å, and a forest cannot leave them by more than its margins
    assert (bounds > 0.03).all()
    assert (bounds < 0.7).all()


NETWORKS = {
    "name": "nets",
    "feature_schema": "comp_lattice.v1",
    "network": {"hidden": 8, "alignn_layers": 1, "gcn_layers": 1, "members": 2},
    "fit": {"epochs": 12, "patience": 12},
}


def test_networks_are_trained_killed_gone_on_with_and_screen(cache: Path, tmp_path: Path) -> None:
    labels = write_labelled(tmp_path / "labels.parquet", 110)
    (tmp_path / "nets.yaml").write_text(yaml.safe_dump(NETWORKS))
    flags = ["-c", tmp_path / "nets.yaml", "--device", "cpu", "--workers", "2"]
    arguments = ["train", "alignn", labels, *flags, "-o"]
    whole = command(*arguments, tmp_path / "whole", cache=cache)
    assert whole.returncode == 0, whole.stderr
    assert "12 epochs, 0 done already" in whole.stderr
    for text in ("Held-out rows (10%", "| confidence", "12 epochs", f"--model {tmp_path / 'whole'}"):
        assert text in whole.stdout.replace("\n", " ")
    model, state = tmp_path / "model", tmp_path / "model.training"
    with subprocess.Popen(
        words(*arguments, model), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment(cache)
    ) as process:
        deadline = time.monotonic() + 120
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    assert state.exists()
    assert not model.exists()
    again = command(*arguments, model, "--report", tmp_path / "report", cache=cache)
    assert again.returncode == 0, again.stderr
    assert re.search(r"12 epochs, [1-9]\d* done already", again.stderr)
    assert digests(model) == digests(tmp_path / "whole")
    assert not state.exists()
    assert {path.name for path in (tmp_path / "report").iterdir()} >= PLOTS

    pool = write_labelled(tmp_path / "pool.parquet", 40, seed=3)
    screen = ["run", pool, "--model", model, "--confidence", "0.9", "-o"]
    done = command(*screen, tmp_path / "run", "--workers", "2", cache=cache)
    assert done.returncode == 0, done.stderr
    alone = command(*screen, tmp_path / "alone", "--executor", "serial", cache=cache)
    assert alone.returncode == 0, alone.stderr
    table = read_results(tmp_path / "run")
    assert table.equals(read_results(tmp_path / "alone"))
    assert set(table["model"].to_pylist()) == {"nets"}
    done = command("suggest", tmp_path / "run", "-n", "5", "-o", tmp_path / "next.parquet", cache=cache)
    assert done.returncode == 0, done.stderr
    shown = command("models", "show", model, cache=cache)
    assert shown.returncode == 0, shown.stderr
    assert "alignn_ensemble" in shown.stdout
