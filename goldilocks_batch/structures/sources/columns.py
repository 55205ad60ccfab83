"""Arrow columns as numpy: flat values, one slice a row, and which rows hold a null or a ragged list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from goldilocks_batch.core.arrow import values_of

__all__ = [
    "ListColumn",
    "byte_column",
    "escaped",
    "is_text",
    "list_column",
    "list_depth",
    "list_sizes",
    "string_column",
]


@dataclass(frozen=True, slots=True, eq=False)
class ListColumn:
    """A column of (nested) lists.

    Attributes:
        values: the innermost values of all rows, one after the other (float64, int64 or bool; a list
            of str for strings).
        starts: ``(rows + 1,)`` int64; row i is ``values[starts[i]:starts[i + 1]]``.
        null: ``(rows,)`` bool, or None if no row holds a null on any level.
        ragged: ``(rows,)`` bool, or None if every innermost list has the expected length.
    """

    values: NDArray[np.generic] | list[str]
    starts: NDArray[np.int64]
    null: NDArray[np.bool_] | None
    ragged: NDArray[np.bool_] | None


def list_depth(kind: pa.DataType) -> tuple[int, pa.DataType]:
    """Return how deep lists are nested in a type, and the type inside."""
    depth = 0
    while pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth, kind


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds strings, however they are laid out."""
    if pt.is_dictionary(kind):
        kind = kind.value_type
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def byte_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of strings as bytes: Arrow does not check that what a file holds as text is UTF-8."""
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.binary() if pt.is_string(column.type) else pa.large_binary())


def string_column(column: pa.ChunkedArray) -> list[str | bytes | None]:
    """Return a column of strings (or numbers) as Python strings; one that is no UTF-8 as its bytes."""
    if pt.is_integer(column.type):
        return column.cast(pa.string()).to_pylist()
    return [_decoded(value) for value in byte_column(column).to_pylist()]


def escaped(value: str | bytes) -> str:
    """Return a string, or bytes that are no UTF-8 with those that are none escaped."""
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def _decoded(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def list_column(column: pa.ChunkedArray, inner_length: int | None = None) -> ListColumn:
    """Flatten a column of lists.

    Args:
        column: lists of any depth of floats, integers, booleans or strings.
        inner_length: the length that the innermost lists must have, if they are nested.
    """
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    depth, _ = list_depth(array.type)
    starts = np.arange(len(array) + 1, dtype=np.int64)
    null = _nulls(array)
    ragged = None
    for level in range(depth):
        offsets, array = _open_list(array)
        if inner_length is not None and level > 0 and level == depth - 1:
            wrong = np.diff(offsets) != inner_length
            ragged = _any_in_row(wrong, starts) if wrong.any() else None
        starts = offsets[starts]
        inner = _nulls(array)
        if inner is not None:
            found = _any_in_row(inner, starts)
            null = found if null is None else null | found
    return ListColumn(_values(array), starts, null, ragged)


def list_sizes(array: pa.Array) -> NDArray[np.int64]:
    """``(rows,)`` how many innermost values each row of (nested) lists holds; 1 for a row without lists."""
    starts = np.arange(len(array) + 1, dtype=np.int64)
    depth, _ = list_depth(array.type)
    for _ in range(depth):
        offsets, array = _open_list(array)
        starts = offsets[starts]
    return np.diff(starts)


def _nulls(array: pa.Array) -> NDArray[np.bool_] | None:
    return values_of(array.is_null()) if array.null_count else None


def _open_list(array: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Return offsets (from zero) and the child values of a list array; a null list is an empty one."""
    if pt.is_fixed_size_list(array.type):
        # a null fixed-size list still occupies its place among the values
        child = array.values.slice(array.offset * array.type.list_size, len(array) * array.type.list_size)
        return np.arange(len(array) + 1, dtype=np.int64) * array.type.list_size, child
    offsets = values_of(array.offsets).astype(np.int64)
    child = array.values.slice(offsets[0], offsets[-1] - offsets[0])
    return offsets - offsets[0], child


def _any_in_row(flags: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    before = np.concatenate(([0], np.cumsum(flags)))
    return (before[starts[1:]] - before[starts[:-1]]) > 0


def _values(array: pa.Array) -> NDArray[np.generic] | list[str]:
    if is_text(array.type):
        values = string_column(pa.chunked_array([array]))
        # a null among them is told by the column; what is no UTF-8 is no element's symbol either
        return ["" if value is None else escaped(value) for value in values]
    if array.null_count:
        array = array.fill_null(False if pt.is_boolean(array.type) else 0)
    if pt.is_decimal(array.type):
        array = array.cast(pa.float64())
    return values_of(array)
