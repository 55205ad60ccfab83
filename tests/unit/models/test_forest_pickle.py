from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.models._pickled_arrays import Array, Dtype
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.forest_pickle import read_forest_pickle
from tests.unit.models.test_forest import trained

CLASSES = {
    "sklearn_quantile.ensemble.quantile": "RandomForestQuantileRegressor",
    "sklearn.tree._classes": "DecisionTreeRegressor",
    "sklearn.tree._tree": "Tree",
}


class Tree:
    """A stand-in that pickles as a published tree does: built from arguments, then given its state."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (4, np.array([1]), 1), self.__dict__)

    def __init__(self, *_: object) -> None:
        pass


class Plain:
    pass


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """Classes under the published names, so that pickles made here look like published ones."""
    made: dict[str, type] = {}
    for parent in ("sklearn_quantile", "sklearn_quantile.ensemble"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    for module, name in CLASSES.items():
        kind: type = type(name, (Tree if name == "Tree" else Plain,), {"__module__": module})
        fake = types.ModuleType(module)
        setattr(fake, name, kind)
        monkeypatch.setitem(sys.modules, module, fake)
        made[name] = kind
    return made


def regressor(published: dict[str, type], parts: dict[str, Any] | None = None, **changes: object) -> Any:
    parts = parts or trained(3)
    forest = published["RandomForestQuantileRegressor"]()
    estimators = []
    for nodes in parts["nodes"]:
        tree = published["Tree"]()
        tree.nodes = nodes
        estimator = published["DecisionTreeRegressor"]()
        estimator.tree_ = tree
        estimators.append(estimator)
    state = {
        "estimators_": estimators,
        "y_train_": parts["y_train"][:, None],
        "y_train_leaves_": parts["leaves"],
        "y_weights_": parts["weights"],
        "q": list(parts["quantiles"]),
        "n_features_in_": parts["n_features"],
    }
    forest.__dict__.update({**state, **changes})
    return forest


def written(path: Path, data: object) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else pickle.dumps(data, protocol=4))
    return path


def test_a_forest_is_read_as_it_was_written(published: dict[str, type], tmp_path: Path) -> None:
    forest = read_forest_pickle(written(tmp_path / "f.pkl", regressor(published)))
    rows = np.random.default_rng(0).normal(size=(30, 4))
    assert np.array_equal(forest.predict(rows), Forest.from_trees(**trained(3)).predict(rows))


class Payload:
    """Pickles as a call of something harmful, which leaves a trace if it is ever made."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


def test_a_payload_is_refused_by_name_and_does_not_run(published: dict[str, type], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for function, name in ((eval, "builtins.eval"), (exec, "builtins.exec")):
        payload = Payload(function, f"open({str(trace)!r}, 'w')")
        path = written(tmp_path / "f.pkl", regressor(published, extra=payload))
        with pytest.raises(ModelError, match=name) as caught:
            read_forest_pickle(path)
        assert caught.value.code == ErrorCode.ARTIFACT_FORBIDDEN
    assert not trace.exists()


def stack_global(module: str, name: str) -> bytes:
    parts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + parts + b"\x93."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("sklearn.tree._tree", "Tree.__init__.__globals__"),
        ("numpy", "ndarray.tofile"),
        ("numpy", "load"),
        ("numpy._core.multiarray", "scalar"),
        ("copyreg", "_reconstructor"),
        ("builtins", "getattr"),
        ("goldilocks_batch.models.forest_pickle", "_Unpickler"),
    ],
)
def test_no_other_name_is_resolved(module: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="which no published forest needs") as caught:
        read_forest_pickle(written(tmp_path / "f.pkl", stack_global(module, name)))
    assert caught.value.code == ErrorCode.ARTIFACT_FORBIDDEN
    assert f"{module}.{name}" in caught.value.message


@pytest.mark.parametrize(
    ("data", "operation"),
    [
        (b"\x80\x04Pid\n.", "PERSID"),
        (b"\x80\x04N\x51.", "BINPERSID"),
        (b"\x80\x04\x82\x01.", "EXT1"),
        (b"(ios\nsystem\n.", "INST"),
        (b"\x80\x04(Nox.", "OBJ"),
        (b"\x80\x04\x8c\x01a\x8c\x01b\x93)}\x92.", "NEWOBJ_EX"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"\x80\x04(\x90.", "ADDITEMS"),
        (b"\x80\x04\x8a\x01\x05.", "LONG1"),
    ],
)
def test_operations_that_forests_do_not_need_are_refused(data: bytes, operation: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"operation {operation} "):
        read_forest_pickle(written(tmp_path / "f.pkl", data))


@pytest.mark.parametrize("keep", [b"r\xff\xff\xff\x0f", b"q\x07"])
def test_an_object_kept_under_a_far_number_takes_no_memory(keep: bytes, tmp_path: Path) -> None:
    # the unpickler would reserve twice as many places: gigabytes for a file of ten bytes
    with pytest.raises(ModelError, match="where there are at most") as caught:
        read_forest_pickle(written(tmp_path / "f.pkl", b"\x80\x04N" + keep + b"."))
    assert caught.value.code == ErrorCode.ARTIFACT_FORBIDDEN


@pytest.mark.parametrize(
    "shape", [("x", 2**30), (2**30, "x"), (-1, -4), (True, 4), (2.0, 2), (1, 1, 1, 4), 4]
)
def test_a_shape_is_of_few_plain_numbers(shape: object) -> None:
    kind = Dtype("f4")
    with pytest.raises(pickle.UnpicklingError, match="shape"):
        Array().__setstate__((1, shape, kind, False, bytes(16)))


@pytest.mark.parametrize(
    "changes",
    [
        {"y_train_": np.array([[None]], dtype=object)},
        {"y_train_": np.array(["a"])},
        {"y_weights_": trained(3)["weights"].astype(">f4")},
        {"y_train_": "text"},
        {"q": None},
        {"q": [0.05, 0.5, 1.5]},
        {"estimators_": []},
        {"y_train_leaves_": np.zeros((2, 2), dtype=np.int64)},
        {"y_train_leaves_": trained(3)["leaves"] + 0.5},
    ],
)
def test_forests_that_are_none_are_refused(
    published: dict[str, type], changes: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as caught:
        read_forest_pickle(written(tmp_path / "f.pkl", regressor(published, **changes)))
    assert caught.value.code in (ErrorCode.ARTIFACT_INVALID, ErrorCode.ARTIFACT_FORBIDDEN)


@pytest.mark.parametrize("data", [b"", b"\x80\x04", b"hello", b"\x80\x04N.", b"\x80\x04}."])
def test_what_is_no_forest_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        read_forest_pickle(written(tmp_path / "f.pkl", data))


def test_a_truncated_forest_is_refused(published: dict[str, type], tmp_path: Path) -> None:
    data = pickle.dumps(regressor(published), protocol=4)
    for keep in (10, len(data) // 2, len(data) - 1):
        with pytest.raises(ModelError):
            read_forest_pickle(written(tmp_path / "f.pkl", data[:keep]))


def test_a_shape_larger_than_its_bytes_takes_no_memory(published: dict[str, type], tmp_path: Path) -> None:
    data = pickle.dumps(regressor(published, y_train_=np.zeros(77, dtype=np.float32)), protocol=4)
    # the shape (77,) becomes one of 2 147 483 647 numbers
    bomb = data.replace(b"K\x4d\x85", b"J\xff\xff\xff\x7f\x85", 1)
    assert bomb != data
    bomb = bomb[:2] + bomb[11:] if bomb[2:3] == b"\x95" else bomb  # without the frame, whose length changed
    with pytest.raises(ModelError, match="holds 77 numbers"):
        read_forest_pickle(written(tmp_path / "f.pkl", bomb))
