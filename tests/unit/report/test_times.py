"""The rate over working time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from goldilocks_batch.report.times import pace_of

BEGAN = 1_800_000_000.0


def attempt(begins: float, ends: float | None = None, **more: Any) -> dict[str, Any]:
    def text(at: float) -> str:
        return datetime.fromtimestamp(BEGAN + at, UTC).isoformat(timespec="seconds")

    return {"started": text(begins), "state": "x"} | ({"finished": text(ends)} if ends else {}) | more


def test_a_steady_run_has_one_rate() -> None:
    pace = pace_of([attempt(0, 100)], [(BEGAN + at, 50) for at in range(1, 101)])
    assert pace is not None
    assert pace.rates == pytest.approx([50.0] * len(pace.rates))
    assert pace.edges[-1] == 100
    assert not pace.begins


def test_pauses_between_attempts_are_left_out_and_no_row_is_lost() -> None:
    first = [(BEGAN + at, 10) for at in range(1, 21)]
    second = [(BEGAN + 5000 + at, 40) for at in range(1, 11)]
    pace = pace_of([attempt(0, 20), attempt(5000, 5010)], first + second)
    assert pace is not None
    assert pace.begins == [20]
    assert pace.edges[-1] == 30
    total = sum(
        rate * (b - a) for rate, a, b in zip(pace.rates, pace.edges[:-1], pace.edges[1:], strict=True)
    )
    assert total == pytest.approx(600)


def test_a_recorded_timeline_stands_for_files_that_are_compacted() -> None:
    pace = pace_of([attempt(0, 10, timeline=[[at, 50 * at] for at in range(1, 11)])], [(BEGAN + 10, 500)])
    assert pace is not None
    assert pace.rates == pytest.approx([50.0] * len(pace.rates))


@pytest.mark.parametrize("shift", [-9000.0, 9000.0])
def test_files_that_were_copied_tell_no_rate(shift: float) -> None:
    assert pace_of([attempt(0, 100)], [(BEGAN + shift + at, 50) for at in range(100)]) is None


def test_few_files_tell_no_rate() -> None:
    assert pace_of([attempt(0, 100)], [(BEGAN + at, 100) for at in range(7)]) is None
    assert pace_of([], []) is None
