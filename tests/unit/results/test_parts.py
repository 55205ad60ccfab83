from __future__ import annotations

import contextlib
import errno
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.results.part import write_part
from goldilocks_batch.results.parts import Parts, Scan
from goldilocks_batch.results.report import Report
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
    found = Parts(tmp_path, "f").scan()
    assert found.shards == [Shard(0, 5), Shard(5, 7)]
    assert found.untrusted == ()
    assert found.rows == 7
    whole = found.report
    assert (whole.rows, whole.ok, whole.failures["PARSE_FAILED"]) == (7, 5, 2)


def test_rows_must_agree_with_the_shard(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        write_part(tmp_path, Shard(0, 3), table(Shard(0, 2)), Report(2, 2), "f")
    assert caught.value.code == ErrorCode.ROWS_LOST
    assert list(tmp_path.iterdir()) == []


def test_another_runs_part_is_not_trusted(tmp_path: Path) -> None:
    path = put(tmp_path, 0, 5, "other")
    assert Parts(tmp_path, "f").scan() == Scan((), (path,), (path,))


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_part_is_not_trusted(tmp_path: Path, keep: int) -> None:
    path = put(tmp_path, 0, 500)
    path.write_bytes(path.read_bytes()[:keep])
    assert Parts(tmp_path, "f").scan() == Scan((), (path,), ())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0.0, 1.0), bit=st.integers(0, 7))
def test_rows_are_those_that_were_written_or_none(place: float, bit: int, tmp_path: Path) -> None:
    shard = Shard(0, 200)
    rng = np.random.default_rng(0)
    rows = table(shard).append_column("kdist", pa.array(rng.random(200)))
    path = write_part(tmp_path, shard, rows, Report(200, 200), "f").path
    content = bytearray(path.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8
    at = 4 + int(place * (len(content) - footer - 5))
    content[at] ^= 1 << bit
    path.write_bytes(content)
    complaint = "is damaged"
    try:
        found = Parts(tmp_path, "f").table()
    except RunError as error:
        found, complaint = rows, error.message
    assert found.equals(rows)
    assert "is damaged" in complaint


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0.0, 1.0, exclude_max=True), bit=st.integers(0, 7))
def test_a_footer_tells_what_was_written_or_is_not_trusted(place: float, bit: int, tmp_path: Path) -> None:
    shard = Shard(0, 20)
    rows = table(shard).append_column("kdist", pa.array(np.linspace(0.1, 0.9, 20)))
    report = Report(20, 18, Counter({"PARSE_FAILED": 2}), Counter(flag=3))
    path = write_part(tmp_path, shard, rows, report, "f").path
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    path.write_bytes(flipped(content, len(content) - footer + int(place * footer), bit))
    parts = Parts(tmp_path, "f")
    (*trusted,) = parts.scan().parts
    if not trusted:
        return
    assert (trusted[0].shard, trusted[0].report) == (shard, report)
    with contextlib.suppress(RunError):  # a page that is not where it is said to be
        assert parts.table().equals(rows)


@pytest.mark.parametrize("word", [b"kdist", b"row"])
def test_a_flipped_column_name_is_found(tmp_path: Path, word: bytes) -> None:
    shard = Shard(0, 20)
    rows = table(shard).append_column("kdist", pa.array(np.linspace(0.1, 0.9, 20)))
    path = write_part(tmp_path, shard, rows, Report(20, 20), "f").path
    whole = path.read_bytes()
    names = [at for at in range(len(whole)) if whole[at : at + len(word)] == word]
    assert names
    found = []
    for at in names:
        path.write_bytes(flipped(whole, at, 1))
        found.append(bool(Parts(tmp_path, "f").scan().parts))
    assert False in found
    # the name in the schema is one of those places; the others are not read as names
    path.write_bytes(whole.replace(word, word[:-1] + b"x"))
    assert Parts(tmp_path, "f").scan().parts == ()


def test_a_part_with_the_columns_of_something_else_is_not_trusted(tmp_path: Path) -> None:
    path = put(tmp_path, 0, 5)
    assert Parts(tmp_path, "f", pa.schema([("row", pa.int64())])).scan().shards == [Shard(0, 5)]
    for schema in (pa.schema([("row", pa.int32())]), pa.schema([("id", pa.int64())]), pa.schema([])):
        assert Parts(tmp_path, "f", schema).scan() == Scan((), (path,), ())


def test_parts_with_different_columns_are_not_joined(tmp_path: Path) -> None:
    put(tmp_path, 0, 5)
    shard = Shard(5, 7)
    other = table(shard).rename_columns(["number"])
    write_part(tmp_path, shard, other, Report(2, 2), "f")
    parts = Parts(tmp_path, "f")
    with pytest.raises(RunError, match="has other columns than") as caught:
        parts.table()
    assert caught.value.code == ErrorCode.ROWS_LOST
    with pytest.raises(RunError, match="has other columns than"):
        parts.compact()


def test_footers_of_older_versions_have_no_digest_and_count(tmp_path: Path) -> None:
    path = put(tmp_path, 0, 5)
    rows = pq.read_table(path)
    kept = {key: value for key, value in rows.schema.metadata.items() if key != b"goldilocks.digest"}
    assert len(kept) == len(rows.schema.metadata) - 1
    pq.write_table(rows.replace_schema_metadata(kept), path)
    assert Parts(tmp_path, "f").scan().shards == [Shard(0, 5)]


def test_footers_are_read_once_until_their_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    original = pq.read_metadata

    def counted(path: Path) -> object:
        read.append(path)
        return original(path)

    monkeypatch.setattr(pq, "read_metadata", counted)
    first, second = put(tmp_path, 0, 5), put(tmp_path, 5, 7)
    parts = Parts(tmp_path, "f")
    for _ in range(3):
        assert parts.scan().rows == 7
    assert read == [first, second]
    second.write_bytes(b"cut short")
    assert parts.scan().untrusted == (second,)
    assert read == [first, second, second]


def test_a_folder_with_the_name_of_a_part(tmp_path: Path) -> None:
    put(tmp_path, 0, 5)
    (tmp_path / "part-0000000005-0000000007.parquet").mkdir()
    parts = Parts(tmp_path, "f")
    assert parts.scan().rows == 5
    with pytest.raises(RunError, match="remove what is in the way") as caught:
        parts.sweep()
    assert caught.value.code == ErrorCode.WRITE_FAILED


def test_a_foreign_parquet_file_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "part-0000000000-0000000003.parquet"
    pq.write_table(table(Shard(0, 3)), path)
    assert Parts(tmp_path, "f").scan() == Scan((), (path,), ())


def test_of_overlapping_parts_the_whole_one_is_kept(tmp_path: Path) -> None:
    whole = put(tmp_path, 0, 8)
    pieces = [put(tmp_path, 0, 4), put(tmp_path, 4, 8)]
    after = put(tmp_path, 8, 9)
    found = Parts(tmp_path, "f").scan()
    assert [part.path for part in found.parts] == [whole, after]
    assert sorted(found.untrusted) == sorted(pieces)


def test_sweep_removes_leftovers_and_nothing_else(tmp_path: Path) -> None:
    good = put(tmp_path, 0, 2)
    left = tmp_path / ".part-0000000002-0000000004.parquet.17-ab.tmp"
    left.write_bytes(b"half")
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    bad = put(tmp_path, 4, 5, "other")
    assert Parts(tmp_path, "f").sweep().untrusted == (bad,)
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
    for start, stop in ((1000, 1003), (0, 1000), (1003, 1004)):
        put(tmp_path, start, stop)
    assert Parts(tmp_path, "f").table()["row"].to_pylist() == list(range(1004))


def test_no_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no results"):
        Parts(tmp_path, "f").table()


def test_a_report_survives_its_own_json() -> None:
    report = Report(3, 2, Counter({"A": 1}), Counter(flag=2), {"read": 0.25}, Counter({"n_kpoints": 7}), 9)
    assert Report.from_json(report.to_json()) == report
    with pytest.raises(ValueError, match="not a report"):
        Report.from_json("{}")
    with pytest.raises(ValueError, match="not a report"):
        Report.from_json("[1]")
