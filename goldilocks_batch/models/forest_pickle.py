"""Read the arrays out of a published forest without running any of its code.

The published forests are pickles of ``sklearn_quantile`` objects.  A pickle is a program; this one is
refused unless it uses nothing but the handful of operations and the six names below, and each of those
names leads to an inert stand-in that only keeps what it is given.  Neither sklearn-quantile nor
scikit-learn is imported, so their versions do not matter.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.core.safe_pickle import RefusedError, Unpickler
from goldilocks_batch.models.forest import Forest

__all__ = ["read_forest_pickle"]

#: What plain objects, containers, numbers and byte strings need; no persistent ids, extensions, big integers.
_OPERATIONS = frozenset(
    """
    PROTO FRAME STOP MARK POP POP_MARK MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINFLOAT BINBYTES SHORT_BINBYTES BINBYTES8
    SHORT_BINUNICODE BINUNICODE EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    APPEND APPENDS SETITEM SETITEMS STACK_GLOBAL GLOBAL REDUCE NEWOBJ BUILD
    """.split()
)

#: Plain numeric types an array may be made of.
_SCALARS = {name: np.dtype(name) for name in ("f4", "f8", "i4", "i8", "u1", "b1")}


class _Inert:
    """Keeps the state it is given; what it is called with is dropped."""

    def __new__(cls, *_arguments: object) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_arguments: object) -> None:
        self.state: Mapping[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f"expected a dictionary as state, found {type(state).__name__}")
        self.state = state


class _Regressor(_Inert):
    """Stand-in for the forest."""


class _DecisionTree(_Inert):
    """Stand-in for a tree's estimator."""


class _Tree(_Inert):
    """Stand-in for a tree's nodes."""


class _ArrayType(_Inert):
    """Stand-in for the class numpy.ndarray, which is only ever passed on."""


class _Dtype:
    """Stand-in for a numpy dtype: one plain number, or a record of those."""

    def __init__(self, code: object, *_flags: object) -> None:
        self.code = code
        self.dtype = _SCALARS.get(code) if isinstance(code, str) else None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5:
            raise pickle.UnpicklingError("a dtype's state is malformed")
        byteorder, subtype, names, fields = state[1:5]
        if byteorder not in ("<", "|", "=") or subtype is not None:
            raise pickle.UnpicklingError(f"a dtype is big-endian or nested: {self.code!r}")
        if names is None:
            return
        kinds = [fields[name][0].dtype for name in names]
        offsets = [int(fields[name][1]) for name in names]
        if any(kind is None for kind in kinds) or len(state) < 6:
            raise pickle.UnpicklingError(f"a dtype has a field that is no plain number: {names!r}")
        self.dtype = np.dtype(
            {"names": list(names), "formats": kinds, "offsets": offsets, "itemsize": int(state[5])}
        )


class _Array:
    """Stand-in for numpy's array reconstruction: a view of bytes that are in the pickle."""

    def __init__(self, *_arguments: object) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array's state is malformed")
        _version, shape, kind, fortran, data = state
        if not isinstance(kind, _Dtype) or kind.dtype is None or not isinstance(data, bytes):
            code = getattr(kind, "code", kind)
            raise pickle.UnpicklingError(f"an array is not of plain numbers but of {code!r}")
        if not isinstance(shape, tuple) or len(shape) > 3 or any(type(n) is not int or n < 0 for n in shape):
            raise pickle.UnpicklingError("an array's shape is not of at most three numbers")
        flat = np.frombuffer(data, dtype=kind.dtype)
        if math.prod(shape) != len(flat):
            raise pickle.UnpicklingError(f"an array of shape {shape} holds {len(flat)} numbers")
        self.array = flat.reshape(shape, order="F" if fortran else "C")


_NAMES: dict[tuple[str, str], type] = {
    ("sklearn_quantile.ensemble.quantile", "RandomForestQuantileRegressor"): _Regressor,
    ("sklearn.tree._classes", "DecisionTreeRegressor"): _DecisionTree,
    ("sklearn.tree._tree", "Tree"): _Tree,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,  # its name before numpy 2
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _Dtype,
}


def read_forest_pickle(path: Path) -> Forest:
    """Read a published forest.

    Args:
        path: a pickle of ``RandomForestQuantileRegressor``, as published.

    Raises:
        ModelError: ARTIFACT_FORBIDDEN, the pickle names another class or uses another operation;
            ARTIFACT_INVALID, it is no such forest or its arrays contradict each other.
    """
    data = path.read_bytes()
    try:
        regressor = Unpickler(data, _NAMES, _OPERATIONS, "no published forest").load()
        del data  # the arrays are copies; large files need not be held twice from here on
        if not isinstance(regressor, _Regressor):
            raise pickle.UnpicklingError("it does not hold a RandomForestQuantileRegressor")
        return _assembled(regressor.state)
    except RefusedError as refusal:
        message = f"{path} {refusal}; nothing of it was run"
        raise ModelError(ErrorCode.ARTIFACT_FORBIDDEN, message) from refusal
    except ModelError:
        raise
    except Exception as error:  # a malformed pickle can make the unpickler raise nearly anything
        raise ModelError(ErrorCode.ARTIFACT_INVALID, f"{path} is not a readable forest: {error!r}") from error


def _assembled(state: Mapping[str, Any]) -> Forest:
    trees = [estimator.state["tree_"].state for estimator in state["estimators_"]]
    return Forest.from_trees(
        nodes=[_array(tree["nodes"]) for tree in trees],
        y_train=_array(state["y_train_"]).ravel(),
        leaves=_array(state["y_train_leaves_"]),
        weights=_array(state["y_weights_"]),
        quantiles=tuple(float(q) for q in state["q"]),
        n_features=int(state["n_features_in_"]),
    )


def _array(value: object) -> NDArray[Any]:
    if not isinstance(value, _Array) or value.array is None:
        raise pickle.UnpicklingError(f"expected an array, found {type(value).__name__}")
    return value.array
