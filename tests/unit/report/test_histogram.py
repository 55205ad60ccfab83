"""Counts in logarithmic bins against numpy on the numbers themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.report.histogram import Histogram

VALUES = st.lists(st.floats(1e-3, 9.99), min_size=1, max_size=60)


@given(VALUES, st.sampled_from([0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]))
def test_quantiles_are_those_of_the_numbers_to_half_a_bin(values: list[float], share: float) -> None:
    counted = Histogram(1e-3, 10.0, 4096)
    counted.add(np.array(values))
    exact = np.quantile(values, share, method="inverted_cdf")
    assert counted.quantiles((share,))[0] == pytest.approx(exact, rel=1.3e-3)


@given(VALUES, st.floats(2e-3, 9.0))
def test_shares_below_a_value_miss_at_most_its_bin(values: list[float], value: float) -> None:
    counted = Histogram(1e-3, 10.0, 4096)
    counted.add(np.array(values))
    near = sum(abs(math.log(v / value)) < 2.3e-3 for v in values)
    below = sum(v < value for v in values)
    assert abs(counted.share_below(value) * len(values) - below) <= near


@given(st.integers(-9, 9), st.integers(1, 5))
def test_ratios_of_one_and_powers_of_two_count_above_their_edge(power: int, times: int) -> None:
    counted = Histogram(2.0**-10, 2.0**10, 960)
    counted.add(np.full(times, 2.0**power))
    assert counted.share_below(2.0**power) == 0
    assert counted.counts[0, 48 * (power + 10)] == times


def test_groups_are_counted_apart_and_what_is_no_number_not_at_all() -> None:
    counted = Histogram(0.1, 10.0, 100, groups=3)
    counted.add(np.array([1.0, np.nan, 0.0, -1.0, np.inf, 50.0, 0.01]), np.array([0, 1, 1, 1, 1, 2, 2]))
    assert counted.totals.tolist() == [1, 0, 2]
    assert (counted.counts[2, 0], counted.counts[2, -1]) == (1, 1)
    assert math.isnan(counted.median(1))


@given(VALUES, st.integers(1, 50))
def test_joined_bins_lose_nothing_and_end_where_the_numbers_do(values: list[float], factor: int) -> None:
    counted = Histogram(1e-3, 10.0, 4096)
    counted.add(np.array(values))
    joined, edges = counted.coarse(factor)
    assert joined.sum() == len(values)
    assert len(edges) == len(joined) + 1
    assert edges[0] <= min(values) * (1 + 1e-9)
    assert max(values) <= edges[-1] * (1 + 1e-9)
    assert joined[0] > 0
    assert joined[-1] > 0
