"""Inert stand-ins for what pickles of numpy arrays name: each keeps what it is given and runs nothing.

Arrays are views of bytes that are in the file, so a file cannot make more memory of itself than it is.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.safe_pickle import RefusedError

__all__ = ["Array", "ArrayType", "Buffered", "Dtype", "Following", "Inert", "encoder"]

#: Plain numeric types an array may be made of.
_SCALARS = {name: np.dtype(name) for name in ("f4", "f8", "i4", "i8", "u1", "b1")}


class Inert:
    """Keeps the state it is given; what it is called with is dropped."""

    def __new__(cls, *_arguments: object) -> Inert:
        return object.__new__(cls)

    def __init__(self, *_arguments: object) -> None:
        self.state: Mapping[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f"expected a dictionary as state, found {type(state).__name__}")
        self.state = state


class ArrayType(Inert):
    """Stand-in for the class numpy.ndarray, which is only ever passed on."""


class Dtype:
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


class Array:
    """Stand-in for numpy's ``_reconstruct``, up to protocol 4: the bytes are in the state."""

    def __init__(self, *_arguments: object) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array's state is malformed")
        _version, shape, kind, fortran, data = state
        self.array = _view(data, kind, shape, "F" if fortran else "C")


class Buffered:
    """Stand-in for numpy's ``_frombuffer``, which protocol 5 calls with the bytes.

    ``axis_order`` is of arrays whose axes lie in yet another order in memory.
    """

    def __init__(
        self, data: object, kind: object, shape: object, order: object, axis_order: object = None
    ) -> None:
        self.array: NDArray[Any] | None = _view(data, kind, shape, "F" if order == "F" else "C")
        if axis_order is not None and order == "K":
            if not isinstance(axis_order, tuple) or sorted(axis_order) != list(range(self.array.ndim)):
                raise pickle.UnpicklingError(f"an array has no axes {axis_order!r}")
            self.array = self.array.transpose(axis_order)


class Following(Inert):
    """Stand-in for joblib's ``NumpyArrayWrapper``: the array's bytes follow its state in the file.

    Since joblib 1.2 a byte tells how many of padding come first, so that the array is aligned in memory when
    the file is mapped.
    """

    def __init__(self, *_arguments: object) -> None:
        super().__init__()
        self.array: NDArray[Any] | None = None

    def read_array(self, rest: memoryview) -> int:
        """Take the array from what follows in the file.

        Returns:
            How many bytes that were.
        """
        shape, kind = self.state.get("shape"), self.state.get("dtype")
        begin = 0
        if self.state.get("numpy_array_alignment_bytes") is not None:
            if not len(rest):
                raise pickle.UnpicklingError("the file ends before an array")
            begin = 1 + rest[0]
        stop = begin + _size(kind, shape)
        self.array = _view(rest[begin:stop], kind, shape, "F" if self.state.get("order") == "F" else "C")
        return stop


def encoder(most: int) -> Callable[[object, object], bytes]:
    """Stand-in for ``_codecs.encode``, by which protocol 2 writes bytes; at most so many in all."""
    left = most

    def encode(text: object, encoding: object) -> bytes:
        nonlocal left
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError(f"bytes are written as a {type(text).__name__} in {encoding!r}")
        left -= len(text)
        if left < 0:
            raise RefusedError(f"makes more than {most} bytes of its strings")
        return text.encode("latin1")

    return encode


def _size(kind: object, shape: object) -> int:
    """Bytes of an array."""
    if not isinstance(kind, Dtype) or kind.dtype is None:
        code = getattr(kind, "code", kind)
        raise pickle.UnpicklingError(f"an array is not of plain numbers but of {code!r}")
    if not isinstance(shape, tuple) or len(shape) > 3 or any(type(n) is not int or n < 0 for n in shape):
        raise pickle.UnpicklingError("an array's shape is not of at most three numbers")
    return math.prod(shape) * kind.dtype.itemsize


def _view(data: object, kind: object, shape: Any, order: str) -> NDArray[Any]:
    """Bytes as an array; there must be as many as its shape needs."""
    size = _size(kind, shape)
    assert isinstance(kind, Dtype)  # noqa: S101 - just seen
    if not isinstance(data, bytes | bytearray | memoryview):
        raise pickle.UnpicklingError(f"an array's bytes are a {type(data).__name__}")
    if len(data) != size:
        numbers = len(data) / (size / max(1, math.prod(shape))) if size else len(data)
        raise pickle.UnpicklingError(f"an array of shape {shape} holds {numbers:g} numbers")
    flat: NDArray[Any] = np.frombuffer(data, dtype=kind.dtype)
    if order == "F":  # as joblib does: also for arrays without elements
        return flat.reshape(shape[::-1]).transpose()
    return flat.reshape(shape)
