"""The GPU benchmark's busy time: unions of spans, and a real trace of torch's operators."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity

from benchmarks import gpu_trace


def kernel(start: float, length: float, category: str = "kernel") -> dict[str, object]:
    return {"ph": "X", "cat": category, "ts": start, "dur": length}


def test_kernels_that_overlap_count_once_and_copies_apart() -> None:
    events = [
        kernel(0, 10),
        kernel(5, 10),
        kernel(20, 1, "gpu_memset"),
        kernel(12, 30, "gpu_memcpy"),
        kernel(0, 1000, "cpu_op"),
        {"ph": "i", "cat": "kernel", "ts": 3},
    ]
    found = gpu_trace.busy(events, table=51e-6)
    assert found.compute == pytest.approx(16e-6)
    assert found.transfer == pytest.approx(30e-6)
    assert found.summed == pytest.approx(51e-6)
    assert found.wall == pytest.approx(42e-6)
    assert found.kernels == 3
    assert found.agrees
    assert not gpu_trace.busy(events, table=20e-6).agrees


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda s: (s[0], s[0] + s[1]))))
def test_a_union_is_every_instant_once(spans: list[tuple[int, int]]) -> None:
    instants = {instant for start, stop in spans for instant in range(start, stop)}
    assert gpu_trace.union_seconds(spans) == pytest.approx(len(instants) / 1e6)


def test_a_trace_says_what_the_table_says() -> None:
    """With operators of the CPU in place of kernels: one that has no other inside."""
    out = torch.rand(300, 300)

    def work() -> None:
        for _ in range(50):
            torch.relu_(out)

    found = gpu_trace.traced(work, ProfilerActivity.CPU)
    assert found.kernels >= 50
    assert 0 < found.compute <= found.wall
    assert found.compute == pytest.approx(found.table, rel=0.2)
