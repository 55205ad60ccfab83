"""Whole runs: every row accounted for, the same table from every executor, resumed or undisturbed."""

from __future__ import annotations

import json
import shutil
import stat
from contextlib import AbstractContextManager
from pathlib import Path

import dask
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch import RunConfig, load_config, read_results, run
from goldilocks_batch.core.errors import ConfigError, ErrorCode, RunError
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.schema import result_schema
from tests.logged import warnings_from_now


def impatient() -> AbstractContextManager[object]:
    """With a scheduler that is not there; else Dask waits for half a minute."""
    found: AbstractContextManager[object] = dask.config.set({"distributed.comm.timeouts.connect": "2s"})
    return found


class Recorder:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.rows = self.done = 0
        self.reports: list[Report] = []
        self.warnings = warnings_from_now()

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        self.rows, self.done, self.dashboard = rows, done, dashboard

    def advanced(self, report: Report) -> None:
        self.reports.append(report)


def config(*inputs: Path, output: Path, **options: object) -> RunConfig:
    defaults: dict[str, object] = {"model": "baseline", "executor": "serial", "shard_size": 64}
    return RunConfig.model_validate({"inputs": inputs, "output": output, **defaults, **options})


@pytest.fixture(scope="module")
def undisturbed(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    run(config(manifest, output=output))
    return output


def test_one_row_for_every_structure(undisturbed: Path, manifest: Path) -> None:
    table = read_results(undisturbed)
    assert table["id"].to_pylist() == pq.read_table(manifest)["id"].to_pylist()
    assert table["row"].to_pylist() == list(range(600))
    assert table.schema.equals(result_schema())
    assert set(table["status"].to_pylist()) <= {"ok", "failed"}
    ok = table.filter(pa.compute.equal(table["status"], "ok"))
    assert ok.num_rows > 500
    for name in ("mesh", "primitive_mesh", "n_kpoints_irreducible", "aiida_mesh", "kdist_lower", "formula"):
        assert ok[name].null_count == 0
    failed = table.filter(pa.compute.equal(table["status"], "failed"))
    assert failed["error_code"].null_count == 0


def test_the_record_tells_what_was_done(undisturbed: Path) -> None:
    record = json.loads((undisturbed / "run.json").read_text())
    assert record["state"] == "completed"
    assert record["rows"] == record["counts"]["rows"] == 600
    assert record["config"]["model"] == "baseline"
    assert record["inputs"][0]["rows"] == 600
    assert record["versions"]["pymatgen"]
    assert record["attempts"][0]["rows"] == 600
    assert {"read", "check", "primitive", "symmetry", "mesh"} <= record["counts"]["seconds"].keys()


def test_local_cluster_gives_the_same_table(undisturbed: Path, manifest: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    summary = run(config(manifest, output=tmp_path / "run", executor="local", workers=2), observer=recorder)
    assert summary.state == "completed"
    assert read_results(tmp_path / "run").equals(read_results(undisturbed))
    assert sum(report.rows for report in recorder.reports) == 600
    assert recorder.dashboard is None  # it answers every user of the machine


def test_shard_size_does_not_change_the_table(undisturbed: Path, manifest: Path, tmp_path: Path) -> None:
    run(config(manifest, output=tmp_path / "run", shard_size=7))
    assert read_results(tmp_path / "run").equals(read_results(undisturbed))


def test_a_finished_run_asks_for_no_workers(undisturbed: Path, manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(undisturbed, output)
    nobody = {"cluster": "tcp://127.0.0.1:1", "shard_size": 10}
    assert run(config(manifest, output=output, **nobody)).state == "completed"
    next((output / "results").glob("part-*")).unlink()
    with impatient(), pytest.raises(RunError, match="cannot reach the Dask scheduler"):
        run(config(manifest, output=output, **nobody))


def test_a_run_that_came_to_nothing_is_not_in_the_way(
    undisturbed: Path, manifest: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    with impatient(), pytest.raises(RunError, match="cannot reach the Dask scheduler"):
        run(config(manifest, output=output, cluster="tcp://127.0.0.1:1", confidence=0.9))
    assert run(config(manifest, output=output, executor="serial")).state == "completed"
    assert read_results(output).equals(read_results(undisturbed))
    with pytest.raises(RunError, match=r"confidence was 0\.95, is 0\.9"):
        run(config(manifest, output=output, executor="serial", confidence=0.9))


def test_many_files_are_compacted_at_the_end_of_a_run(
    undisturbed: Path, manifest: Path, tmp_path: Path
) -> None:
    for above, files in ((60, 60), (59, 1)):
        output = tmp_path / str(above)
        options = {"executor": "serial", "shard_size": 10, "compact_above": above}
        assert run(config(manifest, output=output, **options)).report.rows == 600
        assert len(list((output / "results").iterdir())) == files
        assert read_results(output).equals(read_results(undisturbed))
        again = run(config(manifest, output=output, **options))
        assert (again.state, again.computed) == ("completed", 0)


def test_a_finished_run_computes_nothing_again(undisturbed: Path, manifest: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (undisturbed / "results").iterdir()}
    summary = run(config(manifest, output=undisturbed))
    assert (summary.computed, summary.report.rows) == (0, 600)
    assert before == {path.name: path.stat().st_mtime_ns for path in (undisturbed / "results").iterdir()}


def test_missing_and_damaged_parts_are_computed_again(
    undisturbed: Path, manifest: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(undisturbed, output)
    parts = sorted((output / "results").iterdir())
    parts[0].unlink()
    parts[3].write_bytes(parts[3].read_bytes()[:-20])
    recorder = Recorder()
    summary = run(config(manifest, output=output, shard_size=50), observer=recorder)
    assert summary.computed == 600 - recorder.done
    assert 100 <= summary.computed <= 128
    assert any("damaged" in warning for warning in recorder.warnings)
    assert read_results(output).equals(read_results(undisturbed))


def test_another_confidence_is_refused_and_overwrite_begins_anew(
    undisturbed: Path, manifest: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(undisturbed, output)
    other = config(manifest, output=output, confidence=0.85)
    with pytest.raises(RunError, match=r"confidence was 0\.95, is 0\.85") as caught:
        run(other)
    assert caught.value.code == ErrorCode.RESUME_REFUSED
    summary = run(other.updated(overwrite=True))
    assert summary.computed == 600
    assert set(read_results(output)["confidence"].to_pylist()) == {0.85}


def test_a_changed_manifest_is_refused(manifest: Path, tmp_path: Path) -> None:
    copy = tmp_path / "m.parquet"
    table = pq.read_table(manifest)
    pq.write_table(table.slice(0, 50), copy)
    run(config(copy, output=tmp_path / "run"))
    pq.write_table(table.slice(1, 50), copy)
    with pytest.raises(RunError, match="digest"):
        run(config(copy, output=tmp_path / "run"))


def test_a_moved_manifest_is_the_same_input(manifest: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pq.read_table(manifest).slice(0, 50), first)
    run(config(first, output=tmp_path / "run"))
    first.rename(second)
    assert run(config(second, output=tmp_path / "run")).computed == 0


def test_an_output_folder_with_other_things_in_it_is_refused(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("…")
    with pytest.raises(RunError, match=r"thesis\.tex") as caught:
        run(config(manifest, output=tmp_path))
    assert caught.value.code == ErrorCode.OUTPUT_EXISTS


def test_the_same_folder_twice_with_the_output_in_it(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(examples, tmp_path / "in")
    monkeypatch.chdir(tmp_path / "in")
    here = RunConfig.model_validate({"inputs": [Path()], "model": "baseline", "executor": "serial"})
    first = run(here)
    assert first.output.absolute().parent == tmp_path / "in"
    again = run(here)
    assert (again.rows, again.computed, again.state) == (first.rows, 0, "completed")


def test_a_run_whose_record_is_damaged_goes_on_once_that_is_removed(
    undisturbed: Path, manifest: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(undisturbed, output)
    (output / "run.json").write_text((output / "run.json").read_text()[:-100])
    with pytest.raises(RunError, match="remove it and run the same command again") as caught:
        run(config(manifest, output=output))
    assert caught.value.code == ErrorCode.RESUME_REFUSED
    (output / "run.json").unlink()
    summary = run(config(manifest, output=output))
    assert (summary.computed, summary.report.rows) == (0, 600)
    (output / "run.json").unlink()
    with pytest.raises(RunError, match="results of a different run"):
        run(config(manifest, output=output, confidence=0.9))
    assert run(config(manifest, output=output)).computed == 0


def test_two_runs_do_not_share_a_folder(manifest: Path, tmp_path: Path) -> None:
    import fcntl

    output = tmp_path / "run"
    output.mkdir()
    with (output / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another run, or the tasks of a job array, are writing"):
            run(config(manifest, output=output))


def test_others_cannot_read_what_a_run_writes(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "open"
    output.mkdir(mode=0o755)  # the user's own choice is left as it is, what is in it is not for others
    new = tmp_path / "new"
    for folder in (output, new):
        run(config(manifest, output=folder))
    assert stat.S_IMODE(output.stat().st_mode) == 0o755
    assert not stat.S_IMODE(new.stat().st_mode) & stat.S_IRWXO
    files = [path for path in output.rglob("*") if path.is_file() and path.stat().st_size]
    assert {path.suffix for path in files} == {".parquet", ".json"}
    assert not [path for path in files if stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO]


def test_no_input_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no inputs"):
        run(config(output=tmp_path / "run"))


def test_bad_rows_fail_alone(examples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(examples, folder)
    (folder / "broken.cif").write_text("data_broken\n_cell_length_a 3.0\n")
    (folder / "empty.cif").write_text("")
    summary = run(config(folder, output=tmp_path / "run"))
    table = read_results(tmp_path / "run").to_pylist()
    failed = {row["id"]: row for row in table if row["status"] == "failed"}
    assert set(failed) == {"broken", "empty"}
    assert all(
        row["error_code"] and row["error_message"] and row["stage"] == "read" for row in failed.values()
    )
    assert summary.report.ok == len(table) - 2
    graphene = next(row for row in table if row["id"] == "C-graphene")
    assert "low_dimensional" in graphene["flags"]
    assert graphene["mesh"][2] == 1


def test_the_python_interface_takes_paths_as_text(examples: Path, tmp_path: Path) -> None:
    file, output = tmp_path / "c.yaml", tmp_path / "run"
    file.write_text("executor: serial\nmodel: baseline\n")
    options = load_config(str(file)).updated(inputs=str(examples / "MgO.cif"), output=str(output))
    assert run(options).report.ok == 1
    assert read_results(str(output)).equals(read_results(output))
