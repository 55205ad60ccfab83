"""Figures of an evaluation against counting by hand, limits included."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from goldilocks_batch.config.training import Target
from goldilocks_batch.training.card import report
from goldilocks_batch.training.dataset import Dataset, load_dataset
from goldilocks_batch.training.evaluate import evaluate, mesh_points
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.figures import CONSTANTS, wilson
from goldilocks_batch.training.plots import draw
from tests.training_data import write_labelled


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = write_labelled(tmp_path_factory.mktemp("labels") / "a.parquet", 60)
    return load_dataset(path, Target(column="k_dist"), FeatureSet("comp_lattice.v1"))


@pytest.fixture
def limited(tmp_path: Path) -> Dataset:
    """Labels 0.2, 0.4; limits 0.1, 0.3 on the true distance of two more."""
    path = write_labelled(tmp_path / "a.parquet", 4, k=[0.2, 0.4, None, None], most=[None, None, 0.1, 0.3])
    return load_dataset(path, Target(column="k", at_most="most"), FeatureSet("comp_lattice.v1"))


@given(st.integers(0, 400), st.integers(1, 400))
def test_error_bars_are_wilson_intervals(hits: int, rows: int) -> None:
    hits = min(hits, rows)
    expected = binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert wilson(hits, rows) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_rows_say_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_errors_and_coverage_are_those_counted_by_hand(dataset: Dataset) -> None:
    factors = np.array([0.8, 1.05, 1.3])
    bounds = np.median(dataset.kdist) * np.tile(factors, (60, 1))
    found = evaluate(dataset, {0.9: bounds})
    lower, median, upper = bounds.T
    truth = dataset.kdist
    (level,) = found.levels
    assert found.mae == pytest.approx(np.abs(truth - median).mean())
    assert found.r2 == pytest.approx(1 - ((truth - median) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
    assert level.lower.least == level.lower.most == (truth >= lower).mean()
    assert level.upper.hits == (truth <= upper).sum()
    assert level.central.hits == ((truth >= lower) & (truth <= upper)).sum()
    assert level.width == pytest.approx((upper - lower).mean())
    losses = [np.where(truth >= b, q * (truth - b), (1 - q) * (b - truth)).mean()
              for b, q in zip(bounds.T, (0.1, 0.5, 0.9), strict=True)]  # fmt: skip
    assert level.pinball == pytest.approx(np.mean(losses))
    for groups in level.groups.values():
        assert sum(group.rows for group in groups.values()) == 60
        assert sum(group.hits for group in groups.values()) == level.lower.hits


def test_labels_themselves_waste_nothing(dataset: Dataset) -> None:
    found = evaluate(dataset, {0.95: np.tile(dataset.kdist[:, None], (1, 3))})
    (level,) = found.levels
    assert level.model.waste == 1.0
    assert level.model.kpoints == mesh_points(dataset.lattices, dataset.kdist).sum()
    assert (level.lower.least, level.central.least, found.mae, found.r2) == (1.0, 1.0, 0.0, 1.0)
    # the constant that covers everything is the smallest label
    assert level.constant_kdist == pytest.approx(dataset.kdist.min())
    assert level.ratio < 1


def test_a_constant_saves_nothing_over_itself(dataset: Dataset) -> None:
    constant = np.full((60, 3), np.sort(dataset.kdist)[6])
    (level,) = evaluate(dataset, {0.9: constant}).levels
    assert level.ratio == pytest.approx(1.0)
    assert level.constant_kdist == pytest.approx(constant[0, 0])
    assert level.constant_waste == pytest.approx(level.model.waste)


def test_constants_lie_between_rungs_of_more_and_less_coverage(dataset: Dataset) -> None:
    rungs = np.unique(dataset.kdist)
    bounds = np.where(np.arange(60)[:, None] % 2, rungs[3], rungs[4]) * np.ones((60, 3))
    (level,) = evaluate(dataset, {0.9: bounds}).levels
    assert rungs[3] <= level.constant_kdist <= rungs[4]


def test_limits_count_as_misses_only_where_they_decide(limited: Dataset) -> None:
    bounds = np.tile([0.15, 0.2, 0.35], (4, 1))
    (level,) = evaluate(limited, {0.9: bounds}).levels
    # 0.2 and 0.4 hold; limit 0.1 < 0.15 is a miss; limit 0.3 leaves it open
    assert (level.lower.rows, level.lower.hits, level.lower.unknown) == (4, 2, 1)
    assert (level.lower.least, level.lower.most) == (0.5, 0.75)
    # true values below 0.1 and 0.3 are below 0.35 for certain, 0.4 is not
    assert (level.upper.hits, level.upper.unknown) == (3, 0)
    assert (level.central.hits, level.central.unknown) == (1, 1)


def test_errors_are_over_labels_only(limited: Dataset) -> None:
    found = evaluate(limited, {0.9: np.tile([0.1, 0.3, 0.5], (4, 1))})
    assert (found.rows, found.labelled) == (4, 2)
    assert found.mae == pytest.approx(0.1)
    assert found.levels[0].model.kpoints == mesh_points(limited.lattices, np.full(4, 0.1)).sum()


def test_intervals_and_constants_are_counted_beside_the_bounds(dataset: Dataset) -> None:
    bounds = np.median(dataset.kdist) * np.tile([0.8, 1.05, 1.3], (60, 1))
    interval = np.median(dataset.kdist) * np.tile([0.9, 1.05, 1.1], (60, 1))
    found = evaluate(dataset, {0.9: bounds}, {0.9: interval})
    inside = (dataset.kdist >= interval[:, 0]) & (dataset.kdist <= interval[:, 2])
    (level,) = found.levels
    assert level.two_sided is not None
    assert level.two_sided.hits == inside.sum() < level.central.hits
    assert level.two_sided_width == pytest.approx(0.2 * np.median(dataset.kdist))
    for name, kdist in CONSTANTS.items():
        assert found.constants[name].mae == pytest.approx(np.abs(dataset.kdist - kdist).mean())
    text = report(found)
    assert "two-sided holds" in text
    assert "the best one for these very rows" in text
    assert "two-sided" not in report(evaluate(dataset, {0.9: bounds}))


def test_a_report_explains_limits_and_says_what_is_dearer(limited: Dataset) -> None:
    text = report(evaluate(limited, {0.9: np.tile([0.05, 0.2, 0.35], (4, 1))}))
    assert "Of 2 of the 4 rows only a limit is known" in text
    assert "the upper end of both ranges" in text
    assert "more k-points in sum than that constant at 0.90" in text
    assert "%" not in text.split("| ratio |")[0].splitlines()[-1]


def test_figures_are_json(dataset: Dataset) -> None:
    found = evaluate(dataset, {0.95: np.tile([0.1, 0.2, 0.4], (60, 1))}).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found["constants"]) == set(CONSTANTS)


def test_plots_are_the_same_every_time(dataset: Dataset, limited: Dataset, tmp_path: Path) -> None:
    for name, data in (("labels", dataset), ("limits", limited)):
        bounds = {c: np.tile([0.3 - 0.2 * c, 0.25, 0.2 + 0.3 * c], (len(data), 1)) for c in (0.95, 0.9)}
        found = evaluate(data, bounds)
        first = draw(data, bounds, found, tmp_path / name)
        again = draw(data, bounds, found, tmp_path / f"{name} again")
        assert [path.name for path in first] == ["parity.png", "coverage.png", "width.png", "waste.png"]
        for one, two in zip(first, again, strict=True):
            assert one.read_bytes() == two.read_bytes()
            assert one.read_bytes().startswith(b"\x89PNG")
