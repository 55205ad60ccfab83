"""Some columns and rows of a result table, as people ask for them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.text import nearest
from goldilocks_batch.results.conditions import Condition, conditions_of

__all__ = ["USUAL", "columns_in", "holding", "selected"]

#: What one wants to see first.
USUAL = (
    "id",
    "formula",
    "space_group_symbol",
    "kdist",
    "mesh",
    "n_kpoints_irreducible",
    "error_code",
    "flags",
)


def selected(
    table: pa.Table,
    *,
    columns: Sequence[str] = USUAL,
    where: Sequence[str] = (),
    sort: str | None = None,
    descending: bool = False,
    rows: int | None = None,
) -> tuple[pa.Table, int]:
    """Choose rows and columns of a result table.

    Args:
        table: in the result schema.
        columns: by name, in order.
        where: conditions that must all hold; see :func:`holding`.
        sort: the column that decides the order, nulls at the end; that of the table without one.
        descending: the largest first.
        rows: how many are wanted at most.

    Returns:
        The rows and columns, and how many rows are left out because of ``rows``.

    Raises:
        ConfigError: CONFIG_INVALID, a column is unknown (the nearest is named), or a condition is none.
    """
    for name in (*columns, *([sort] if sort else [])):
        _known(table, name)
    table = table.filter(pa.array(holding(table, where)))
    if sort is not None:
        table = _sorted(table, sort, descending)
    shown = table if rows is None else table.slice(0, rows)
    return shown.select(list(columns)), table.num_rows - shown.num_rows


def holding(table: pa.Table, where: Sequence[str]) -> NDArray[np.bool_]:
    """The rows of a table for which conditions hold.

    Args:
        table: in the result schema.
        where: conditions that must all hold, such as ``kdist<0.15``, ``status=failed``,
            ``flags=wide_interval`` (among a row's flags), ``error_code=`` (null), or several joined by
            ``and``, ``or``, ``not`` and parentheses: ``status == "ok" and n_kpoints < 2000``.

    Raises:
        ConfigError: CONFIG_INVALID, a column is unknown (the nearest is named), or a condition is none.
    """
    keep = np.ones(table.num_rows, dtype=bool)
    for text in where:
        keep &= conditions_of(text).holds(lambda condition: _holds(table, condition))
    return keep


def columns_in(where: Sequence[str]) -> set[str]:
    """The names of columns in conditions.

    Raises:
        ConfigError: CONFIG_INVALID, a condition is none.
    """
    return {condition.name for text in where for condition in conditions_of(text).conditions()}


def _known(table: pa.Table, name: str) -> None:
    if name not in table.column_names:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"no column '{name}': {nearest(name, table.column_names)} ('goldilocks-batch schema' lists all)",
        )


def _sorted(table: pa.Table, name: str, descending: bool) -> pa.Table:
    if pa.types.is_nested(table[name].type):
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"column '{name}' holds lists, which have no order: sort by another"
        )
    order = "descending" if descending else "ascending"
    # the row number keeps equal values in the order of the inputs
    keys = [(name, order), *([("row", "ascending")] if "row" in table.column_names else [])]
    return table.sort_by(keys)


def _holds(table: pa.Table, condition: Condition) -> NDArray[np.bool_]:
    """The rows for which a condition holds; a null is equal to nothing but nothing."""
    name, operator, text = condition.name, condition.operator, condition.value
    _known(table, name)
    values = table[name].to_pylist()
    if operator in ("=", "!="):
        equal = np.array([_equals(value, text, condition.text) for value in values], dtype=bool)
        return equal if operator == "=" else ~equal
    compared = [value for value in values if value is not None]
    kind = table[name].type
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind):
        message = f"'{condition.text}': values of '{name}' have no order, use ="
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    sought: float | str = text if any(isinstance(v, str) for v in compared) else _number(text, condition.text)
    return np.array([value is not None and _ordered(value, operator, sought) for value in values], dtype=bool)


def _equals(value: object, text: str, condition: str) -> bool:
    if value is None or not text:
        return value is None and not text
    if isinstance(value, list):
        # a flag among flags; a mesh by its counts
        return text in value or re.split(r"[x×, ]+", text) == [str(part) for part in value]
    if isinstance(value, int | float):
        return bool(value == _number(text, condition))
    return str(value) == text


def _ordered(value: float | str, operator: str, sought: float | str) -> bool:
    below, equal = value < sought, value == sought  # type: ignore[operator]
    return {"<": below, "<=": below or equal, ">": not (below or equal), ">=": not below}[operator]


def _number(text: str, condition: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"'{condition}' compares numbers with '{text}', which is none"
        ) from error
