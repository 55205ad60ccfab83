"""Vectorisable activation functions against float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from goldilocks_batch.networks._simd import FASTMATH, exp32, sigmoid32, silu32, softplus32

X = np.concatenate([np.linspace(-80, 80, 40_001), [0.0, -0.0, 1e-30, -1e-30]]).astype(np.float32)


def mapped(
    function: Callable[[np.float32], np.float32],
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The function in a loop that the compiler vectorises, as the kernels use it."""

    @njit(fastmath=FASTMATH, error_model="numpy")  # type: ignore[untyped-decorator]
    def loop(x: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.empty_like(x)
        for i in range(len(x)):
            out[i] = function(x[i])
        return out

    return loop  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (exp32, np.exp),
        (sigmoid32, lambda x: 1 / (1 + np.exp(-x))),
        (silu32, lambda x: x / (1 + np.exp(-x))),
        (softplus32, lambda x: np.logaddexp(0, x)),
    ],
)
def test_accurate_to_a_few_units_in_the_last_place(
    function: Callable[[np.float32], np.float32],
    exact: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> None:
    wanted = exact(X.astype(np.float64))
    np.testing.assert_allclose(mapped(function)(X), wanted, rtol=4e-7, atol=1e-37)


@pytest.mark.parametrize("function", [exp32, sigmoid32, silu32, softplus32])
def test_extremes(function: Callable[[np.float32], np.float32]) -> None:
    out = mapped(function)(np.array([np.nan, 1e30, -1e30], dtype=np.float32))
    assert np.isnan(out[0])
    assert not np.isnan(out[1:]).any()
