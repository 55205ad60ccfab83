"""Planning and resuming a run of many rows: time and memory of every step, on files as a run leaves them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.scaling.stub import StubWork
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.results.part import write_part
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.shards import Shard, cut_shards, remaining_shards
from goldilocks_batch.runs.attempt import Assignment, screening_of
from goldilocks_batch.runs.manifest import MANIFEST_SCHEMA
from goldilocks_batch.structures.sources.sourceset import open_sources

__all__ = ["plan_and_resume", "resume_after_compaction", "simulated_manifest"]

_GROUP = 1000
_FINGERPRINT = "fingerprint"


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print what a step takes: processor time, wall time, and memory afterwards."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    spent, wall = time.process_time() - cpu, time.perf_counter() - began
    print(
        f"| {name} | {spent:.2f} | {wall:.2f} | {psutil.Process().memory_info().rss / 2**20:.0f} |",
        flush=True,
    )


def simulated_manifest(path: Path, rows: int) -> None:
    """A manifest with an id for every row, a structure that is always the same, and row groups of 1,000."""
    same = {
        "source": pa.array(["made up"] * _GROUP),
        "cell": pa.array([(4.0 * np.eye(3)).ravel().tolist()] * _GROUP, pa.list_(pa.float64(), 9)),
        "frac": pa.array([[0.0, 0.0, 0.0]] * _GROUP),
        "numbers": pa.array([[29]] * _GROUP, pa.list_(pa.uint8())),
        "pbc": pa.array([[True] * 3] * _GROUP, pa.list_(pa.bool_(), 3)),
    }
    with pq.ParquetWriter(path, MANIFEST_SCHEMA, compression="zstd") as writer:
        for first in range(0, rows, _GROUP):
            ids = pa.array([f"simulated-{row:08d}" for row in range(first, first + _GROUP)])
            writer.write_batch(pa.RecordBatch.from_pydict({"id": ids, **same}, schema=MANIFEST_SCHEMA))


def plan_and_resume(manifest: Path, folder: Path, shard_size: int) -> None:
    """Print a line for every step of planning, resuming and ending a run.

    Args:
        manifest: its rows.
        folder: an empty or new one, for as many parts as there are shards.
        shard_size: rows of a shard; a divisor of 1,000.
    """
    print("| step | processor s | wall s | memory afterwards MB |\n| --- | ---: | ---: | ---: |")
    with step("inputs opened, ids unique"):
        sources = open_sources([manifest])
    with step("shards cut"):
        planned = cut_shards(sources.rows, shard_size, sources.boundaries)
    work = StubWork(screening_of(RunConfig(model="baseline")))
    assignment = Assignment(work, sources, Parts(folder, _FINGERPRINT))
    with step(f"{len(planned):,} work orders made"):
        for shard in planned:
            assignment.job(shard)
    folder.mkdir(parents=True, exist_ok=True)
    with step("(their parts simulated)"):
        _simulated_parts(assignment, planned)
    with step("footers read (resume)"):
        found = assignment.parts.scan()
    with step("what remains, every other part missing"):
        left = remaining_shards(planned, found.shards[::2])
    assert len(left) == len(planned) // 2  # noqa: S101
    with step("footers looked at again (end)"):
        found = assignment.parts.scan()
    with step("totals"):
        report = found.report
    assert report.rows == sources.rows  # noqa: S101


def resume_after_compaction(folder: Path) -> None:
    """Print what compacting real parts takes, and what it leaves of the time to resume."""
    print("| step | processor s | wall s | memory afterwards MB |\n| --- | ---: | ---: | ---: |")
    with step("compaction"):
        before, after = Parts(folder, _FINGERPRINT).compact()
    with step(f"footers read, {after} files in place of {before:,}"):
        Parts(folder, _FINGERPRINT).scan()


def _simulated_parts(assignment: Assignment[StubWork], planned: list[Shard]) -> None:
    """Part files with real footers: one is written for every length of the row numbers, the rest are copies.

    A copy differs in the row numbers of its footer, which is all that planning reads.
    """
    pipeline, folder = assignment.work.build(), assignment.parts.folder
    templates: dict[tuple[int, ...], tuple[bytes, bytes]] = {}
    for shard in planned:
        mark = f"{shard.start}-{shard.stop}".encode()
        kind = (len(shard), len(str(shard.start)), len(str(shard.stop)))
        if kind not in templates:
            references = [reference for piece in assignment.job(shard).pieces for reference in piece.read()]
            table, report = pipeline(references, shard.start)
            part = write_part(folder, shard, table, report, assignment.parts.fingerprint)
            templates[kind] = part.path.read_bytes(), mark
        content, old = templates[kind]
        name = f"part-{shard.start:010d}-{shard.stop:010d}.parquet"
        (folder / name).write_bytes(content.replace(old, mark))
