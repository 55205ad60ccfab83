"""Arithmetic of lanes in kernels, against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from goldilocks_batch.core.lanes import (
    count_greater,
    fill4,
    fill8,
    fill256,
    load4,
    load8,
    load256,
    lowest_clear,
    root,
    store,
    where_equal,
    where_greater,
)


@njit(error_model="numpy")  # type: ignore[untyped-decorator]
def by_four(a: NDArray[np.float64], b: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    two = fill4(2.0)
    for i in range(len(a) // 4):
        x, y = load4(a, i), load4(b, i)
        store(out, i, where_greater(x, y, (x + two) * y - x / y, root(y)))


@njit(error_model="numpy")  # type: ignore[untyped-decorator]
def by_eight(a: NDArray[np.float64], b: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    two = fill8(2.0)
    for i in range(len(a) // 8):
        x, y = load8(a, i), load8(b, i)
        store(out, i, where_greater(x, y, (x + two) * y - x / y, root(y)))


@pytest.mark.parametrize("calculate", [by_four, by_eight])
def test_every_lane_is_calculated_as_numpy_calculates_it(calculate: object) -> None:
    rng = np.random.default_rng(0)
    a, b, out = rng.uniform(0, 9, size=24), rng.uniform(0, 9, size=24), np.empty(26)
    a[3], b[7], out[24:] = np.nan, 0.0, 7.0
    assert callable(calculate)
    calculate(a, b, out[:24])
    with np.errstate(all="ignore"):
        expected = np.where(a > b, (a + 2.0) * b - a / b, np.sqrt(b))
    assert out[:24].tobytes() == expected.tobytes()
    assert (out[24:] == 7.0).all()


@njit  # type: ignore[untyped-decorator]
def bytewise(a: NDArray[np.int8], b: NDArray[np.int8], out: NDArray[np.int8]) -> None:
    x, y, three = load256(a, 1), load256(b, 1), fill256(np.int8(3))
    store(out, 0, where_greater(x, y, x | y, x * y - three))
    store(out, 1, where_equal(x, y, lowest_clear(x), x + y))


def test_every_byte_is_calculated_as_numpy_calculates_it() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-128, 128, (2, 512), dtype=np.int8)
    b[256:384] = a[256:384]
    a[256] = b[256] = -1
    out = np.empty(512, dtype=np.int8)
    bytewise(a, b, out)
    x, y = a[256:], b[256:]
    assert (out[:256] == np.where(x > y, x | y, x * y - np.int8(3))).all()
    clear = [next((i for i in range(8) if not value >> i & 1), 8) for value in x.view(np.uint8).tolist()]
    assert (out[256:] == np.where(x == y, clear, x + y)).all()


@njit  # type: ignore[untyped-decorator]
def counted(value: float, a: NDArray[np.float64]) -> int:
    return count_greater(fill8(value), load8(a, 1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("value", [0.0, -0.0, 2.5, 3.0, np.inf, -np.inf, np.nan])
def test_lanes_that_are_less_are_counted(value: float) -> None:
    a = np.array([9.0] * 8 + [-np.inf, -3.0, -0.0, 0.0, 1.0, 3.0, np.nan, np.inf])
    assert counted(value, a) == (value > a[8:]).sum()


@njit  # type: ignore[untyped-decorator]
def ordinary(a: float, b: float) -> float:
    return a + b * a - b / a


def test_ordinary_numbers_are_calculated_as_before() -> None:
    assert ordinary(3.0, 2.0) == 3.0 + 6.0 - 2.0 / 3.0
    assert (ordinary(np.full(2, 3.0), 2.0) == ordinary(3.0, 2.0)).all()
