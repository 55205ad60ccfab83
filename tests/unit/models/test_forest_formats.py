"""Forests in every form that the standard library's pickle and joblib write, and hostile ones in each."""

from __future__ import annotations

import bz2
import io
import lzma
import pickle
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.forest_pickle import read_forest_pickle
from tests.oracle import ask
from tests.unit.models.test_forest import trained
from tests.unit.models.test_forest_pickle import Payload, published, regressor

__all__ = ["published"]

PROTOCOLS = (2, 3, 4, 5)
COMPRESSIONS = ("zlib", "gzip", "bz2", "xz", "lzma", "lz4")
ROWS = np.random.default_rng(0).normal(size=(30, 4))


def expected() -> np.ndarray:
    return Forest.from_trees(**trained(3)).predict(ROWS)


def dumped(forest: Any, path: Path, protocol: int = 4, compress: Any = 0) -> Path:
    joblib.dump(forest, path, compress=compress, protocol=protocol)
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickles_of_every_protocol(published: dict[str, type], tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "f.pkl"
    path.write_bytes(pickle.dumps(regressor(published), protocol=protocol))
    assert np.array_equal(read_forest_pickle(path).predict(ROWS), expected())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_joblib_files_of_every_protocol(published: dict[str, type], tmp_path: Path, protocol: int) -> None:
    path = dumped(regressor(published), tmp_path / "f.joblib", protocol)
    with pytest.raises(Exception, match=r"."):  # its arrays lie behind the objects: it is no pickle
        pickle.loads(path.read_bytes())
    assert np.array_equal(read_forest_pickle(path).predict(ROWS), expected())


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("protocol", [2, 5])
def test_joblib_files_of_every_compression(
    published: dict[str, type], tmp_path: Path, compression: str, protocol: int
) -> None:
    path = dumped(regressor(published), tmp_path / "f.joblib", protocol, (compression, 3))
    assert np.array_equal(read_forest_pickle(path).predict(ROWS), expected())


@pytest.mark.parametrize("aligned", [True, False])
def test_joblib_files_of_before_and_after_alignment(
    published: dict[str, type], tmp_path: Path, aligned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    alignment = 16 if aligned else None
    monkeypatch.setattr(joblib.numpy_pickle.NumpyArrayWrapper.__init__, "__defaults__", (False, alignment))
    path = dumped(regressor(published), tmp_path / "f.joblib")
    assert np.array_equal(read_forest_pickle(path).predict(ROWS), expected())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("with_joblib", [True, False])
def test_arrays_of_fortran_order(
    published: dict[str, type], tmp_path: Path, protocol: int, with_joblib: bool
) -> None:
    parts = trained(3)
    forest = regressor(published)
    for name, key in CHANGED.items():
        setattr(forest, name, np.asfortranarray(parts[key]))
    path = tmp_path / "f"
    if with_joblib:
        dumped(forest, path, protocol)
    else:
        path.write_bytes(pickle.dumps(forest, protocol=protocol))
    assert np.array_equal(read_forest_pickle(path).predict(ROWS), expected())


CHANGED = {"y_train_leaves_": "leaves", "y_weights_": "weights"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_the_real_library_writes(protocol: int, tmp_path: Path) -> None:
    answers = ask(_REAL, tmp_path, protocol)
    rows = np.array(answers["rows"])
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 2 + len(COMPRESSIONS)
    first, *others = [read_forest_pickle(path).predict(rows) for path in paths]
    assert all(np.array_equal(bounds, first) for bounds in others)
    # the library adds weights in another order; a thousandth of what the labels are rounded to
    assert np.abs(first.T - np.array(answers["bounds"])).max() <= 1e-6


_REAL = """
import json, pickle, sys
import joblib, numpy as np
from sklearn_quantile import RandomForestQuantileRegressor
folder, protocol = sys.argv[1], int(sys.argv[2])
random = np.random.default_rng(0)
columns, target = random.normal(size=(300, 5)), random.random(300).round(2)
forest = RandomForestQuantileRegressor(n_estimators=7, q=[0.05, 0.5, 0.95], random_state=0)
forest.fit(columns, target)
rows = random.normal(size=(40, 5))
with open(f"{folder}/plain.pkl", "wb") as stream:
    pickle.dump(forest, stream, protocol=protocol)
for name in ("none", "zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
    compress = 0 if name == "none" else (name, 3)
    joblib.dump(forest, f"{folder}/{name}.pkl", compress=compress, protocol=protocol)
print(json.dumps({"rows": rows.tolist(), "bounds": forest.predict(rows).tolist()}))
"""


def test_forests_of_another_library_are_refused_by_name(tmp_path: Path) -> None:
    from quantile_forest import RandomForestQuantileRegressor

    random = np.random.default_rng(0)
    forest = RandomForestQuantileRegressor(n_estimators=2, random_state=0)
    forest.fit(random.normal(size=(30, 4)), random.random(30))
    for path in (dumped(forest, tmp_path / "a"), tmp_path / "b"):
        if path.name == "b":
            path.write_bytes(pickle.dumps(forest))
        refused(path, ErrorCode.ARTIFACT_FORBIDDEN, "quantile_forest")


def refused(path: Path, code: ErrorCode, *words: str) -> None:
    with pytest.raises(ModelError) as refusal:
        read_forest_pickle(path)
    assert refusal.value.code == code, refusal.value
    for word in words:
        assert word in refusal.value.message, refusal.value


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("xz", 3)])
def test_a_payload_in_a_joblib_file_does_not_run(
    published: dict[str, type], tmp_path: Path, compress: Any
) -> None:
    trace = tmp_path / "trace"
    payload = Payload(eval, f"open({str(trace)!r}, 'w')")
    path = dumped(regressor(published, extra=payload), tmp_path / "f", compress=compress)
    refused(path, ErrorCode.ARTIFACT_FORBIDDEN, "names builtins.eval", "nothing of it was run")
    assert not trace.exists()


def test_a_payload_behind_the_arrays_does_not_run(published: dict[str, type], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    objects = np.array([Payload(eval, f"open({str(trace)!r}, 'w')")], dtype=object)
    path = dumped(regressor(published, extra=objects), tmp_path / "f")
    refused(path, ErrorCode.ARTIFACT_INVALID, "not of plain numbers")
    assert not trace.exists()


def zeros(size: int, compress: Any) -> bytes:
    return bytes(compress(bytes(size)))


def lz4_of(data: bytes) -> bytes:
    from lz4 import frame

    return bytes(frame.compress(data))


@pytest.mark.parametrize(
    "bomb",
    [
        zeros(2**27, zlib.compress),
        zeros(2**27, bz2.compress),
        zeros(2**27, lambda data: lzma.compress(data, preset=0)),
        zeros(2**27, lz4_of),
    ],
    ids=["zlib", "bz2", "xz", "lz4"],
)
def test_a_file_that_unpacks_to_far_more_is_refused_and_takes_little_memory(
    bomb: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "f"
    path.write_bytes(bomb)
    assert len(bomb) < 600_000
    tracemalloc.start()
    try:
        refused(path, ErrorCode.ARTIFACT_FORBIDDEN, "unpacks to more than")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * (2**26 + 100 * len(bomb))


def test_a_dictionary_of_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\x5d" + struct.pack("<I", 2**32 - 1) + b"\xff" * 8 + bytes(20))
    with pytest.raises(ModelError):  # 0x5d 0xff…: not even taken for lzma
        read_forest_pickle(path)
    path.write_bytes(b"\x5d" + struct.pack("<I", 2**31) + b"\xff" * 8 + bytes(20))
    refused(path, ErrorCode.ARTIFACT_FORBIDDEN, "bytes of memory")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_damaged_and_cut_and_prolonged_files_are_refused(
    published: dict[str, type], tmp_path: Path, compression: str
) -> None:
    whole = dumped(regressor(published), tmp_path / "f", compress=(compression, 3)).read_bytes()
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(x ^ 0xFF for x in whole[middle : middle + 9]) + whole[middle + 9 :]
    for data in (whole[:-9], whole[:20], damaged, whole + b"more"):
        (tmp_path / "f").write_bytes(data)
        refused(tmp_path / "f", ErrorCode.ARTIFACT_INVALID)


def test_what_cannot_be_unpacked_here_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"ZF0x10              ")
    refused(path, ErrorCode.ARTIFACT_INVALID, "joblib before 0.10")
    path.write_bytes(lz4_of(b"anything"))
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    refused(path, ErrorCode.ARTIFACT_INVALID, "pip install lz4")


def announced(shape: object, rest: bytes, **changes: object) -> bytes:
    """A joblib file that is one array of this shape, and what follows."""
    stream = io.BytesIO()
    wrapper = joblib.numpy_pickle.NumpyArrayWrapper(np.ndarray, shape, "C", np.dtype("f8"))
    wrapper.__dict__.update(changes)
    pickle._Pickler(stream, protocol=4).dump(wrapper)
    return stream.getvalue()[:-1] + rest


@pytest.mark.parametrize(
    "data",
    [
        announced((2**31 - 1,), b"\x01\xff" + bytes(64)),
        announced((2**31 - 1, 2**31 - 1), b"\x01\xff" + bytes(64)),
        announced((8,), b"\xff" + bytes(3)),
        announced((8,), b""),
        announced((-1,), bytes(64)),
        announced(("x",), bytes(64)),
        announced((1, 1, 1, 8), bytes(66)),
        announced((8,), bytes(66), dtype="f8"),
        announced((8,), bytes(66), dtype=np.dtype("V8")),
        announced((8,), bytes(66), dtype=np.dtype(">f8")),
    ],
)
def test_arrays_that_are_not_in_the_file_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(data)
    refused(tmp_path / "f", ErrorCode.ARTIFACT_INVALID)


JOBLIB = b"\x8c\x13joblib.numpy_pickle0"  # the name alone: what makes a file one of joblib's here


@pytest.mark.parametrize(
    ("operations", "words"),
    [
        (b"\x96" + struct.pack("<Q", 2**40) + b"abc", "are claimed in a file of"),
        (b"\x8e" + struct.pack("<Q", 2**40) + b"abc", "not a readable forest"),
        (b"\x95" + struct.pack("<Q", 2**40) + b"abc", "not a readable forest"),
    ],
)
def test_bytes_that_are_not_in_a_joblib_file_are_refused(
    operations: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"\x80\x05" + JOBLIB + operations)
    refused(tmp_path / "f", ErrorCode.ARTIFACT_INVALID, words)


@pytest.mark.parametrize(
    ("operations", "name"),
    [(b"Pid\n", "PERSID"), (b"\x82\x01", "EXT1"), (b"(ios\nsystem\n", "INST"), (b"2", "DUP")],
)
def test_operations_that_forests_do_not_need_are_refused_in_joblib_files(
    operations: bytes, name: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"\x80\x04N" + JOBLIB + operations + b".")
    refused(tmp_path / "f", ErrorCode.ARTIFACT_FORBIDDEN, f"operation {name} ")


@pytest.mark.parametrize("prefix", [b"", JOBLIB])
def test_bytes_made_of_one_string_again_and_again_are_refused(prefix: bytes, tmp_path: Path) -> None:
    encode = b"\x8c\x07_codecs\x8c\x06encode\x93q\x00"
    text = b"X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x01"
    again = b"h\x00h\x01\x8c\x06latin1\x86R" * 10_000
    (tmp_path / "f").write_bytes(b"\x80\x04" + prefix + encode + text + again + b".")
    refused(tmp_path / "f", ErrorCode.ARTIFACT_FORBIDDEN, "bytes of its strings")


def test_trees_that_share_their_nodes_are_refused(published: dict[str, type], tmp_path: Path) -> None:
    forest = regressor(published)
    tree = forest.estimators_[0]
    tree.tree_.nodes = np.repeat(tree.tree_.nodes, 1000)
    forest.estimators_ = [tree] * 10_000
    (tmp_path / "f").write_bytes(pickle.dumps(forest))
    refused(tmp_path / "f", ErrorCode.ARTIFACT_FORBIDDEN, "share their nodes")
