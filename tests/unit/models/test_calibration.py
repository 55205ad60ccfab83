"""Conformal margins: ranks, guarantees, orders, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.artifacts.coverage import rows_needed
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError
from goldilocks_batch.models.calibration import LEVELS, Calibration, Margins, conformal_rank, margin


def calibration(rows: int = 200, seed: int = 0) -> Calibration:
    """Rows whose predicted quantiles are those of a unit normal in log kdist, too narrow by half."""
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    centre = rng.uniform(-3, -1, rows)
    predictions = np.exp(centre[:, None] + 0.1 * norm.ppf(LEVELS)[None])
    targets = np.exp(centre + 0.2 * rng.standard_normal(rows))
    return Calibration(np.array(LEVELS), predictions.astype(np.float32), targets.astype(np.float32), "split")


@pytest.mark.parametrize(
    ("n", "coverage", "rank"), [(19, 0.95, 19), (39, 0.95, 38), (9, 0.9, 9), (99, 0.8, 80), (100, 0.8, 81)]
)
def test_rank_is_the_textbook_one(n: int, coverage: float, rank: int) -> None:
    assert conformal_rank(n, coverage) == rank


@given(st.floats(0.5, 0.999))
def test_rows_needed_is_the_smallest_number_that_works(coverage: float) -> None:
    needed = rows_needed(coverage)
    assert conformal_rank(needed, coverage) <= needed
    if needed > 1:
        with pytest.raises(ConfigError, match="calibration rows") as refusal:
            conformal_rank(needed - 1, coverage)
        assert refusal.value.code == ErrorCode.DATASET_INVALID
        assert str(needed) in str(refusal.value)


@given(st.integers(5, 60), st.floats(0.5, 0.95), st.integers(0, 1000))
def test_the_margin_holds_for_exactly_the_promised_share_of_exchangeable_rows(
    n: int, coverage: float, seed: int
) -> None:
    if n < rows_needed(coverage):
        return
    scores = np.random.default_rng(seed).standard_normal(n + 1)
    held = sum(scores[i] <= margin(np.delete(scores, i), coverage) for i in range(n + 1))
    # each of the n + 1 rows takes its turn as the new one: those up to the rank are covered, no others
    assert held == conformal_rank(n, coverage)
    assert coverage - 1e-9 <= held / (n + 1) <= coverage + 1 / (n + 1)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.951234])
def test_bounds_of_a_model_that_is_too_sure_are_widened(confidence: float) -> None:
    known, fresh = calibration(4000), calibration(4000, seed=1)
    margins = known.margins(confidence)
    assert min(margins.lower, margins.upper, margins.central) > 0
    lower, _, upper = fresh.bounds(margins).T
    assert (fresh.targets >= lower).mean() == pytest.approx(confidence, abs=0.015)
    assert (fresh.targets <= upper).mean() == pytest.approx(confidence, abs=0.015)
    columns = [list(LEVELS).index(q) for q in margins.quantiles]
    interval = margins.apply(fresh.predictions[:, columns], central=True)
    inside = (fresh.targets >= interval[:, 0]) & (fresh.targets <= interval[:, 2])
    assert inside.mean() == pytest.approx(2 * confidence - 1, abs=0.02)


@given(
    st.lists(st.floats(1e-3, 2.0), min_size=3, max_size=3), st.floats(-3, 3), st.floats(-3, 3), st.booleans()
)
def test_bounds_stay_positive_and_ordered_whatever_the_margins(
    raw: list[float], lower: float, upper: float, central: bool
) -> None:
    margins = Margins(0.9, 0.1, 0.9, lower, upper, min(lower, upper))
    given_rows = np.array([sorted(raw)])
    bounds = margins.apply(given_rows, central=central)
    assert (bounds > 0).all()
    assert (np.diff(bounds) >= 0).all()
    assert bounds[0, 1] == given_rows[0, 1]


def test_bounds_that_pass_the_median_are_told() -> None:
    margins = Margins(0.9, 0.1, 0.9, -0.2, -0.2, 0.0)  # both bounds move inwards by a factor of 1.22
    raw = np.array([[0.1, 0.2, 0.3], [0.19, 0.2, 0.3], [0.1, 0.2, 0.21], [0.19, 0.2, 0.21]])
    assert margins.crossed(raw).tolist() == [1, 2, 3]
    assert (np.diff(margins.apply(raw), axis=1) >= 0).all()
    wider = Margins(0.9, 0.1, 0.9, 0.1, 0.1, 0.1)
    assert not len(wider.crossed(np.full((1, 3), 0.2)))


@pytest.mark.parametrize("confidence", [0.5, 1.0, 0.0, 1.2, float("nan")])
def test_a_confidence_out_of_range_is_refused(confidence: float) -> None:
    with pytest.raises(ConfigError, match=r"between 0\.5 and 1"):
        calibration().margins(confidence)


def test_too_few_rows_for_a_level_are_refused_with_the_number_needed() -> None:
    few = calibration(18)
    with pytest.raises(ConfigError, match=r"18 calibration rows.*at least 19 are needed"):
        few.margins(0.95)
    few.margins(0.90)


def test_calibrations_survive_the_way_through_named_arrays() -> None:
    before = calibration()
    after = Calibration.from_arrays(before.to_arrays(), "split")
    assert after.margins(0.87) == before.margins(0.87)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("levels", lambda a: a[::-1].copy()),
        ("levels", lambda a: a.astype(np.float32)),
        ("predictions", lambda a: a[:-1]),
        ("predictions", lambda a: np.where(a == a[0, 0], np.nan, a).astype(np.float32)),
        ("targets", lambda a: -a),
        ("targets", lambda a: a[:0]),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(name: str, change: object) -> None:
    arrays = calibration().to_arrays()
    arrays[name] = change(arrays[name])  # type: ignore[operator]
    with pytest.raises(ModelError, match="not a calibration") as refusal:
        Calibration.from_arrays(arrays, "split")
    assert refusal.value.code == ErrorCode.ARTIFACT_INVALID


def test_a_missing_or_superfluous_array_is_refused() -> None:
    arrays = calibration().to_arrays()
    with pytest.raises(ModelError, match="levels, predictions, targets"):
        Calibration.from_arrays({"levels": arrays["levels"]}, "split")
    with pytest.raises(ModelError, match="extra"):
        Calibration.from_arrays({**arrays, "extra": arrays["levels"]}, "split")
