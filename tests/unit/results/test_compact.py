"""Compaction: fewer files, the same rows, and a run that is still complete."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch.results import compact as module
from goldilocks_batch.results.compact import compact_parts
from goldilocks_batch.results.parts import read_results, scan_parts, write_part
from goldilocks_batch.results.report import Report, total
from goldilocks_batch.results.shards import Shard, missing_rows
from goldilocks_batch.results.status import status_of

RUN = "fingerprint"


def write(folder: Path, start: int, stop: int) -> None:
    rows = range(start, stop)
    # ids in another order than the rows
    ids = [f"id-{(row * 37) % 1000:04d}" for row in rows]
    table = pa.table({"id": ids, "row": pa.array(rows, pa.int64())})
    write_part(folder, Shard(start, stop), table, Report(rows=len(rows), ok=len(rows) - 1), RUN)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    for start in range(0, 1000, 50):
        write(folder, start, start + 50)
    return folder


def test_rows_and_report_stay_the_same(results: Path) -> None:
    before = read_results(results.parent)
    report = total(part.report for part in scan_parts(results, RUN)[0])
    assert compact_parts(results, RUN) == (20, 1)
    parts, untrusted = scan_parts(results, RUN)
    assert [part.shard for part in parts] == [Shard(0, 1000)]
    assert not untrusted
    assert parts[0].report == report
    assert read_results(results.parent).equals(before)
    assert read_results(results.parent, ["id"]).equals(before.select(["id"]))


def test_row_groups_are_sorted_by_id(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GROUP", 100)
    compact_parts(results, RUN)
    metadata = pq.read_metadata(next(results.glob("part-*")))
    statistics = [metadata.row_group(i).column(0).statistics for i in range(metadata.num_row_groups)]
    assert len(statistics) == 10
    assert all(s.min < s.max for s in statistics)
    assert all(a.max < b.min for a, b in pairwise(statistics))


def test_gaps_stay_gaps(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 300)
    (results / "part-0000000400-0000000450.parquet").unlink()
    compact_parts(results, RUN)
    parts, _ = scan_parts(results, RUN)
    shards = [part.shard for part in parts]
    assert missing_rows(1000, shards) == [Shard(400, 450)]
    assert max(map(len, shards)) <= 350
    assert len(shards) < 8
    assert compact_parts(results, RUN)[1] <= len(shards)


def test_stopped_before_the_parts_were_removed(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_results(results.parent)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stop)
        with pytest.raises(InterruptedError):
            compact_parts(results, RUN)
    assert len(list(results.glob("part-*"))) == 21
    assert read_results(results.parent).equals(before)
    parts, untrusted = scan_parts(results, RUN)
    assert [part.shard for part in parts] == [Shard(0, 1000)]
    assert len(untrusted) == 20


def stop(path: Path, **_options: bool) -> None:
    if path.name.startswith("part-"):
        raise InterruptedError


def test_status_needs_the_files_alone(results: Path) -> None:
    (results.parent / "run.json").write_text(
        '{"identity": {}, "attempts": [{"state": "running", "started": "2026-01-01"}], '
        '"state": "running", "rows": 1200, "fingerprint": "fingerprint"}'
    )
    found = status_of(results.parent)
    assert (found.rows, found.report.rows, found.report.failed, found.parts) == (1200, 1000, 20, 20)
    assert found.missing == (Shard(1000, 1200),)
    assert found.state == "running"
