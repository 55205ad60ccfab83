"""Conversions: the same numbers, made once, refused when anything about them is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from goldilocks_batch.artifacts.conversions import (
    check_conversion,
    conversion_path,
    conversions,
    read_conversion,
    with_conversion,
)
from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.registry import Registry
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel, digested
from goldilocks_batch.artifacts.trained import shipped_model
from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError
from goldilocks_batch.features.table import column_names
from goldilocks_batch.models.convert import PUBLISHED_BLOCKS, convert_forest, convert_levels, load_forest
from goldilocks_batch.models.forest_pickle import read_forest_pickle
from tests.unit.models.test_forest_pickle import Payload, published, regressor, written

__all__ = ["published"]  # a fixture

COLUMNS = 483
ROWS = np.random.default_rng(0).normal(size=(50, COLUMNS))


@pytest.fixture
def source(published: dict[str, type], tmp_path: Path) -> ResolvedFile:
    path = written(tmp_path / "QRF95.pkl", regressor(published, n_features_in_=COLUMNS))
    return digested("forest", path, None)


def model_of(source: ResolvedFile) -> ResolvedModel:
    return ResolvedModel("rf", ModelKind.FOREST, 0.9, "r", 0.0, "none", None, (), (source,))


def replaced(folder: Path, name: str, data: bytes, *, relist: bool = True) -> None:
    """Replace a file; with ``relist`` by somebody who also adjusts the digests."""
    (folder / name).write_bytes(data)
    if not relist:
        return
    digest = hashlib.sha256(data).hexdigest()
    if name == "forest.safetensors":
        record = json.loads((folder / "model.json").read_text())
        record["artifacts"]["estimator_sha256"] = digest
        replaced(folder, "model.json", json.dumps(record).encode())
    listing = json.loads((folder / "manifest.json").read_text())
    for entry in listing["artifacts"]:
        if entry["name"] == name:
            entry |= {"size_bytes": len(data), "sha256": digest}
    (folder / "manifest.json").write_text(json.dumps(listing))


def refused(model: ResolvedModel, folder: Path, code: ErrorCode, *words: str) -> None:
    """Neither the client nor a worker that trusts it makes a forest of what is in the cache."""
    with pytest.raises(ModelError) as refusal:
        load_forest(with_conversion(model, [folder], convert=convert_forest))
    assert refusal.value.code == code, refusal.value
    for word in words:
        assert word in refusal.value.message


def test_the_numbers_are_the_same_to_the_last_bit(source: ResolvedFile, tmp_path: Path) -> None:
    before = load_forest(model_of(source))
    model = with_conversion(model_of(source), [tmp_path / "cache"], convert=convert_forest)
    assert model.converted is not None
    assert model.digest == model_of(source).digest
    after = load_forest(pickle.loads(pickle.dumps(model)))
    assert after.predict(ROWS).tobytes() == before.predict(ROWS).tobytes()
    for name, array in before.to_arrays().items():
        assert after.to_arrays()[name].tobytes() == array.tobytes()


def test_the_record_says_what_it_is_of(source: ResolvedFile, tmp_path: Path) -> None:
    convert_forest(source, tmp_path)
    record = json.loads((conversion_path(tmp_path, source.sha256) / "model.json").read_text())
    assert record["source"] == {
        "name": "QRF95.pkl",
        "sha256": source.sha256,
        "size_bytes": source.stamp[0],
        "format": "pickle of sklearn_quantile.RandomForestQuantileRegressor",
    }
    assert record["feature_schema"] == "comp_struct_soap_lattice_metal.v1"
    assert tuple(record["feature_columns"]) == tuple(column_names(PUBLISHED_BLOCKS))
    assert record["target"]["contract"] == "goldilocks.k_distance.mesh_lower_bound.2pi.v1"
    network = {entry["name"]: entry["file"] for entry in record["requires_artifacts"]}
    assert network == {"metallicity_checkpoint": "is_metal.ckpt", "metallicity_atoms": "atom_init.json"}
    assert record["runtime"]["id"] == "goldilocks-batch"
    found = read_conversion(conversion_path(tmp_path, source.sha256))
    assert found is not None
    assert found.source.sha256 == source.sha256
    assert read_conversion(shipped_model("mc3d")) is None


def test_it_is_made_once_and_always_the_same(source: ResolvedFile, tmp_path: Path) -> None:
    first = convert_forest(source, tmp_path)
    assert convert_forest(source, tmp_path) == first  # the modification time too
    other = convert_forest(source, tmp_path / "other")
    assert other.sha256 == first.sha256
    assert (other.path.parent / "manifest.json").read_bytes() == (
        first.path.parent / "manifest.json"
    ).read_bytes()
    assert [path.name for path in (tmp_path / "converted" / "forest.v1").iterdir()] == [source.sha256]


def test_a_conversion_beside_the_artifacts_is_used(source: ResolvedFile, tmp_path: Path) -> None:
    made = convert_forest(source, tmp_path / "artifacts")
    found = with_conversion(
        model_of(source), [tmp_path / "artifacts", tmp_path / "cache"], convert=convert_forest
    )
    assert found.converted == made
    assert not (tmp_path / "cache").exists()


def test_another_pickle_has_another_conversion(
    published: dict[str, type],
    source: ResolvedFile,
    tmp_path: Path,
) -> None:
    convert_forest(source, tmp_path)
    changed = regressor(published, n_features_in_=COLUMNS)
    changed.y_train_ = changed.y_train_ * 2
    other = digested("forest", written(tmp_path / "QRF95.pkl", changed), None)
    model = with_conversion(model_of(other), [tmp_path], convert=convert_forest)
    assert np.array_equal(load_forest(model).predict(ROWS), read_forest_pickle(other.path).predict(ROWS))
    assert len(conversions(tmp_path)) == 2


def test_where_the_cache_cannot_be_written_the_pickle_is_read(source: ResolvedFile, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    model = with_conversion(model_of(source), [tmp_path / "cache"], convert=convert_forest)
    assert model.converted is None
    assert load_forest(model).predict(ROWS).shape == (50, 3)
    with pytest.raises(RunError) as refusal:
        convert_forest(source, tmp_path / "cache")
    assert refusal.value.code == ErrorCode.WRITE_FAILED


def test_a_worker_that_does_not_see_the_cache_reads_the_pickle(source: ResolvedFile, tmp_path: Path) -> None:
    model = with_conversion(model_of(source), [tmp_path / "cache"], convert=convert_forest)
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    assert (
        load_forest(model).predict(ROWS).tobytes() == read_forest_pickle(source.path).predict(ROWS).tobytes()
    )


def test_many_convert_at_once(source: ResolvedFile, tmp_path: Path) -> None:
    found: list[ResolvedFile] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        found.append(convert_forest(source, tmp_path))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({file.sha256 for file in found}) == 1
    assert len(found) == 4
    assert [path.name for path in (tmp_path / "converted" / "forest.v1").iterdir()] == [source.sha256]


def test_other_kinds_of_models_have_nothing_to_convert(source: ResolvedFile, tmp_path: Path) -> None:
    networks = replace(model_of(source), kind=ModelKind.ALIGNN)
    assert with_conversion(networks, [tmp_path], convert=convert_forest) == networks
    registry = Registry.model_validate(
        {"models": {"c": {"kind": "constant", "title": "c", "levels": {"0.95": {"kdist": 0.2}}}}}
    )
    with pytest.raises(ModelError, match="only the published forests"):
        list(convert_levels(registry, "c", [0.95], Places(), tmp_path))


def test_a_harmful_pickle_is_refused_and_leaves_nothing(
    published: dict[str, type],
    tmp_path: Path,
) -> None:
    harmful = regressor(published, n_features_in_=COLUMNS, extra=Payload(os.mkdir, str(tmp_path / "trace")))
    file = digested("forest", written(tmp_path / "f.pkl", harmful), None)
    refused(model_of(file), tmp_path, ErrorCode.ARTIFACT_FORBIDDEN, "f.pkl names posix.mkdir")
    assert not (tmp_path / "trace").exists()
    assert conversions(tmp_path) == []


def test_a_forest_of_other_columns_is_not_converted(published: dict[str, type], tmp_path: Path) -> None:
    file = digested("forest", written(tmp_path / "f.pkl", regressor(published)), None)
    refused(model_of(file), tmp_path, ErrorCode.ARTIFACT_INVALID, "takes 4 columns")


@pytest.fixture
def conversion(source: ResolvedFile, tmp_path: Path) -> Path:
    return convert_forest(source, tmp_path / "cache").path.parent


@pytest.mark.parametrize("name", ["forest.safetensors", "model.json"])
@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:-1], lambda data: data[:100], lambda data: data[:-1] + bytes([data[-1] ^ 1])],
    ids=["cut", "cut short", "a bit turned"],
)
def test_damaged_files_are_refused_and_made_anew(
    conversion: Path, source: ResolvedFile, tmp_path: Path, name: str, spoil: Callable[[bytes], bytes]
) -> None:
    whole = (conversion / name).read_bytes()
    replaced(conversion, name, spoil(whole), relist=False)
    refused(model_of(source), tmp_path / "cache", ErrorCode.ARTIFACT_DIGEST, name, "models convert")
    convert_forest(source, tmp_path / "cache")
    assert (conversion / name).read_bytes() == whole


@pytest.mark.parametrize("name", ["forest.safetensors", "model.json", "manifest.json"])
def test_missing_files_are_named(conversion: Path, source: ResolvedFile, tmp_path: Path, name: str) -> None:
    (conversion / name).unlink()
    refused(model_of(source), tmp_path / "cache", ErrorCode.ARTIFACT_MISSING, name)


def test_a_file_altered_after_the_client_looked_is_refused_by_the_worker(
    conversion: Path, source: ResolvedFile, tmp_path: Path
) -> None:
    model = with_conversion(model_of(source), [tmp_path / "cache"], convert=convert_forest)
    (conversion / "forest.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError, match="changed since"):
        load_forest(model)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("record_schema_version", "goldilocks_batch.converted_forest.v2"),
        ("feature_schema", "of_my_own.v1"),
        ("quantile_rule", "midpoint"),
        ("target", {"contract": "another.v1"}),
        ("target", {}),
        ("artifacts", {"estimator": "../forest.safetensors", "estimator_sha256": "0" * 64}),
        ("artifacts", {"estimator": "/etc/passwd", "estimator_sha256": "0" * 64}),
    ],
)
def test_a_record_that_asks_for_what_is_not_known_is_refused(
    conversion: Path, source: ResolvedFile, tmp_path: Path, key: str, value: object
) -> None:
    record = json.loads((conversion / "model.json").read_text())
    replaced(conversion, "model.json", json.dumps(record | {key: value}).encode())
    refused(model_of(source), tmp_path / "cache", ErrorCode.ARTIFACT_INVALID, key)


def test_the_conversion_of_another_pickle_is_refused(conversion: Path, source: ResolvedFile) -> None:
    other = conversion.with_name("0" * 64)
    conversion.rename(other)
    with pytest.raises(ModelError, match=source.sha256):
        check_conversion(other, other.name)


def test_records_that_disagree_are_refused(conversion: Path, source: ResolvedFile, tmp_path: Path) -> None:
    record = json.loads((conversion / "model.json").read_text())
    record["artifacts"]["estimator_sha256"] = "0" * 64
    replaced(conversion, "model.json", json.dumps(record).encode())
    refused(model_of(source), tmp_path / "cache", ErrorCode.ARTIFACT_INVALID, "different sha256")


def test_a_link_out_of_the_folder_is_refused(conversion: Path, source: ResolvedFile, tmp_path: Path) -> None:
    (conversion / "forest.safetensors").rename(tmp_path / "elsewhere")
    (conversion / "forest.safetensors").symlink_to(tmp_path / "elsewhere")
    refused(model_of(source), tmp_path / "cache", ErrorCode.ARTIFACT_FORBIDDEN, "inside the model's folder")


def headed(header: object, data: bytes = bytes(16)) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(begin: int, end: int, shape: list[int], dtype: str = "I32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        (2**63).to_bytes(8, "little") + bytes(100),
        (2**16 + 1).to_bytes(8, "little") + b" " * 2**17,
        headed({"feature": tensor(0, 2**40, [2**38])}),
        headed({"feature": tensor(0, 16, [2**62])}),
        headed({"feature": tensor(0, 16, [2**32, 2**32])}),
        headed({"feature": tensor(0, 16, [4]), "left": tensor(0, 16, [4])}),
        headed({"feature": tensor(0, 8, [2]), "left": tensor(4, 16, [3])}),
        headed({"feature": tensor(8, 16, [2])}),
        headed({"feature": tensor(0, 8, [2])}),
        headed({"feature": tensor(16, 0, [4])}),
        headed({"feature": tensor(0, 16, [4], "NONSENSE")}),
        headed({"feature": tensor(0, 16, [4])}),
        headed([]),
        pickle.dumps(Payload(os.mkdir, "/never")),
    ],
)
def test_arrays_that_are_no_forest_are_refused(
    conversion: Path, source: ResolvedFile, tmp_path: Path, data: bytes
) -> None:
    replaced(conversion, "forest.safetensors", data)
    refused(model_of(source), tmp_path / "cache", ErrorCode.ARTIFACT_INVALID)


def test_arrays_that_would_lead_prediction_astray_are_refused(
    conversion: Path, source: ResolvedFile, tmp_path: Path
) -> None:
    arrays = load((conversion / "forest.safetensors").read_bytes())
    arrays["rows"] = arrays["rows"] + 10**6
    replaced(conversion, "forest.safetensors", save(arrays))
    refused(model_of(source), tmp_path / "cache", ErrorCode.ARTIFACT_INVALID, "training row")
