"""Columns and rows of the result table, as people ask for them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from goldilocks_batch.core.errors import ConfigError
from goldilocks_batch.results.selection import selected

TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "row": [0, 1, 2, 3],
        "kdist": [0.2, None, 0.1, 0.2],
        "mesh": [[4, 4, 4], None, [8, 8, 1], [4, 4, 4]],
        "flags": [[], [], ["low_dimensional", "wide_interval"], ["wide_interval"]],
        "error_code": [None, "NO_STRUCTURE", None, None],
    }
)


def ids(**options: object) -> str:
    table, _ = selected(TABLE, columns=["id"], **options)  # type: ignore[arg-type]
    return "".join(table["id"].to_pylist())


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("kdist<0.15", "c"),
        ("kdist <= 0.2", "acd"),
        ("kdist>0.15", "ad"),
        ("kdist=0.2", "ad"),
        ("kdist!=0.2", "bc"),
        ("kdist=", "b"),
        ("flags=wide_interval", "cd"),
        ("flags!=wide_interval", "ab"),
        ("mesh=8x8x1", "c"),
        ("mesh=4×4×4", "ad"),
        ("error_code=NO_STRUCTURE", "b"),
        ("error_code=", "acd"),
        ("id>=c", "cd"),
        ("row==2", "c"),
        ("kdist < 0.15 or row == 1", "bc"),
        ('error_code == "NO_STRUCTURE" or flags == "low_dimensional"', "bc"),
        ("not kdist=0.2 and row != 1", "c"),
        ("not (kdist=0.2 or row=1)", "c"),
        ("0.05 < kdist <= 0.1", "c"),
        ("0.15 > kdist", "c"),
        ("'wide_interval' in flags and kdist == 0.2", "d"),
        ("'wide_interval' not in flags", "ab"),
        ("kdist is None", "b"),
        ("kdist is not None", "acd"),
        ('mesh = "8x8x1" or id = "a"', "ac"),
        ("id='a'", "a"),
        ("id = a or id = 'a=b and c'", "a"),
        ("kdist < 1 and flags=wide_interval", "cd"),
        ("kdist < +1e-1 or kdist == 1e-1", "c"),
    ],
)
def test_conditions(where: str, found: str) -> None:
    assert ids(where=[where]) == found


def test_all_conditions_must_hold() -> None:
    assert ids(where=["kdist=0.2", "flags=wide_interval"]) == "d"


def test_order_keeps_that_of_the_inputs_among_equals_and_nulls_come_last() -> None:
    assert ids() == "abcd"
    assert ids(sort="kdist") == "cadb"
    assert ids(sort="kdist", descending=True) == "adcb"


def test_only_so_many_rows() -> None:
    table, left_out = selected(TABLE, columns=["kdist", "id"], rows=3)
    assert (table.column_names, table.num_rows, left_out) == (["kdist", "id"], 3, 1)
    assert selected(TABLE, columns=["id"], rows=9)[1] == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": ["kdst"]}, "no column 'kdst': did you mean 'kdist'"),
        ({"sort": "kdst"}, "did you mean 'kdist'"),
        ({"where": ["kdst<1"]}, "did you mean 'kdist'"),
        ({"where": ["kdist"]}, "is no condition"),
        ({"where": ["kdist<1 and mesh=8x8x1"]}, "is no condition"),
        ({"where": ["kdist<1 or nonsense"]}, "is no condition"),
        ({"where": ["kdist < 1 and __import__('os')"]}, "is no condition"),
        ({"where": ["__import__('os').system('true') == 1"]}, "is no condition"),
        ({"where": ["1 < 2"]}, "is no condition"),
        ({"where": ["flags in 'wide'"]}, "is no condition"),
        ({"where": ["kdist == open('/etc/passwd')"]}, "compares numbers with 'open"),
        ({"where": ["kdist < 1 or kdst < 2"]}, "did you mean 'kdist'"),
        ({"where": ["(" * 9_000 + "kdist<1" + ")" * 9_000]}, "is no condition"),
        ({"where": ["kdist<wide"]}, "compares numbers with 'wide'"),
        ({"where": ["flags<x"]}, "have no order"),
        ({"sort": "mesh"}, "holds lists"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, list[str]], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        selected(TABLE, **{"columns": ["id"], **options})  # type: ignore[arg-type]
