"""Models that goldilocks-ml trained: found, refused, asked; rungs by registry and by record."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core.structure import Structure
from typer.testing import CliRunner

from goldilocks_batch import predict
from goldilocks_batch.artifacts.find import find_model
from goldilocks_batch.artifacts.goldilocks_record import expect_served, read_goldilocks_record
from goldilocks_batch.artifacts.trained import shipped_model
from goldilocks_batch.cli.app import app
from goldilocks_batch.config.model import ModelChoice
from goldilocks_batch.core.errors import ErrorCode, GoldilocksError
from goldilocks_batch.features.featurizer import Featurizer
from goldilocks_batch.features.table import column_names
from goldilocks_batch.kpoints.ladder import ladder
from goldilocks_batch.models.bounds import SMALLEST_KDIST
from goldilocks_batch.models.convert import convert_forest, load_forest
from goldilocks_batch.models.forest_pickle import read_forest_pickle
from goldilocks_batch.models.rungs import RungModel
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.primitive import primitive_cell
from goldilocks_batch.structures.symmetry import find_symmetry
from tests.goldilocks_records import distance_record, rung_parts, rung_record, write_model
from tests.hub_server import Hub, serving
from tests.oracle import ask
from tests.unit.models.test_forest import trained
from tests.unit.models.test_forest_pickle import published

__all__ = ["published"]

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2


def structures() -> list[Structure]:
    """Primitive cells, whose vectors pymatgen keeps."""
    origin = (0.0, 0.0, 0.0)
    return [
        Structure(FCC * 5.43, ["Si", "Si"], [origin, (0.25, 0.25, 0.25)]),
        Structure(FCC * 4.05, ["Al"], [origin]),
        Structure(FCC * 5.64, ["Na", "Cl"], [origin, (0.5, 0.5, 0.5)]),
        Structure(np.diag([4.59, 4.59, 2.96]), ["Ti", "O"], [origin, (0.3, 0.3, 0.0)]),
        Structure(np.diag([3.9, 4.1, 9.7]), ["Ca", "S"], [origin, (0.1, 0.4, 0.27)]),
    ]


@pytest.fixture
def rungs(published: dict[str, type], tmp_path: Path) -> Path:
    return write_model(tmp_path / "k_index", rung_record(), published, rung_parts(1))


def expected_rungs(folder: Path) -> list[tuple[int, int, int]]:
    """Published, median and coarse rung of each structure, by the rule as it is written."""
    crystals = [primitive_cell(Crystal.from_pymatgen(s)) for s in structures()]
    blocks = ("composition", "symmetry", "cell", "reciprocal")
    features = Featurizer(blocks=blocks)(crystals, [find_symmetry(c) for c in crystals])
    forest = read_forest_pickle(folder / "k_index_qrf.pkl")
    answers = []
    for q05, q50, q90, q975 in forest.predict(features.values, (0.05, 0.5, 0.9, 0.975)).tolist():
        median = int(q50 + 0.5)
        answers.append((int((q90 if median < 7 else q975) + 0.5), median, int(q05 + 0.5)))
    return answers


def test_rungs_become_meshes_and_distances(rungs: Path) -> None:
    rows = predict(structures(), model=str(rungs)).to_pylist()
    wanted = expected_rungs(rungs)
    assert len({rung for rung, _, _ in wanted}) > 1
    assert {median < 7 for _, median, _ in wanted} == {True, False}
    for row, structure, (published_rung, median, coarse) in zip(rows, structures(), wanted, strict=True):
        assert row["status"] == "ok"
        own = ladder(np.array(structure.lattice.matrix), np.ones(3, dtype=bool))
        assert (row["rung"], row["rung_last"]) == (published_rung, len(own))
        assert row["mesh"] == row["mesh_lower"] == own.meshes[published_rung - 1].tolist()
        assert row["mesh_median"] == own.meshes[median - 1].tolist()
        assert row["mesh_upper"] == own.meshes[coarse - 1].tolist()
        assert row["rung_kdist_low"] < row["kdist"] == row["kdist_lower"] < row["rung_kdist_high"]
        assert row["kdist_lower"] <= row["kdist_median"] <= row["kdist_upper"]
        assert row["rung_kdist_low"] == pytest.approx(own.low[published_rung - 1], abs=1e-8)
        assert (row["confidence"], row["tolerance"], row["correction"]) == (0.95, 1.0, 0.0)


def test_other_grids_take_other_rungs(rungs: Path) -> None:
    rows = predict(structures(), model=str(rungs), grid="median").to_pylist()
    assert [row["mesh"] for row in rows] == [row["mesh_median"] for row in rows]
    assert any(row["mesh"] != row["mesh_lower"] for row in rows)


def test_models_of_distances_have_no_rungs() -> None:
    table = predict(structures()[:1], model="baseline")
    names = ("rung", "rung_last", "rung_kdist_low", "rung_kdist_high")
    assert [table[name].to_pylist() for name in names] == [[None]] * 4


def test_gamma_alone_has_no_upper_end(published: dict[str, type], tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", rung_record(), published, rung_parts(1, times=0.0))
    for row in predict(structures(), model=str(folder)).to_pylist():
        assert (row["rung"], row["mesh"], row["rung_kdist_high"]) == (1, [1, 1, 1], None)
        assert row["kdist"] == row["rung_kdist_low"]


def test_a_rung_past_the_last_is_the_last_and_flagged(published: dict[str, type], tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", rung_record(), published, rung_parts(1, times=1e5))
    for row in predict(structures(), model=str(folder)).to_pylist():
        assert row["rung"] == row["rung_last"]
        assert "rung_beyond_ladder" in row["flags"]


def registry_of(folder: Path, rungs: Path, bands: str) -> Path:
    data = (rungs / "k_index_qrf.pkl").read_bytes()
    place = folder / "PSDI" / "4050a-aas85"
    place.mkdir(parents=True)
    (place / "k_index_qrf.pkl").write_bytes(data)
    path = folder / "registry.toml"
    path.write_text(f"""
[files.k_index]
host = "psdi"
repository = "PSDI/4050a-aas85"
path = "k_index_qrf.pkl"
sha256 = "{hashlib.sha256(data).hexdigest()}"
size = {len(data)}
[models.k_index]
kind = "k_index"
title = "rungs"
feature_schema = "cslr.v1"
files = {{ forest = "k_index" }}
[models.k_index.levels."0.95"]
bands = {bands}
""")
    return path


def test_the_registrys_model_and_the_record_give_the_same(rungs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    registry = registry_of(folder, rungs, "[{ below = 7, level = 0.90 }, { level = 0.975 }]")
    ours = predict(structures(), model="k_index", registry=registry, artifacts=folder)
    theirs = predict(structures(), model=str(rungs))
    same = ("rung", "kdist_lower", "kdist_median", "kdist_upper", "mesh", "primitive_mesh", "flags")
    assert ours.select(same) == theirs.select(same)


def test_the_rule_is_part_of_the_models_identity(rungs: Path, tmp_path: Path) -> None:
    digests = set()
    for number, bands in enumerate(("[{ level = 0.90 }]", "[{ level = 0.975 }]")):
        folder = tmp_path / str(number)
        registry = registry_of(folder, rungs, bands)
        digests.add(find_model(ModelChoice("k_index", artifacts=folder, registry=registry)).digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("bands", "word"),
    [
        ("[]", "bands belong"),
        ("[{ below = 7, level = 0.9 }]", "must ascend"),
        ("[{ below = 7, level = 0.9 }, { below = 5, level = 0.9 }, { level = 0.9 }]", "must ascend"),
        ("[{ level = 0.9 }, { level = 0.9 }]", "must ascend"),
        ("[{ level = 0.4 }]", "0.5"),
    ],
)
def test_a_registry_with_an_odd_rule_is_refused(rungs: Path, tmp_path: Path, bands: str, word: str) -> None:
    registry = registry_of(tmp_path / "a", rungs, bands)
    refused(ModelChoice("k_index", registry=registry), ErrorCode.REGISTRY_INVALID, word)


def refused(choice: ModelChoice, code: ErrorCode, *words: str) -> None:
    with pytest.raises(GoldilocksError) as refusal:
        find_model(choice)
    assert refusal.value.code == code, refusal.value
    for word in words:
        assert word in refusal.value.message, refusal.value


def decided(**changes: Any) -> dict[str, Any]:
    return {"decision": rung_record()["decision"] | changes}


INVALID = ErrorCode.ARTIFACT_INVALID


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"record_schema_version": 2}, "record_schema_version is 2, expected was 1"),
        ({"role": "feature_extractor"}, "'feature_extractor': it answers no question by itself"),
        ({"runtime": {"id": "metallicity.is_metal.cgcnn", "version": 1}}, "metallicity.is_metal.cgcnn"),
        ({"runtime": {"id": "k_points.k_index.qrf", "version": 2}}, "version 2"),
        (
            {"target": {"contract": "goldilocks.k_index.ladder_0based.max50.v1", "units": None}},
            "count from 0 on another ladder",
        ),
        ({"target": {"contract": "goldilocks.k_index.ladder_1based.v2", "units": "1/nm"}}, "'1/nm'"),
        ({"feature_schema": "cslr.v2"}, "cslr.v2"),
        ({"feature_columns": rung_record()["feature_columns"][::-1]}, "in their order"),
        ({"feature_columns": rung_record()["feature_columns"][:-1]}, "173 feature columns"),
        ({"feature_parameters": {"soap": {"r_cut": 6.0}}}, "soap"),
        ({"feature_parameters": {"radius": 6.0}}, "radius"),
        ({"quantiles": [0.05, 0.6, 0.95]}, "not a median"),
        ({"decision": None}, "no decision"),
        (decided(rounding=None), "rounded by None"),
        (decided(rule="argmax"), "argmax"),
        (decided(bands=[{"upper": 7.0, "level": 0.9}]), "not whole"),
        (decided(bands=[{"upper": 7.0, "level": 0.9}, {"upper": None, "level": 0.91}]), "not whole"),
        ({"decision": {"rule": "quantile", "level": 0.91, "rounding": "half_up"}}, "level 0.91"),
        (
            {
                "decision": {
                    "rule": "quantile",
                    "level": 0.9,
                    "rounding": "half_up",
                    "bands": [{"upper": None, "offset": 2}],
                }
            },
            "offset",
        ),
        (
            {"calibration": {"method": "x", "endpoint_adjustment": "y", "correction": 0, "coverage": 1}},
            "x, y",
        ),
        ({"artifacts": {"estimator": "../k_index_qrf.pkl"}}, "artifacts.estimator"),
    ],
)
def test_records_that_are_not_served_are_refused(
    published: dict[str, type], tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    folder = write_model(tmp_path / "m", rung_record(**changes), published, rung_parts(1))
    refused(ModelChoice(str(folder)), INVALID, word)


def test_a_quantile_for_all_is_a_rule_too(published: dict[str, type], tmp_path: Path) -> None:
    rule = {"rule": "quantile", "level": 0.95, "rounding": "half_up", "bands": [{"upper": None, "offset": 0}]}
    folder = write_model(tmp_path / "m", rung_record(decision=rule), published, rung_parts(1))
    assert [row["status"] for row in predict(structures(), model=str(folder)).to_pylist()] == ["ok"] * 5


def test_levels_and_tolerances_that_are_not_the_records(rungs: Path) -> None:
    refused(ModelChoice(str(rungs), 0.9), ErrorCode.MODEL_UNKNOWN, "use --confidence 0.95")
    refused(ModelChoice(str(rungs), tolerance=3.0), ErrorCode.CONFIG_INVALID, "it answers at 1")
    assert find_model(ModelChoice(str(rungs), tolerance=1.0)).tolerance == 1.0


def test_an_altered_pickle_is_refused(rungs: Path) -> None:
    path = rungs / "k_index_qrf.pkl"
    path.write_bytes(path.read_bytes() + b"x")
    refused(ModelChoice(str(rungs)), ErrorCode.ARTIFACT_DIGEST, "k_index_qrf.pkl", "its model.json")
    path.unlink()
    refused(ModelChoice(str(rungs)), ErrorCode.ARTIFACT_MISSING, "k_index_qrf.pkl")


def test_a_pickle_outside_the_folder_is_refused(rungs: Path) -> None:
    outside = rungs.parent / "elsewhere.pkl"
    shutil.move(rungs / "k_index_qrf.pkl", outside)
    (rungs / "k_index_qrf.pkl").symlink_to(outside)
    refused(ModelChoice(str(rungs)), ErrorCode.ARTIFACT_FORBIDDEN, "inside the model's folder")


def test_a_forest_of_other_columns_than_the_record_says(published: dict[str, type], tmp_path: Path) -> None:
    parts = rung_parts(1) | {"n_features": 483}
    folder = write_model(tmp_path / "m", rung_record(), published, parts)
    with pytest.raises(GoldilocksError, match="takes 483 columns, its record says cslr"):
        predict(structures(), model=str(folder))


def test_a_forest_without_the_quantiles_of_its_rule(rungs: Path) -> None:
    forest = read_forest_pickle(rungs / "k_index_qrf.pkl")
    with pytest.raises(GoldilocksError, match=r"needs \[0\.91\] too"):
        RungModel(forest, ((None, 0.91),), 0.95, rungs)


def test_the_published_record_is_read(tmp_path: Path) -> None:
    """``model.json`` of PSDI's q3bye-wep37, byte for byte."""
    estimator = {
        "estimator": "QRF95.pkl",
        "estimator_sha256": "2647b976a57637cc34e4874f3b0ff3436a7c032761b774fdd9e56e69fddaffcc",
    }
    told = distance_record(deterministic=False, seed=None, record_origin="reconstructed", artifacts=estimator)
    data = (json.dumps(told, indent=2, sort_keys=True) + "\n").encode()
    assert len(data) == 10_218
    digest = "0c703cdb2e765ec0f7ca5a19ea5b821c4218a99906f849632e9f91dbf419c6a0"
    assert hashlib.sha256(data).hexdigest() == digest
    (tmp_path / "model.json").write_bytes(data)
    record = read_goldilocks_record(tmp_path)
    assert record is not None
    expect_served(tmp_path, record)
    assert len(record.feature_columns) == len(column_names(record.blocks)) == 483
    assert not record.is_of_rungs
    refused(ModelChoice(str(tmp_path)), ErrorCode.ARTIFACT_MISSING, "QRF95.pkl")  # the record is accepted


def distances(published: dict[str, type], shared: Path, folder: Path, **changes: Any) -> Path:
    """A folder with a forest of k-distances and the network it needs beside it, as PSDI's records are."""
    parts = trained(2, n_train=120, n_features=483, trees=9)
    write_model(folder, distance_record(**changes), published, parts)
    for name in ("is_metal.ckpt", "atom_init.json"):
        shutil.copy(shared / "hub/JunwenYin/metallicity-goldilocks-CGCNN" / name, folder)
    return folder


@pytest.mark.shared
def test_distances_by_the_record(published: dict[str, type], shared: Path, tmp_path: Path) -> None:
    folder = distances(published, shared, tmp_path / "m")
    rows = predict(structures(), model=str(folder)).to_pylist()
    assert all(row["status"] == "ok" and row["is_metal"] is not None for row in rows)
    assert {row["correction_origin"] for row in rows} == {"none: the record has no calibration"}
    about = {
        "method": "split_conformal_quantile_regression",
        "endpoint_adjustment": "clamped_to_include_median",
        "coverage": 0.9,
        "sample_count": 100,
    }
    for correction in (0.01, -10.0):
        corrected = distances(
            published, shared, tmp_path / f"m{correction}", calibration=about | {"correction": correction}
        )
        for raw, row in zip(rows, predict(structures(), model=str(corrected)).to_pylist(), strict=True):
            median = raw["kdist_median"]
            assert row["kdist_median"] == median  # neither end passes it
            low = max(min(raw["kdist_lower"] - correction, median), SMALLEST_KDIST)
            assert row["kdist_lower"] == pytest.approx(low)
            assert row["kdist_upper"] == pytest.approx(max(raw["kdist_upper"] + correction, median))


@pytest.mark.shared
def test_the_network_is_the_one_that_the_record_names(
    published: dict[str, type], shared: Path, tmp_path: Path
) -> None:
    folder = distances(published, shared, tmp_path / "m")
    (folder / "atom_init.json").write_text("{}")
    refused(ModelChoice(str(folder)), ErrorCode.ARTIFACT_DIGEST, "atom_init.json")
    (folder / "atom_init.json").unlink()  # then the registry's is taken
    choice = ModelChoice(str(folder), artifacts=shared / "hub", offline=True)
    assert {file.role for file in find_model(choice).files} == {
        *("record", "forest", "metallicity_checkpoint", "metallicity_atoms")
    }
    refused(ModelChoice(str(folder), offline=True), ErrorCode.ARTIFACT_MISSING, "is_metal.ckpt")


TRAIN = """
import json, sys
import numpy as np
from pathlib import Path
from pymatgen.core.structure import Structure
from sklearn_quantile import RandomForestQuantileRegressor
from goldilocks_ml.hashing import sha256_file
from goldilocks_ml.inference import load_model
from goldilocks_ml.models.k_points.k_distance.qrf import features as distance
from goldilocks_ml.models.k_points.k_distance.qrf.trainer import QuantileRandomForestModel
from goldilocks_ml.models.k_points.k_index.qrf import features as rungs
folder, kind, texts = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
structures = [Structure.from_dict(text) for text in texts]
if kind == "rungs":
    about = dict(
        target_contract="goldilocks.k_index.ladder_1based.v2", target_units=None,
        runtime="k_points.k_index.qrf", model_file="k_index_qrf.pkl", feature_schema=rungs.SCHEMA,
        feature_columns=tuple(rungs.column_names()), levels=(0.05, 0.5, 0.9, 0.95, 0.975),
        requires_artifacts=(), correction=0.0,
        decision={"rule": "quantile_by_band", "baseline_level": 0.5, "rounding": "half_up",
                  "bands": [{"upper": 7, "level": 0.9}, {"upper": None, "level": 0.975}]})
    rows = rungs.feature_rows(structures)
else:
    extra = {"metallicity_checkpoint": folder / "is_metal.ckpt",
             "metallicity_atom_init": folder / "atom_init.json"}
    about = dict(
        target_contract="goldilocks.k_distance.mesh_lower_bound.2pi.v1", target_units="1/angstrom",
        runtime="k_points.k_distance.qrf", model_file="QRF95.pkl", feature_schema=distance.SCHEMA,
        feature_columns=tuple(distance.column_names()), levels=(0.05, 0.5, 0.95), correction=-0.02,
        requires_artifacts=tuple(
            {"name": name, "record_id": "x", "file": path.name, "sha256": sha256_file(path)}
            for name, path in extra.items()),
        decision=None)
    rows = distance.feature_rows(structures, soap=distance.SOAP_DEFAULTS, **extra)
random = np.random.default_rng(0)
count = 40 * len(rows)
train = np.repeat(rows, 40, axis=0) * random.normal(1, 0.05, (count, rows.shape[1]))
target = random.integers(1, 16, count) if kind == "rungs" else random.uniform(0.1, 1, count)
forest = RandomForestQuantileRegressor(n_estimators=20, q=list(about["levels"]), random_state=0)
QuantileRandomForestModel(
    estimator=forest.fit(train, target.astype(float)), quantiles=(0.05, 0.5, 0.95), coverage=0.9, seed=0,
    target_name="k", feature_parameters={}, hyperparameters={}, calibration_count=100,
    calibration_mean_width=1.0, selection={}, runtime_version=1, **about).save(folder)
answers = load_model(folder).predict_batch(structures)
print(json.dumps([[answer.value, *answer.details["interval"]] for answer in answers]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rungs", "distances"])
@pytest.mark.shared
def test_what_goldilocks_ml_trains_answers_the_same_here(shared: Path, tmp_path: Path, kind: str) -> None:
    for name in ("is_metal.ckpt", "atom_init.json"):
        shutil.copy(shared / "hub/JunwenYin/metallicity-goldilocks-CGCNN" / name, tmp_path)
    cells = [primitive_cell(Crystal.from_pymatgen(s)).to_pymatgen() for s in structures()]
    answers = ask(TRAIN, tmp_path, kind, json.dumps([cell.as_dict() for cell in cells]))
    rows = predict(cells, model=str(tmp_path)).to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * len(cells)
    for row, cell, (value, low, high) in zip(rows, cells, answers, strict=True):
        if kind == "rungs":
            own = ladder(np.array(cell.lattice.matrix), np.ones(3, dtype=bool))
            assert row["rung"] == value
            assert row["mesh"] == own.meshes[int(value) - 1].tolist()
            assert row["mesh_upper"] == own.meshes[max(int(low + 0.5), 1) - 1].tolist()
        else:
            found = (row["kdist_median"], row["kdist_lower"], row["kdist_upper"])
            assert found == pytest.approx((value, low, high), abs=1e-6)


def test_goldilocks_ml_says_why_it_does_not_read_models_of_this_package() -> None:
    script = """
import json, sys
from pathlib import Path
from goldilocks_ml.inference import load_model
answers = []
for folder in sys.argv[1:]:
    try:
        answers.append(str(load_model(Path(folder))))
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}")
print(json.dumps(answers))
"""
    (said,) = ask(script, shipped_model("mc3d"))
    version = json.loads((shipped_model("mc3d") / "model.json").read_text())["record_schema_version"]
    assert said.startswith("ValueError")
    assert version in said
    assert "is not supported" in said


def test_a_forest_of_rungs_is_converted_once_and_gives_the_same(rungs: Path, tmp_path: Path) -> None:
    found = find_model(ModelChoice(str(rungs)))
    arrays = convert_forest(found.only("forest"), tmp_path)
    record = json.loads((arrays.path.parent / "model.json").read_text())
    assert record["feature_schema"] == "cslr.v1"
    assert (record["target"]["contract"], record["target"]["units"]) == (
        "goldilocks.k_index.ladder_1based.v2",
        None,
    )
    assert record["requires_artifacts"] == []
    pickled = load_forest(replace(found, converted=None))
    converted = load_forest(replace(found, converted=arrays))
    for name, array in pickled.to_arrays().items():
        assert np.array_equal(array, converted.to_arrays()[name]), name


def test_what_models_show_and_verify_say_of_a_folder(rungs: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(app, ["models", "show", str(rungs)])
    assert shown.exit_code == 0, shown.output
    for word in ("k_points.k_index.qrf", "cslr.v1", "the 0.9 quantile where the median is below rung 7"):
        assert word in " ".join(shown.output.split())
    assert runner.invoke(app, ["models", "verify", str(rungs)]).exit_code == 0
    (rungs / "k_index_qrf.pkl").write_bytes(b"another")
    wrong = runner.invoke(app, ["models", "verify", str(rungs)])
    assert wrong.exit_code == 1
    assert "k_index_qrf.pkl" in wrong.output


@pytest.fixture
def psdi(rungs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A server that holds the model as a record, and a cache of its own."""
    monkeypatch.setenv("GOLDILOCKS_CACHE", str(tmp_path / "cache"))
    with serving() as hub:
        monkeypatch.setenv("GOLDILOCKS_PSDI", hub.environment["GOLDILOCKS_PSDI"])
        for path in rungs.iterdir():
            hub.files[f"PSDI/abcde-12345/{path.name}"] = path.read_bytes()
        yield hub


def test_a_record_of_psdi_is_a_model(psdi: Hub, rungs: Path, tmp_path: Path) -> None:
    refused(
        ModelChoice("psdi:abcde-12345", offline=True),
        ErrorCode.ARTIFACT_MISSING,
        "models pull psdi:abcde-12345",
    )
    same = ("rung", "kdist_lower", "mesh")
    found = predict(structures(), model="psdi:abcde-12345")
    assert found.select(same) == predict(structures(), model=str(rungs)).select(same)
    asked = len(psdi.asked)
    assert predict(structures(), model="psdi:abcde-12345", offline=True).select(same) == found.select(same)
    assert len(psdi.asked) == asked
    record = tmp_path / "cache" / "PSDI" / "abcde-12345" / "model.json"
    record.write_text(record.read_text().replace("validation", "another split"))
    refused(ModelChoice("psdi:abcde-12345"), ErrorCode.ARTIFACT_DIGEST, "model.json")


def test_records_that_are_none_are_refused_before_a_pickle_is_fetched(psdi: Hub) -> None:
    psdi.files["PSDI/other/model.json"] = b'{"record_schema_version": 1, "role": "feature_extractor"}'
    psdi.files["PSDI/words/model.json"] = b'{"record_schema_version": "another"}'
    refused(ModelChoice("psdi:other"), INVALID, "answers no question")
    refused(ModelChoice("psdi:words"), INVALID, "no record of goldilocks-ml")
    refused(ModelChoice("psdi:nothing"), ErrorCode.ARTIFACT_MISSING, "404")
    assert not [path for _, path, _ in psdi.asked if path.endswith(".pkl/content")]


def test_a_record_with_another_pickle_is_refused(psdi: Hub) -> None:
    psdi.files["PSDI/abcde-12345/k_index_qrf.pkl"] += b"x"
    refused(ModelChoice("psdi:abcde-12345"), ErrorCode.ARTIFACT_DIGEST, "k_index_qrf.pkl")


def test_a_record_is_pulled_into_a_folder(psdi: Hub, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["models", "pull", "psdi:abcde-12345", "--to", str(tmp_path / "models")])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "models" / "PSDI" / "abcde-12345"
    assert find_model(ModelChoice(str(folder))).kind == "goldilocks"
    choice = ModelChoice("psdi:abcde-12345", artifacts=tmp_path / "models", offline=True)
    assert find_model(choice).file("forest").parent == folder.resolve()
    assert psdi.asked


def test_what_models_show_and_verify_say_of_a_record_of_psdi(psdi: Hub, tmp_path: Path) -> None:
    def say(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["models", *arguments])
        return done.exit_code, " ".join(done.output.split())

    name = "psdi:abcde-12345"
    code, found = say("verify", name)
    assert (code, "models pull psdi:abcde-12345" in found) == (1, True)
    code, shown = say("show", name, "--offline")
    assert (code, "models pull psdi:abcde-12345" in shown) == (2, True)
    assert not psdi.asked, "neither asks the network"
    code, shown = say("show", name)
    assert code == 0, shown
    assert "k_points.k_index.qrf" in shown
    assert "not here k_index_qrf.pkl" in shown
    asked = [path for _, path, _ in psdi.asked]
    assert any("model.json" in path for path in asked)
    assert not any("k_index_qrf.pkl" in path for path in asked)
    code, again = say("show", name, "--offline")
    assert (code, shown.endswith(again)) == (0, True), "its description is kept"
    assert say("verify", name)[0] == 1, "which is not all of it"
    assert say("pull", name)[0] == 0
    assert say("verify", name)[0] == 0
    code, shown = say("show", name, "--offline")
    assert (code, "not here" in shown) == (0, False)
    pickle = tmp_path / "cache" / "PSDI" / "abcde-12345" / "k_index_qrf.pkl"
    pickle.write_bytes(b"another")
    code, found = say("verify", name)
    assert (code, "k_index_qrf.pkl" in found) == (1, True)
