"""Read the arrays out of a published forest without running any of its code.

The published forests are pickles of ``sklearn_quantile`` objects, of protocols 2 to 5, as the standard
library writes them or as joblib does: with the arrays' bytes behind the objects that announce them, and the
whole compressed perhaps.  A pickle is a program; this one is refused unless it uses nothing but the handful
of operations and the few names below, and each of those names leads to an inert stand-in that only keeps
what it is given.  Neither sklearn-quantile nor scikit-learn nor joblib is imported, so their versions do not
matter.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.core.safe_pickle import ArrayUnpickler, RefusedError, Unpickler
from goldilocks_batch.core.unpacked import unpacked
from goldilocks_batch.models._pickled_arrays import (
    Array,
    ArrayType,
    Buffered,
    Dtype,
    Following,
    Inert,
    encoder,
)
from goldilocks_batch.models.forest import Forest

__all__ = ["read_forest_pickle"]

#: What plain objects, containers, numbers and byte strings need; no persistent ids, extensions, big integers.
_OPERATIONS = frozenset(
    """
    PROTO FRAME STOP MARK POP POP_MARK MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINFLOAT BINBYTES SHORT_BINBYTES BINBYTES8
    BYTEARRAY8 SHORT_BINUNICODE BINUNICODE BINUNICODE8
    EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    APPEND APPENDS SETITEM SETITEMS STACK_GLOBAL GLOBAL REDUCE NEWOBJ BUILD
    """.split()
)

#: For the reason of a refusal.
_NEEDED_BY = "no published forest"


class _Regressor(Inert):
    """Stand-in for the forest."""


class _DecisionTree(Inert):
    """Stand-in for a tree's estimator."""


class _Tree(Inert):
    """Stand-in for a tree's nodes."""


_NAMES: dict[tuple[str, str], Any] = {
    ("sklearn_quantile.ensemble.quantile", "RandomForestQuantileRegressor"): _Regressor,
    ("sklearn.tree._classes", "DecisionTreeRegressor"): _DecisionTree,
    ("sklearn.tree._tree", "Tree"): _Tree,
    ("numpy._core.multiarray", "_reconstruct"): Array,
    ("numpy.core.multiarray", "_reconstruct"): Array,  # its name before numpy 2
    ("numpy._core.numeric", "_frombuffer"): Buffered,
    ("numpy.core.numeric", "_frombuffer"): Buffered,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): Following,
    ("numpy", "ndarray"): ArrayType,
    ("numpy", "dtype"): Dtype,
}


def read_forest_pickle(path: Path) -> Forest:
    """Read a published forest.

    Args:
        path: a pickle of ``RandomForestQuantileRegressor``, as published: of protocol 2 to 5, by the standard
            library or by joblib, compressed or not.

    Raises:
        ModelError: ARTIFACT_FORBIDDEN, the pickle names another class or uses another operation;
            or unpacks to far more than it is; ARTIFACT_INVALID, it is no such forest, is damaged, or its
            arrays contradict each other.
    """
    data = path.read_bytes()
    try:
        data = unpacked(data)
        size, regressor = len(data), _unpickler(data).load()
        del data  # large files need not be held twice from here on
        if not isinstance(regressor, _Regressor):
            raise pickle.UnpicklingError("it does not hold a RandomForestQuantileRegressor")
        return _assembled(regressor.state, size)
    except RefusedError as refusal:
        message = f"{path} {refusal}; nothing of it was run"
        raise ModelError(ErrorCode.ARTIFACT_FORBIDDEN, message) from refusal
    except ModelError:
        raise
    except Exception as error:  # a malformed pickle can make the unpickler raise nearly anything
        raise ModelError(ErrorCode.ARTIFACT_INVALID, f"{path} is not a readable forest: {error!r}") from error


def _unpickler(data: bytes) -> Unpickler | ArrayUnpickler:
    """The one for what joblib wrote where it is named, which reads any other pickle too, but more slowly."""
    names = _NAMES | {("_codecs", "encode"): encoder(len(data))}
    if b"joblib.numpy_pickle" in data:
        return ArrayUnpickler(data, names, _OPERATIONS, _NEEDED_BY, Following)
    return Unpickler(data, names, _OPERATIONS, _NEEDED_BY)


def _assembled(state: Mapping[str, Any], size: int) -> Forest:
    """The forest of a regressor's state, which was read from so many bytes."""
    trees = [estimator.state["tree_"].state for estimator in state["estimators_"]]
    nodes = [_array(tree["nodes"]) for tree in trees]
    if sum(array.nbytes for array in nodes) > size:
        raise RefusedError(f"has {len(nodes)} trees that share their nodes: far more than it has bytes")
    return Forest.from_trees(
        nodes=nodes,
        y_train=_array(state["y_train_"]).ravel(),
        leaves=_array(state["y_train_leaves_"]),
        weights=_array(state["y_weights_"]),
        quantiles=tuple(float(q) for q in _plain(state["q"])),
        n_features=int(state["n_features_in_"]),
    )


def _plain(value: object) -> Any:
    """Quantiles as a forest keeps them: a list, or an array of numbers."""
    return _array(value).ravel() if isinstance(value, Array | Buffered | Following) else value


def _array(value: object) -> NDArray[Any]:
    if not isinstance(value, Array | Buffered | Following) or value.array is None:
        raise pickle.UnpicklingError(f"expected an array, found {type(value).__name__}")
    return value.array
