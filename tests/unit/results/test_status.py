"""How far a run is, told from a record and the times at which its files were written."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from goldilocks_batch.results.part import write_part
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.results.status import Status, status_of, timeline

RUN = "fingerprint"
Folder = Callable[..., Status]


def started(ago: float) -> str:
    return datetime.fromtimestamp(time.time() - ago, UTC).isoformat(timespec="seconds")


@pytest.fixture
def found(tmp_path: Path) -> Folder:
    """The status of a run of 1,000 rows with parts of 10, written so many seconds ago."""

    def make(
        ages: Sequence[float],
        state: str = "running",
        began: float = 36_000,
        attempts: Sequence[dict[str, Any]] = (),
        own: int | None = None,
        **values: Any,
    ) -> Status:
        results = tmp_path / "results"
        results.mkdir()
        for number, age in enumerate(ages):
            shard = Shard(10 * number, 10 * number + 10)
            rows = pa.table({"row": pa.array(range(shard.start, shard.stop), pa.int64())})
            path = write_part(results, shard, rows, Report(rows=10, ok=10), RUN).path
            os.utime(path, times=(time.time() - age,) * 2)
        last: dict[str, Any] = {"started": started(began), "state": state}
        if own is not None:
            last["rows"] = own
        record = {
            "identity": {},
            "fingerprint": RUN,
            "state": state,
            "rows": 1000,
            "attempts": [*attempts, last],
            **values,
        }
        (tmp_path / "run.json").write_text(json.dumps(record))
        return status_of(tmp_path)

    return make


@pytest.mark.parametrize("state", ["running", "submitted"])
def test_a_run_that_writes_is_told_its_time(found: Folder, state: str) -> None:
    status = found(range(190, -10, -10), state, counts={"rows": 0})
    assert status.silence is None
    assert status.rate == pytest.approx(1.0, rel=0.01)
    assert status.seconds_left == pytest.approx(800, rel=0.01)


@pytest.mark.parametrize("state", ["running", "submitted"])
def test_a_run_that_has_stopped_is_told_no_time(found: Folder, state: str) -> None:
    status = found(range(7390, 7190, -10), state, counts={"rows": 0})
    assert status.silence == pytest.approx(7200, abs=10)
    assert status.seconds_left is None


def test_an_interrupted_run_is_not_silent_and_has_no_time_left(found: Folder) -> None:
    status = found(range(7390, 7190, -10), "interrupted")
    assert (status.silence, status.seconds_left) == (None, None)


@pytest.mark.parametrize(("age", "silent"), [(3000, False), (7000, True)])
def test_what_is_long_depends_on_the_pace(found: Folder, age: float, silent: bool) -> None:
    status = found([age + 2400, age + 1200, age])  # twenty minutes from part to part
    assert (status.silence is not None) is silent


@pytest.mark.parametrize(("began", "silent"), [(30, False), (700, True)])
def test_a_new_attempt_is_given_time_for_its_first_part(found: Folder, began: float, silent: bool) -> None:
    status = found([90_020, 90_010, 90_000], began=began)
    assert (status.silence is not None) is silent
    assert status.rate is None, "that was another attempt's"
    assert status.seconds_left is None
    if silent:
        assert status.silence == pytest.approx(began, abs=10)


def test_an_array_that_never_began_is_silent(found: Folder) -> None:
    status = found([], "submitted", began=4000, counts={"rows": 0})
    assert status.silence == pytest.approx(4000, abs=10)
    assert status.newest is None


def test_rows_of_a_submitted_array_are_those_that_came_since(found: Folder) -> None:
    first = {"started": started(90_000), "state": "interrupted", "rows": 20}
    status = found([90_000, 90_000, 2, 1, 0], "submitted", attempts=[first], counts={"rows": 20})
    assert [attempt["rows"] for attempt in status.attempts] == [20, 30]


def test_rows_of_an_array_that_was_collected_are_what_collecting_left(found: Folder) -> None:
    array = {"started": started(90_000), "state": "submitted"}
    status = found([9, 8, 7, 1, 0], "completed", attempts=[array], own=20)
    assert [attempt["rows"] for attempt in status.attempts] == [30, 20]


def test_rows_of_two_uncounted_attempts_are_not_guessed(found: Folder) -> None:
    attempts = [{"started": started(90_000), "state": state} for state in ("submitted", "killed")]
    status = found([9, 8, 7, 1, 0], attempts=attempts)
    assert not any("rows" in attempt for attempt in status.attempts)


@pytest.mark.parametrize("count", [0, 1, 7, 99, 100])
def test_a_timeline_ends_with_all_rows_however_few_points_it_has(
    found: Folder, tmp_path: Path, count: int
) -> None:
    found([100.0 - place for place in range(count)])
    parts, since = Parts(tmp_path / "results", RUN).scan().parts, time.time() - 200
    full, short = timeline(parts, since), timeline(parts, since, 5)
    assert [rows for _, rows in full] == list(range(10, 10 * count + 1, 10))
    assert [at for at, _ in full] == pytest.approx([100.0 + place for place in range(count)], abs=2.0)
    assert len(short) <= 6
    assert set(short) <= set(full)
    assert short[-1:] == full[-1:]
    assert timeline(parts, time.time() + 1) == []


@pytest.mark.parametrize("studies", [True, False])
@pytest.mark.parametrize(
    ("ages", "silent"),
    [
        ([5000, 2500, 60], False),
        ([7300, 7000, 6700], True),  # five minutes from mesh to mesh, and then nothing
        ([12_000, 9_000, 6_000], False),  # fifty minutes from mesh to mesh
        ([40_000, 39_000], True),  # of an earlier attempt
    ],
)
def test_a_study_makes_progress_with_every_mesh(
    found: Folder, tmp_path: Path, ages: Sequence[float], silent: bool, studies: bool
) -> None:
    for number, age in enumerate(ages):
        path = tmp_path / "studies" / "Si" / f"rung-{number:04d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, times=(time.time() - age,) * 2)
    status = found([], identity={"kind": "convergence"} if studies else {})
    assert (status.silence is not None) is (silent or not studies)
    if studies and silent:
        assert status.silence == pytest.approx(min(ages[-1], 36_000), abs=10)
