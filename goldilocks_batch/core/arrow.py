"""Arrow's arrays from and to numpy's without pandas, which its own conversions import (0.2 s a process)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

__all__ = ["array_of", "column_of", "values_of"]


def values_of(array: pa.Array) -> NDArray[Any]:
    """Return the numbers or booleans of an array, ``(n,)``, read-only; what stands for nulls is undefined."""
    if pt.is_boolean(array.type):
        return values_of(array.cast(pa.uint8())).view(np.bool_)
    width = array.type.bit_width // 8
    kind = "f" if pt.is_floating(array.type) else "i" if pt.is_signed_integer(array.type) else "u"
    data = array.buffers()[1]
    if not len(array):
        return np.empty(0, dtype=f"{kind}{width}")
    return np.frombuffer(data, f"{kind}{width}", len(array), array.offset * width)


def array_of(
    values: NDArray[Any], kind: pa.DataType | None = None, null: NDArray[np.bool_] | None = None
) -> pa.Array:
    """Return numbers or booleans as an array.

    Args:
        values: ``(n,)``.
        kind: the array's type; by default that of the values.
        null: ``(n,)`` which values are null; none by default.

    Raises:
        pa.ArrowInvalid: a value is none of that type.
    """
    data = (
        np.packbits(values, bitorder="little") if values.dtype == np.bool_ else np.ascontiguousarray(values)
    )
    valid = None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little"))
    found = pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, pa.py_buffer(data)])
    return found if kind is None else found.cast(kind)


def column_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return Python's values as an array; None is null.

    Args:
        values: strings, lists of strings, numbers or booleans, or None.
        kind: the array's type, which they fit.
    """
    if pt.is_list(kind):
        flat = [item for value in values for item in value]
        return pa.ListArray.from_arrays(_offsets(values), column_of(flat, kind.value_type), type=kind)
    missing = np.array([value is None for value in values], dtype=bool)
    null = missing if missing.any() else None
    if not pt.is_string(kind):
        return array_of(np.array([0 if value is None else value for value in values]), kind, null)
    texts = [b"" if value is None else value.encode() for value in values]
    valid = None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little"))
    return pa.Array.from_buffers(
        kind, len(texts), [valid, _offsets(texts).buffers()[1], pa.py_buffer(b"".join(texts))]
    )


def _offsets(values: Sequence[Any]) -> pa.Array:
    """Where each of some strings or lists starts among all their items, and the end."""
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    return array_of(ends, pa.int32())
