"""How long a GPU computes and how long data travels, from the records of torch's profiler.

The profiler's table adds up durations, so kernels that overlap count twice; and without ``acc_events`` it
loses what happened before the end of a cycle.  The trace has each kernel and each copy with its start: their
union is the time in which the GPU was busy, and the sum of their durations must be what the table says.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

__all__ = ["Busy", "traced", "union_seconds"]

COMPUTE, TRANSFER = ("kernel", "gpu_memset"), ("gpu_memcpy",)


@dataclass(frozen=True, slots=True)
class Busy:
    """What a device did; seconds.

    Attributes:
        wall: from the first record to the end of the last.
        compute: in which at least one kernel ran.
        transfer: in which data travelled.
        summed: durations of kernels and copies added up.
        table: the same by the profiler's table; far from `summed`, one of both is wrong.
        kernels: number of kernels.
    """

    wall: float
    compute: float
    transfer: float
    summed: float
    table: float
    kernels: int

    @property
    def agrees(self) -> bool:
        """Whether trace and table say the same, within a fiftieth."""
        return abs(self.summed - self.table) <= 0.02 * max(self.summed, self.table)


def traced(work: Callable[[], object], activity: ProfilerActivity = ProfilerActivity.CUDA) -> Busy:
    """Do some work and see what the device did meanwhile.

    Args:
        work: what is to be measured, warmed up.
        activity: whose records count; with that of the CPU, torch's operators stand for kernels, so that
            this can be tried without a GPU.
    """
    on_gpu = activity == ProfilerActivity.CUDA
    with profile(activities=[activity], acc_events=True) as profiler:
        work()
        if on_gpu:
            torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    averages = profiler.key_averages()
    if on_gpu:
        table = sum(event.self_device_time_total for event in averages) / 1e6
    else:
        table = sum(event.self_cpu_time_total for event in averages) / 1e6
    return busy(events, table) if on_gpu else busy(events, table, compute=("cpu_op",))


def busy(events: Iterable[Mapping[str, Any]], table: float, compute: tuple[str, ...] = COMPUTE) -> Busy:
    """See :func:`traced`; from the events of a trace, and the table's sum in seconds."""
    found: dict[str, list[tuple[float, float]]] = {"compute": [], "transfer": []}
    for event in events:
        if event.get("ph") == "X" and event.get("cat") in (*compute, *TRANSFER):
            kind = "compute" if event["cat"] in compute else "transfer"
            found[kind].append((event["ts"], event["ts"] + event["dur"]))
    spans = found["compute"] + found["transfer"]
    wall = (max(stop for _, stop in spans) - min(start for start, _ in spans)) / 1e6 if spans else 0.0
    return Busy(
        wall,
        union_seconds(found["compute"]),
        union_seconds(found["transfer"]),
        sum(stop - start for start, stop in spans) / 1e6,
        table,
        len(found["compute"]),
    )


def union_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds that lie in at least one of some spans of microseconds."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(stop - max(start, end), 0.0)
        end = max(end, stop)
    return total / 1e6
