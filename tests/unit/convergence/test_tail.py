"""The tail rule against its definition, written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.convergence.tail import first_converged, first_possible, spreads

energies = st.lists(st.integers(-40, 40).map(lambda n: n * 0.0005), min_size=1, max_size=12)
tolerances = st.sampled_from([0.25, 1.25, 3.25, 5.25, 100.0])
tails = st.integers(3, 5)


def by_definition(values: list[float], tolerance: float, tail: int) -> int | None:
    for first in range(len(values)):
        rest = values[first:]
        agree = all(1000 * abs(a - b) <= tolerance for a in rest for b in rest)
        if agree and len(rest) >= tail:
            return first
    return None


@given(energies, tolerances, tails)
def test_the_label_is_the_first_rung_whose_tail_agrees(
    values: list[float], tolerance: float, tail: int
) -> None:
    assert first_converged(values, tolerance, tail) == by_definition(values, tolerance, tail)


@given(energies, st.lists(st.integers(-40, 40).map(lambda n: n * 0.0005), max_size=6), tolerances, tails)
def test_a_limit_holds_whatever_follows(
    values: list[float], further: list[float], tolerance: float, tail: int
) -> None:
    label = by_definition([*values, *further], tolerance, tail)
    assert label is None or label >= first_possible(values, tolerance)


@given(energies, tolerances)
def test_a_limit_is_the_best_that_is_known(values: list[float], tolerance: float) -> None:
    place = first_possible(values, tolerance)
    settled = [*values, *[values[-1]] * 3]  # nothing contradicts the last energy any more
    assert by_definition(settled, tolerance, 3) == place


@given(energies)
def test_a_larger_tolerance_has_no_later_label(values: list[float]) -> None:
    places = [first_converged(values, t) for t in (1.25, 3.25, 5.25)]
    known = [len(values) if place is None else place for place in places]
    assert known == sorted(known, reverse=True)


@given(energies)
def test_spreads_shrink_to_nothing(values: list[float]) -> None:
    found = spreads(values)
    assert found[-1] == 0
    assert (np.diff(found) <= 0).all()


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ([0.0, 0.0], None),  # two never do, though they are equal
        ([0.0, 0.0, 0.0], 0),
        ([0.0, 0.0, 0.05, 0.0, 0.0], None),  # Γ and its neighbour agree by accident
        ([0.0, 0.01, 0.0, 0.01, 0.0, 0.01], None),  # odd meshes agree, even ones agree
        ([0.0, 0.01, 0.0105, 0.01], 1),
    ],
)
def test_accidents_are_no_labels(values: list[float], label: int | None) -> None:
    assert first_converged(values, 1.0) == label
