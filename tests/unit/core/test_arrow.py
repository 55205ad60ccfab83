"""Arrow's arrays and numpy's: as Arrow converts them itself, and without pandas."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from goldilocks_batch.core.arrow import array_of, column_of, values_of

NUMBERS = st.sampled_from(["f8", "f4", "i8", "i4", "u1", "?"]).flatmap(
    lambda kind: npst.arrays(np.dtype(kind), st.integers(0, 20))
)
WHOLE = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))
TEXTS = st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=5)), max_size=20)


@given(NUMBERS, st.data())
def test_numbers_and_booleans_as_arrow_converts_them(values: Any, data: st.DataObject) -> None:
    null = data.draw(npst.arrays(bool, len(values)))
    expected = pa.array(values, mask=null)
    found = array_of(values, null=null)
    found.validate(full=True)
    assert found.type == expected.type
    np.testing.assert_array_equal(found.is_null().to_numpy(False), null)
    np.testing.assert_array_equal(found.drop_null().to_numpy(False), values[~null])
    start = data.draw(st.integers(0, len(values)))
    part = pa.array(values)[start:]
    np.testing.assert_array_equal(values_of(part), part.to_numpy(False))
    assert values_of(part).dtype == values.dtype


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=3), max_size=20))
def test_lists_of_strings(values: list[list[str]]) -> None:
    found = column_of(values, pa.list_(pa.string()))
    found.validate(full=True)
    assert found.equals(pa.array(values, pa.list_(pa.string())))


@given(TEXTS)
def test_strings(values: list[str | None]) -> None:
    found = column_of(values, pa.string())
    found.validate(full=True)
    assert found.equals(pa.array(values, pa.string()))


@given(st.lists(WHOLE, max_size=20), st.sampled_from([pa.int32(), pa.int64(), pa.float64()]))
def test_numbers_among_which_some_are_missing(values: list[int | None], kind: pa.DataType) -> None:
    found = column_of(values, kind)
    found.validate(full=True)
    assert found.equals(pa.array(values, kind))


def test_a_value_that_is_none_of_the_type_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid):
        array_of(np.array([2**40]), pa.int32())


def test_pandas_stays_out() -> None:
    code = """
import sys
import numpy as np, pyarrow as pa
from goldilocks_batch.core.arrow import array_of, column_of, values_of
values_of(array_of(np.ones(3), null=np.zeros(3, bool)))
values_of(array_of(np.ones(3, bool)))
column_of([["a"], []], pa.list_(pa.string()))
column_of([1.0, None], pa.float64())
sys.exit("pandas" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
