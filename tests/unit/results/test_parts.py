from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.results.parts import read_results, scan_parts, sweep, write_part
from goldilocks_batch.results.report import Report, total
from goldilocks_batch.results.shards import Shard


def table(shard: Shard) -> pa.Table:
    return pa.table({"row": list(range(shard.start, shard.stop))})


def put(folder: Path, start: int, stop: int, fingerprint: str = "f") -> Path:
    shard = Shard(start, stop)
    report = Report(len(shard), len(shard) - 1, Counter({"PARSE_FAILED": 1}))
    return write_part(folder, shard, table(shard), report, fingerprint).path


def test_parts_come_back_with_their_reports(tmp_path: Path) -> None:
    put(tmp_path, 0, 5)
    put(tmp_path, 5, 7)
    parts, bad = scan_parts(tmp_path, "f")
    assert [part.shard for part in parts] == [Shard(0, 5), Shard(5, 7)]
    assert bad == []
    whole = total(part.report for part in parts)
    assert (whole.rows, whole.ok, whole.failures["PARSE_FAILED"]) == (7, 5, 2)


def test_rows_must_agree_with_the_shard(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        write_part(tmp_path, Shard(0, 3), table(Shard(0, 2)), Report(2, 2), "f")
    assert caught.value.code == ErrorCode.ROWS_LOST
    assert list(tmp_path.iterdir()) == []


def test_another_runs_part_is_not_trusted(tmp_path: Path) -> None:
    path = put(tmp_path, 0, 5, "other")
    assert scan_parts(tmp_path, "f") == ([], [path])


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_part_is_not_trusted(tmp_path: Path, keep: int) -> None:
    path = put(tmp_path, 0, 500)
    path.write_bytes(path.read_bytes()[:keep])
    assert scan_parts(tmp_path, "f") == ([], [path])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0.0, 1.0), bit=st.integers(0, 7))
def test_rows_are_those_that_were_written_or_none(place: float, bit: int, tmp_path: Path) -> None:
    shard = Shard(0, 200)
    rng = np.random.default_rng(0)
    rows = table(shard).append_column("kdist", pa.array(rng.random(200)))
    results = tmp_path / "results"
    results.mkdir(exist_ok=True)
    path = write_part(results, shard, rows, Report(200, 200), "f").path
    content = bytearray(path.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8
    at = 4 + int(place * (len(content) - footer - 5))
    content[at] ^= 1 << bit
    path.write_bytes(content)
    complaint = "is damaged"
    try:
        found = read_results(tmp_path)
    except RunError as error:
        found, complaint = rows, error.message
    assert found.equals(rows)
    assert "is damaged" in complaint


def test_a_foreign_parquet_file_is_not_trusted(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "part-0000000000-0000000003.parquet"
    pq.write_table(table(Shard(0, 3)), path)
    assert scan_parts(tmp_path, "f") == ([], [path])


def test_of_overlapping_parts_the_whole_one_is_kept(tmp_path: Path) -> None:
    whole = put(tmp_path, 0, 8)
    pieces = [put(tmp_path, 0, 4), put(tmp_path, 4, 8)]
    after = put(tmp_path, 8, 9)
    parts, bad = scan_parts(tmp_path, "f")
    assert [part.path for part in parts] == [whole, after]
    assert sorted(bad) == sorted(pieces)


def test_sweep_removes_leftovers_and_nothing_else(tmp_path: Path) -> None:
    good = put(tmp_path, 0, 2)
    left = tmp_path / ".part-0000000002-0000000004.parquet.17-ab.tmp"
    left.write_bytes(b"half")
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    bad = put(tmp_path, 4, 5, "other")
    sweep(tmp_path, [bad])
    assert sorted(tmp_path.iterdir()) == sorted([good, other])


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    final = tmp_path / "x.parquet"
    with pytest.raises(ZeroDivisionError), atomic_path(final) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No space left") as caught, atomic_path(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.code == ErrorCode.WRITE_FAILED


def test_an_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    final = tmp_path / "x"
    final.write_text("old")
    with atomic_path(final) as temporary:
        temporary.write_text("new")
        assert final.read_text() == "old"
    assert final.read_text() == "new"


def test_results_are_read_in_input_order(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    for start, stop in ((1000, 1003), (0, 1000), (1003, 1004)):
        put(folder, start, stop)
    assert read_results(tmp_path)["row"].to_pylist() == list(range(1004))


def test_no_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no results"):
        read_results(tmp_path)


def test_a_report_survives_its_own_json() -> None:
    report = Report(3, 2, Counter({"A": 1}), Counter(flag=2), {"read": 0.25}, Counter({"n_kpoints": 7}), 9)
    assert Report.from_json(report.to_json()) == report
    with pytest.raises(ValueError, match="not a report"):
        Report.from_json("{}")
    with pytest.raises(ValueError, match="not a report"):
        Report.from_json("[1]")
