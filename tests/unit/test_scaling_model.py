"""The model behind the predicted figures, at limits where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.model import Costs, Site, fitted, predicted

FREE = Costs(
    row=0.002,
    shard=0.0,
    start=0.0,
    client_shard=0.0,
    plan_row=0.0,
    end_part=0.0,
    end_row=0.0,
    part_bytes=0.0,
    row_bytes=0.0,
    manifest_row=0.0,
    footer_row=0.0,
)
REAL = replace(FREE, shard=0.02, start=4.0, client_shard=0.005, plan_row=1e-6, end_part=1e-3, row_bytes=100.0)
IDEAL = Site(files=1e30, bandwidth=1e30)


def test_one_worker_takes_the_sum_of_its_parts() -> None:
    found = predicted(REAL, 1_000_000, 1, 1000, IDEAL)
    assert found.seconds == pytest.approx(4 + 1 + 1000 * 1e-3 + 1000 * 0.02 + 2000)
    assert found.efficiency == pytest.approx(1)
    assert found.limit == "workers"


def test_without_overhead_a_worker_more_only_adds_the_last_shard() -> None:
    found = predicted(FREE, 1_000_000, 100, 1000, IDEAL)
    assert found.seconds == pytest.approx(2000 / 100 + 0.99 * 2)


@given(workers=st.integers(1, 5000), more=st.integers(1, 5000), size=st.integers(1, 20_000))
def test_efficiency_falls_with_the_workers(workers: int, more: int, size: int) -> None:
    few = predicted(REAL, 1_000_000, workers, size)
    many = predicted(REAL, 1_000_000, workers + more, size)
    assert many.efficiency <= few.efficiency * (1 + 1e-12)
    assert few.efficiency <= 1 + 1e-12


@given(workers=st.integers(1, 5000), size=st.integers(1, 20_000))
def test_a_run_is_never_faster_than_what_is_shared(workers: int, size: int) -> None:
    found = predicted(REAL, 1_000_000, workers, size)
    assert found.seconds >= max(found.demands.values())


def test_the_scheduler_saturates_where_its_shards_take_as_long_as_the_workers() -> None:
    costs = replace(FREE, client_shard=0.01)  # a shard of 100 rows takes 0.2 s, the scheduler 0.01 s
    saturation, name = predicted(costs, 1_000_000, 3, 100, IDEAL).saturation
    assert saturation == pytest.approx(20)
    assert name == "client and scheduler"
    assert predicted(costs, 1_000_000, 10, 100, IDEAL).limit == "workers"
    assert predicted(costs, 1_000_000, 40, 100, IDEAL).limit == "client and scheduler"


def test_compaction_is_paid_for_above_a_thousand_parts_only() -> None:
    costs = replace(FREE, end_row=1e-5)
    few, many = (predicted(costs, 1_000_000, 1, size, IDEAL).seconds for size in (1000, 999))
    assert many - few == pytest.approx(10)


def test_each_shared_resource_can_be_the_limit() -> None:
    slow_files = predicted(FREE, 1_000_000, 1000, 100, Site(files=10, bandwidth=1e30))
    slow_reading = predicted(replace(FREE, manifest_row=1000), 1_000_000, 1000, 100, Site(1e30, 1e6))
    slow_writing = predicted(replace(FREE, part_bytes=1e5), 1_000_000, 1000, 100, Site(1e30, 1e6))
    limits = [slow_files.limit, slow_reading.limit, slow_writing.limit]
    assert limits == ["file creation", "manifest reading", "result writing"]
    assert slow_files.demands["file creation"] == pytest.approx(1000)


@given(shard=st.floats(1e-4, 10), row=st.floats(1e-6, 1))
def test_two_runs_tell_shards_from_rows(shard: float, row: float) -> None:
    runs = [(shards, rows, shards * shard + rows * row) for shards, rows in ((2000, 2000), (4000, 1_000_000))]
    found = fitted(*runs)
    assert found == pytest.approx((shard, row), rel=1e-6)


def test_shards_of_one_size_tell_nothing() -> None:
    with pytest.raises(ValueError, match="same size"):
        fitted((10, 100, 1.0), (20, 200, 2.0))
