"""Compaction: fewer files, the same rows, and a run that is still complete."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from goldilocks_batch.results import parts as module
from goldilocks_batch.results.folder import RunFolder, read_results
from goldilocks_batch.results.shards import Shard, missing_rows
from goldilocks_batch.results.status import status_of
from tests.unit.results.run_folders import part, record


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for start in range(0, 1000, 50):
        part(tmp_path, start, start + 50)
    record(tmp_path, 1000)
    return tmp_path


def test_rows_and_report_stay_the_same(output: Path) -> None:
    before, parts = read_results(output), RunFolder.of(output).parts
    report = parts.scan().report
    assert parts.compact(above=20) == (20, 20)
    assert parts.compact(above=19) == (20, 1)
    found = parts.scan()
    assert found.shards == [Shard(0, 1000)]
    assert not found.untrusted
    assert found.report == report
    assert read_results(output).equals(before)
    assert read_results(output, ["id"]).equals(before.select(["id"]))


def test_row_groups_are_sorted_by_id(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GROUP", 100)
    assert RunFolder.of(output).compact() == (20, 1)
    metadata = pq.read_metadata(next(output.glob("results/part-*")))
    statistics = [metadata.row_group(i).column(0).statistics for i in range(metadata.num_row_groups)]
    assert len(statistics) == 10
    assert all(s.min < s.max for s in statistics)
    assert all(a.max < b.min for a, b in pairwise(statistics))


def test_gaps_stay_gaps(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGE", 300)
    (output / "results" / "part-0000000400-0000000450.parquet").unlink()
    parts = RunFolder.of(output).parts
    parts.compact()
    shards = parts.scan().shards
    assert missing_rows(1000, shards) == [Shard(400, 450)]
    assert max(map(len, shards)) <= 350
    assert len(shards) < 8
    assert parts.compact()[1] <= len(shards)


def test_stopped_before_the_parts_were_removed(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, parts = read_results(output), RunFolder.of(output).parts
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stop)
        with pytest.raises(InterruptedError):
            parts.compact()
    assert len(list(output.glob("results/part-*"))) == 21
    assert read_results(output).equals(before)
    found = parts.scan()
    assert found.shards == [Shard(0, 1000)]
    assert len(found.untrusted) == 20


def stop(path: Path, **_options: bool) -> None:
    if path.name.startswith("part-"):
        raise InterruptedError


def test_status_needs_the_files_alone(output: Path) -> None:
    record(output, 1200)
    found = status_of(output)
    assert (found.rows, found.report.rows, found.report.failed, found.parts) == (1200, 1000, 20, 20)
    assert found.missing == (Shard(1000, 1200),)
    assert found.state == "running"
