"""The model behind the predicted figures, at limits where the answer is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.model import Costs, Site, fitted, predicted
from benchmarks.scaling.predictions import Loading, costs_of, saturation

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


LOADING = Loading(seconds=1.5, bytes=2e8)


@pytest.mark.parametrize(("workers", "nodes"), [(1, 1), (32, 1), (33, 2), (1024, 32)])
def test_the_files_of_a_node_are_read_once(workers: int, nodes: int) -> None:
    assert LOADING.reading(workers, Site(bandwidth=1e8)) == pytest.approx(2 * nodes)


@pytest.fixture
def records(tmp_path: Path) -> tuple[Path, Path]:
    """Of two runs in which each process takes 1 ms a shard, and a child 10 µs a row."""

    def record(name: str, shards: int, rows: int) -> Path:
        cpu = dict.fromkeys(("client", "worker"), 0.001 * shards)
        values: dict[str, Any] = {"shards": shards, "rows": rows, "planning": 1.0, "first": 4.0}
        values |= {"cpu": {**cpu, "children": 1e-3 * shards + 1e-5 * rows}, "bytes": 20_000 * shards}
        path = tmp_path / name
        path.write_text(json.dumps(values))
        return path

    return record("few.json", 1000, 1000), record("many.json", 4000, 1_000_000)


def test_starting_contains_loading_and_its_share_of_the_bandwidth(records: tuple[Path, Path]) -> None:
    site = Site(bandwidth=1e8)
    free, slow, many = (
        costs_of(*records, 0.003, loading, workers, site)
        for loading, workers in ((Loading(0.0, 0.0), 1), (LOADING, 1), (LOADING, 1024))
    )
    assert 0 < free.start < 3  # of 3 s the stub spent some on loading a model of its own
    assert slow.start - free.start == pytest.approx(1.5 + 2)
    assert many.start - slow.start == pytest.approx(2 * 31)
    assert many.client_shard == pytest.approx(1e-3)
    assert many.shard == pytest.approx(2e-3)
    found = predicted(many, 1_000_000, 1024, 1000, site)
    assert found.once > many.start > 62


def test_what_is_shared_saturates_where_it_takes_as_long_as_the_workers() -> None:
    costs = replace(FREE, client_shard=0.01, manifest_row=100.0, part_bytes=1e4)
    site = Site(files=50.0, bandwidth=1e6)
    # a shard of 100 rows takes a worker 0.2 s, and the rest 0.01, 0.02, 0.01 and 0.01 s
    found = saturation(costs, 1_000_000, 100, Loading(0.0, 0.0), site)
    assert found == {
        "client and scheduler": pytest.approx(20, abs=1),
        "file creation": pytest.approx(10, abs=1),
        "manifest reading": pytest.approx(20, abs=1),
        "result writing": pytest.approx(20, abs=1),
        "loading": 10**7,  # never
    }
    faster = saturation(replace(costs, client_shard=0.004), 1_000_000, 100, Loading(0.0, 0.0), site)
    assert faster == {**found, "client and scheduler": pytest.approx(50, abs=1)}


def test_reading_that_grows_with_the_workers_saturates_at_a_root() -> None:
    costs = replace(FREE, footer_row=1.0)  # of 2000 s of work n workers read n seconds' worth
    found = saturation(costs, 1_000_000, 1000, Loading(0.0, 64e6), Site(files=1e30, bandwidth=1e6))
    assert found["manifest reading"] == pytest.approx(2000**0.5, abs=1)
    # 64 s a node of 32 workers: 2000 / n = 64 n / 32
    assert found["loading"] == pytest.approx(32, abs=1)
