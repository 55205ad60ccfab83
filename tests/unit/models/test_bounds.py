from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.models.bounds import SMALLEST_KDIST, finalise
from goldilocks_batch.models.constant import ConstantModel
from goldilocks_batch.models.interface import ModelInputs, RawBounds
from goldilocks_batch.structures.crystal import Crystal


def test_a_positive_correction_widens_the_interval() -> None:
    bounds = finalise(RawBounds(np.array([[0.2, 0.3, 0.4]])), 0.01)
    assert np.allclose(bounds.values, [[0.19, 0.3, 0.41]])
    assert bounds.flags == [()]


def test_crossed_bounds_are_sorted_flagged_and_keep_their_spread() -> None:
    raw = RawBounds(np.array([[0.4, 0.3, 0.2]]), spread=np.array([[1.0, 2.0, 3.0]]))
    bounds = finalise(raw, 0.0)
    assert bounds.values.tolist() == [[0.2, 0.3, 0.4]]
    assert bounds.spread is not None
    assert bounds.spread.tolist() == [[3.0, 2.0, 1.0]]
    assert bounds.flags == [("crossed_bounds_repaired",)]


def test_a_bound_that_is_not_positive_is_raised_and_flagged() -> None:
    bounds = finalise(RawBounds(np.array([[-0.1, 0.3, 0.4]])), 0.0)
    assert bounds.values[0, 0] == SMALLEST_KDIST
    assert set(bounds.flags[0]) == {"bound_clipped", "wide_interval"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_fails_its_row_alone(value: float) -> None:
    bounds = finalise(RawBounds(np.array([[0.2, 0.3, 0.4], [0.2, value, 0.4]])), 0.0)
    assert list(bounds.failures) == [1]
    assert bounds.failures[1].code == ErrorCode.PREDICTION_NOT_FINITE
    assert np.isnan(bounds.values[1]).all()
    assert bounds.values[0].tolist() == [0.2, 0.3, 0.4]


@pytest.mark.parametrize("row", [[np.nan, 0.3, 0.4], [0.2, 0.3, np.nan], [np.nan] * 3])
def test_a_batch_of_one_row_fails_like_any_other(row: list[float]) -> None:
    # a column without a single number is no sign that the model does not give it
    bounds = finalise(RawBounds(np.array([row])), 0.0)
    assert list(bounds.failures) == [0]


def test_a_constant_is_a_lower_bound_and_nothing_else() -> None:
    crystal = Crystal(np.eye(3) * 4, np.zeros((1, 3)), np.array([13]))
    bounds = finalise(ConstantModel(0.158).predict(ModelInputs([crystal, crystal])), 0.0)
    assert bounds.values[:, 0].tolist() == [0.158, 0.158]
    assert np.isnan(bounds.values[:, 1:]).all()
    assert bounds.failures == {}
    assert bounds.flags == [(), ()]


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(0, 20), st.just(3)), elements=st.floats(-2, 2)),
    st.floats(-0.1, 0.1),
)
def test_bounds_are_always_positive_and_ordered(raw: np.ndarray, correction: float) -> None:
    before = raw.copy()
    bounds = finalise(RawBounds(raw), correction)
    assert np.array_equal(raw, before)
    assert (bounds.values >= SMALLEST_KDIST).all()
    assert (np.diff(bounds.values, axis=1) >= 0).all()
    assert len(bounds.flags) == len(raw)
