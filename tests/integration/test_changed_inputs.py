"""Inputs that change while a run reads them, or between two runs: never two data sets under one name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch import RunConfig, read_results, run
from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.execution.executor import Lost
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.runs.attempt import begun
from goldilocks_batch.structures.sources import row_groups, state
from tests.integration.runs import Recorder

CIF = "data_x\n_cell_length_a {}\n" + "".join(f"_cell_length_{axis} 4.0\n" for axis in "bc")
CIF += "".join(f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma"))
CIF += "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nFe1 0 0 0\n"


def config(inputs: Path, output: Path, **options: object) -> RunConfig:
    values = {"inputs": [inputs], "output": output, "model": "baseline", "executor": "serial"}
    return RunConfig.model_validate({**values, "shard_size": 10, **options})


def make_manifest(path: Path, length: float = 4.0) -> Path:
    columns = {"id": [f"id-{row}" for row in range(40)], "cif": [CIF.format(length)] * 40}
    pq.write_table(pa.table(columns), path, row_group_size=10, compression="none", use_dictionary=False)
    return path


def make_folder(path: Path) -> Path:
    path.mkdir()
    for index in range(40):
        (path / f"{index:02d}.cif").write_text(CIF.format("4.0"))
    return path


def same_times(path: Path, about: os.stat_result) -> None:
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


class Meddler(Recorder):
    """Does something once the first part is there."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        super().__init__()
        self._meddle = meddle

    def advanced(self, report: Report) -> None:
        if not self.reports:
            self._meddle()
        super().advanced(report)


def replaced(path: Path, *, unseen: bool) -> None:
    """Another manifest in a manifest's place; unseen, with the same size and time of change."""
    about = path.stat()
    make_manifest(path.with_suffix(".new"), 5.0 if unseen else 5.25)
    path.with_suffix(".new").rename(path)
    if unseen:
        same_times(path, about)
        assert path.stat().st_size == about.st_size


@pytest.mark.parametrize("unseen", [False, True])
def test_a_manifest_replaced_in_mid_run_ends_it(unseen: bool, tmp_path: Path) -> None:
    manifest, output = make_manifest(tmp_path / "m.parquet"), tmp_path / "run"
    with pytest.raises(RunError, match=r"m\.parquet has changed since the run began") as caught:
        run(config(manifest, output), observer=Meddler(lambda: replaced(manifest, unseen=unseen)))
    assert caught.value.code == ErrorCode.INPUT_CHANGED
    parts = len(list((output / "results").glob("part-*.parquet")))
    assert parts == (4 if unseen else 1)  # what is seen is seen before it is read
    assert json.loads((output / "run.json").read_text())["state"] == "failed"
    with pytest.raises(RunError, match="different run"):
        run(config(manifest, output))


def test_a_file_of_a_folder_replaced_in_mid_run_ends_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "cifs")
    meddler = Meddler(lambda: (folder / "00.cif").write_text(CIF.format("5.0")))
    with pytest.raises(RunError, match="cifs has changed since the run began") as caught:
        run(config(folder, tmp_path / "run"), observer=meddler)
    assert caught.value.code == ErrorCode.INPUT_CHANGED


@pytest.mark.parametrize("kind", ["manifest", "folder", "archive"])
def test_what_is_only_touched_is_the_same_in_mid_run_and_later(kind: str, tmp_path: Path) -> None:
    inputs = make_manifest(tmp_path / "m.parquet") if kind == "manifest" else make_folder(tmp_path / "cifs")
    if kind == "archive":
        inputs = Path(shutil.make_archive(str(tmp_path / "cifs"), "gztar", inputs))
    files = [inputs] if inputs.is_file() else sorted(inputs.iterdir())

    def touch() -> None:
        for path in files:
            os.utime(path, (1e9, 1e9))

    summary = run(config(inputs, tmp_path / "run"), observer=Meddler(touch))
    assert (summary.state, summary.report.ok, summary.computed) == ("completed", 40, 40)
    for path in files:
        path.touch()
    assert run(config(inputs, tmp_path / "run")).computed == 0


def test_files_that_come_while_a_run_goes_on_are_not_its_own(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "cifs")
    meddler = Meddler(lambda: (folder / "new.cif").write_text("none"))
    assert run(config(folder, tmp_path / "run"), observer=meddler).rows == 40


def test_a_change_that_size_and_time_do_not_tell_is_seen_in_the_content(tmp_path: Path) -> None:
    folder, output = make_folder(tmp_path / "cifs"), tmp_path / "run"
    run(config(folder, output))
    about = (folder / "07.cif").stat()
    (folder / "07.cif").write_text(CIF.format("5.0"))
    same_times(folder / "07.cif", about)
    with pytest.raises(RunError, match=r"inputs\[0\]\.digest was") as caught:
        run(config(folder, output))
    assert caught.value.code == ErrorCode.RESUME_REFUSED


def test_where_only_sizes_and_times_are_compared_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_MODEST_FILES", 39)
    folder, output, said = make_folder(tmp_path / "cifs"), tmp_path / "run", Recorder()
    run(config(folder, output), observer=said)
    assert said.warnings == []
    record = json.loads((output / "run.json").read_text())
    assert record["inputs"][0]["digest_of"] == "sizes and times of change"
    run(config(folder, output), observer=said)
    assert len(said.warnings) == 1
    assert "cifs: sizes and times of change are as they were" in said.warnings[0]
    (folder / "07.cif").touch()
    with pytest.raises(RunError, match=r"inputs\[0\]\.digest was"):
        run(config(folder, output))


def test_who_gives_a_row_up_does_not_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = make_manifest(tmp_path / "m.parquet")
    with begun(config(manifest, tmp_path / "run")) as (assignment, record):
        monkeypatch.setattr(row_groups, "decoder", None)  # whoever decodes fails
        (tmp_path / "run" / "results").mkdir()
        for row in range(40):
            assignment.give_up(Lost(Shard(row, row + 1), ErrorCode.WORKER_CRASH, "crashed"))
        record.end("completed", assignment.parts.scan().report)
    table = read_results(tmp_path / "run")
    assert table["id"].to_pylist() == [f"id-{row}" for row in range(40)]
    assert table["source"].to_pylist() == [f"{manifest}:{row}" for row in range(40)]
    assert set(table["error_code"].to_pylist()) == {"WORKER_CRASH"}


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_rows_that_cannot_be_read_cost_themselves_alone(executor: str, tmp_path: Path) -> None:
    texts = [CIF.format("4.0").encode() for _ in range(50)]
    texts[11] = b"# caf\xe9\n" + texts[11]
    ids: list[bytes | None] = [f"id-{row}".encode() for row in range(50)]
    ids[23], ids[31] = b"caf\xe9", None
    arrays = []
    for values in (ids, texts):
        array = pa.array(values, pa.binary())
        arrays.append(pa.Array.from_buffers(pa.string(), 50, array.buffers()))
    pq.write_table(pa.table(arrays, ["id", "cif"]), tmp_path / "m.parquet")
    summary = run(config(tmp_path / "m.parquet", tmp_path / "run", executor=executor, workers=2))
    assert (summary.rows, summary.report.ok) == (50, 48)
    assert summary.report.failures == {"ID_INVALID": 1, "NULL_VALUE": 1}
    expected = [f"id-{row}" for row in range(50)]
    expected[23], expected[31] = "caf\\xe9", "m:31"
    assert read_results(tmp_path / "run")["id"].to_pylist() == expected
