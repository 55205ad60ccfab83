"""Lines and constants of the smallest cells: what they cover, and when there are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.models.scaled import FAMILIES, KNOTS, Groups
from goldilocks_batch.training.labelled import Labelled
from goldilocks_batch.training.scaled_fit import More, calibrate_scaled, small_constants

N = 400


def labelled(seed: int, small: int) -> tuple[Labelled, np.ndarray, np.ndarray, Groups]:
    """Labels around a location, the first rows of small cells, of which μ says half of what it seems."""
    rng = np.random.default_rng(seed)
    location = rng.normal(-1.0, 0.5, (N, 1))
    slope = np.where(np.arange(N) < small, 0.5, 1.0)[:, None]
    label = slope * (location + 1.0) - 1.0 + rng.normal(0.0, 0.3, (N, 1))
    data = Labelled(
        *(np.zeros((N, 1)), (1.0,), label - 0.1, label, np.arange(N).astype(str), np.ones(N)),
    )
    of = {name: np.zeros(N, dtype=np.int64) for name in FAMILIES}
    of["size"] = np.where(np.arange(N) < small, 0, 2)
    return data, location, np.full((N, 1), 0.3), Groups(of)


@given(st.integers(0, 2**32))
def test_lines_cover_the_smallest_cells(seed: int) -> None:
    data, location, scale, groups = labelled(seed, 150)
    scaled = calibrate_scaled(data, location, scale, groups)
    assert scaled.lines is not None
    assert scaled.lines.shape == (1, len(KNOTS), 2)
    for knot in KNOTS:
        lower = np.log(scaled.bounds(location[:, 0], scale[:, 0], groups, 0, knot)[:150, 0])
        assert (lower <= data.label[:150, 0]).mean() >= knot - 0.01
    assert scaled.lines[0, -1, 0] < 0.9, "a location that says too much is followed less"


def test_few_small_cells_have_no_lines() -> None:
    data, location, scale, groups = labelled(0, 10)
    assert calibrate_scaled(data, location, scale, groups).lines is None
    assert small_constants(data, location, groups, None) == {}


def test_studies_count_twice_a_label() -> None:
    data, location, scale, groups = labelled(1, 20)
    studies = More(np.full((1, 30), -3.0), np.full((1, 30), -1.0))
    scaled = calibrate_scaled(data, location, scale, groups, studies)
    assert scaled.lines is not None
    # 30 studies weigh 30, 20 labels 10: a bound at 0.80 has to lie below the studies
    own = np.log(scaled.bounds(np.array([-1.0]), np.array([0.3]), groups.take(np.arange(1)), 0, 0.80)[0, 0])
    assert own <= -3.0 + 1e-9
    assert small_constants(data, location, groups, studies)["1"]["0.8"] == pytest.approx(np.exp(-3), abs=1e-5)


def test_constants_of_small_cells_fall_with_the_share() -> None:
    data, location, _, groups = labelled(2, 200)
    found = small_constants(data, location, groups, None)["1"]
    values = [found[c] for c in ("0.5", "0.8", "0.95", "0.98")]
    assert values == sorted(values, reverse=True)
    assert (np.exp(data.label[:200, 0]) >= found["0.95"]).mean() == pytest.approx(0.95, abs=0.01)
