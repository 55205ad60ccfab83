"""Shards are seconds of work: counted against the work there is, for every kind of model and of cluster."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.artifacts.registry import load_registry
from goldilocks_batch.config.run import RunConfig, load_config
from goldilocks_batch.core.errors import ConfigError
from goldilocks_batch.results.shards import cut_shards, remaining_shards
from goldilocks_batch.runs.attempt import screening_of
from goldilocks_batch.runs.sizing import shard_rows, shard_size, typical_seconds

KINDS = (ModelKind.CONSTANT, ModelKind.FOREST, ModelKind.BOOSTED, ModelKind.ALIGNN, ModelKind.K_INDEX)


@given(
    rows=st.integers(1, 10_000_000),
    kind=st.sampled_from(KINDS),
    seats=st.integers(1, 2000),
    group=st.integers(1000, 200_000),
)
def test_never_more_parts_than_one_in_five_seconds_of_work_or_eight_for_each_process(
    rows: int, kind: ModelKind, seats: int, group: int
) -> None:
    seconds = typical_seconds(RunConfig(device="cpu"), kind)
    shards = cut_shards(rows, shard_rows(rows, seconds, seats), range(0, rows, group))
    work = rows * seconds
    assert len(shards) <= max(1, work / 5, min(2 * work, 8 * seats))
    assert max(map(len, shards)) * seconds < max(21, 0.02 * seats)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seats", [1, 16, 128])
def test_every_process_gets_several_shards_as_soon_as_there_is_a_minute_for_each(
    kind: ModelKind, seats: int
) -> None:
    seconds = typical_seconds(RunConfig(device="cpu"), kind)
    rows = round(60 * seats / seconds)
    assert len(cut_shards(rows, shard_rows(rows, seconds, seats))) >= 4 * seats


@given(work=st.floats(0.5, 1000), kind=st.sampled_from(KINDS), seats=st.integers(2, 60))
def test_no_process_stays_without_a_shard_where_there_is_a_second_of_work_for_each(
    work: float, kind: ModelKind, seats: int
) -> None:
    seconds = typical_seconds(RunConfig(device="cpu"), kind)
    rows = round(work / seconds)
    size = shard_rows(rows, seconds, seats)
    assert size * seconds >= 1.0
    assert len(cut_shards(rows, size)) >= min(seats, int(rows * seconds))


@pytest.mark.parametrize("seats", [None, 1])
def test_what_one_process_can_do_in_ten_seconds_is_one_shard(seats: int | None) -> None:
    assert shard_rows(3000, 0.003, seats) >= 3000


def test_a_short_run_on_a_large_cluster_does_not_wait_for_the_scheduler() -> None:
    for seats in (100, 300, 600, 1000):
        shards = cut_shards(10**6, shard_rows(10**6, 0.003, seats))
        assert len(shards) * 0.008 < max(10.0, 10**6 * 0.003 / seats)


def test_thousands_of_processes_do_not_wait_for_the_scheduler() -> None:
    for seats in (100, 1000, 4000):
        shards = cut_shards(10**8, shard_rows(10**8, 0.003, seats))
        assert len(shards) * 0.008 < 0.6 * 10**8 * 0.003 / seats


def test_a_number_is_taken_as_it_is() -> None:
    assert shard_size(RunConfig(shard_size=7), ModelKind.FOREST, 10**6) == 7
    with pytest.raises(ConfigError, match="shard_size"):
        load_config(None, shard_size=0)


@pytest.mark.parametrize(
    ("options", "array", "seats"),
    [
        ({"workers": 8}, False, 8),
        ({"executor": "serial"}, False, 1),
        ({"cluster": "tcp://127.0.0.1:1"}, False, None),
        ({"executor": "slurm", "jobs": 4, "slurm": {"requests": {"cores": 16}}}, False, 64),
        ({"executor": "slurm", "jobs": 4, "max_jobs": 9, "slurm": {"requests": {"cores": 16}}}, False, 144),
        ({"executor": "slurm", "jobs": 3, "slurm": {"requests": [{"cores": 4}, {"jobs": 2}]}}, False, 14),
        ({"jobs": 50, "max_jobs": 90, "slurm": {"requests": {"cores": 2, "processes": 1}}}, True, 50),
    ],
)
def test_the_processes_are_those_of_the_configuration(
    options: dict[str, Any], array: bool, seats: int | None
) -> None:
    config = RunConfig.model_validate({"device": "cpu", **options})
    rows = 600_000 if seats is None or seats > 20 else 200_000
    assert shard_size(config, ModelKind.FOREST, rows, array=array) == shard_rows(rows, 0.003, seats)


def test_every_kind_of_model_has_a_cost() -> None:
    kinds: set[ModelKind] = {entry.kind for entry in load_registry().models.values()}
    kinds |= {screening_of(RunConfig(model=name)).model.kind for name in ("mc3d", "baseline")}
    assert kinds == set(KINDS)
    assert all(typical_seconds(RunConfig(device="cpu"), kind) > 0 for kind in kinds)


def test_networks_on_a_gpu_get_larger_shards() -> None:
    gpu = {"requests": {"gpus": 1}}
    cpu, cuda = RunConfig(device="cpu"), RunConfig(device="cuda")
    array = RunConfig.model_validate({"slurm": gpu})
    assert typical_seconds(cuda, ModelKind.ALIGNN) < typical_seconds(cpu, ModelKind.ALIGNN)
    assert typical_seconds(cuda, ModelKind.FOREST) == typical_seconds(cpu, ModelKind.FOREST)
    assert typical_seconds(array, ModelKind.ALIGNN, array=True) == typical_seconds(cuda, ModelKind.ALIGNN)
    assert typical_seconds(RunConfig(gpus=0), ModelKind.ALIGNN) == typical_seconds(cpu, ModelKind.ALIGNN)


def test_parts_of_another_shard_size_are_kept_on_resume() -> None:
    rows, bounds = 200_000, range(0, 200_000, 1000)
    done = cut_shards(rows, 256, bounds)[::3]
    left = remaining_shards(cut_shards(rows, shard_rows(rows, 0.003, 2), bounds), done)
    assert sum(map(len, left)) + sum(map(len, done)) == rows
    assert not {row for s in left for row in range(s.start, s.stop)} & {
        row for s in done for row in range(s.start, s.stop)
    }
