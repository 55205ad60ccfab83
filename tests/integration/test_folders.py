"""Commands about a run's folder: how far it is, completing it, compacting it, and whether one could begin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from goldilocks_batch import read_results
from tests.integration.runs import command

ROOT = Path(__file__).resolve().parents[2]


def goldilocks(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "goldilocks_batch.cli.app", *arguments]
    found = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    environment = os.environ | {"PYTHONPATH": found}
    return subprocess.run(program, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def unfinished(undisturbed: Path, folder: Path, state: str = "running", ago: float = 0.0) -> Path:
    """A run that was killed, or ended as told, with 30 of its rows missing, so many seconds ago."""
    output = folder / "run"
    shutil.copytree(undisturbed, output)
    for part in sorted((output / "results").iterdir())[10:13]:
        part.unlink()
    record = json.loads((output / "run.json").read_text())
    began = datetime.now(UTC) - timedelta(seconds=ago + 60)
    ended = {} if state in ("running", "submitted") else {"rows": 570, "seconds": 60.0}
    record["state"] = state
    record["attempts"] = [{"started": began.isoformat(timespec="seconds"), "state": state, **ended}]
    record["counts"]["rows"] = 0
    for part in (output / "results").iterdir():
        os.utime(part, times=(time.time() - ago,) * 2)
    (output / "run.json").write_text(json.dumps(record))
    return output


def test_status_tells_how_far_a_killed_run_is(undisturbed: Path, tmp_path: Path) -> None:
    output = unfinished(undisturbed, tmp_path)
    (output / "results" / "part-0000000100-0000000110.parquet").write_bytes(b"cut short")
    told = goldilocks("status", str(output))
    assert told.returncode == 1
    assert "570 of 600 rows (95.0%)" in told.stdout
    assert "1 files are damaged or double" in told.stdout
    assert "last result" in told.stdout
    assert "to go on" not in told.stdout
    refused = goldilocks("status", str(tmp_path))
    assert refused.returncode == 2
    assert "not the folder of a run" in refused.stderr


@pytest.mark.parametrize(
    ("state", "silence", "attempt", "to_go_on"),
    [
        ("running", "no result for 2:00:", "running, 570 rows", "to go on, if nothing of it runs any more: "),
        ("submitted", "no result for 2:00:", "submitted as a job array, 570 rows", "to go on, if nothing "),
        (
            "interrupted",
            "last result 2:00:",
            "interrupted, 570 rows in 0:01:00",
            "to go on: the same command",
        ),
    ],
)
def test_status_of_what_has_stopped_says_how_to_go_on(
    undisturbed: Path, tmp_path: Path, state: str, silence: str, attempt: str, to_go_on: str
) -> None:
    output = unfinished(undisturbed, tmp_path, state, ago=7200)
    told = goldilocks("status", str(output)).stdout
    for text in (silence, attempt, to_go_on, f"again, or goldilocks-batch collect {output}\n"):
        assert text in told
    assert "left at that rate" not in told


def test_collect_completes_a_run_from_anywhere(undisturbed: Path, tmp_path: Path) -> None:
    output = unfinished(undisturbed, tmp_path)
    done = goldilocks("collect", "run", "--executor", "serial", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    assert "30 computed" in done.stdout
    assert read_results(output).equals(read_results(undisturbed))


def test_collect_finds_files_that_were_named_from_another_folder(examples: Path, tmp_path: Path) -> None:
    started, elsewhere = tmp_path / "started", tmp_path / "elsewhere"
    started.mkdir()
    elsewhere.mkdir()
    shutil.copytree(examples, started / "structures")
    shipped = ROOT / "goldilocks_batch" / "artifacts" / "shipped" / "mc3d"
    shutil.copytree(shipped, started / "model")
    done = goldilocks("run", "structures", "--model", "model", "-o", "run", cwd=started)
    assert done.returncode in (0, 1), done.stderr
    expected = read_results(started / "run")
    next((started / "run" / "results").iterdir()).unlink()
    done = goldilocks("collect", str(started / "run"), cwd=elsewhere)
    assert done.returncode in (0, 1), done.stderr
    assert read_results(started / "run").equals(expected)


def test_a_compacted_run_is_complete_and_finds_an_id_in_one_row_group(
    undisturbed: Path, manifest: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(undisturbed, output)
    done = goldilocks("compact", str(output))
    assert "60 result files before, 1 now" in done.stdout, done.stderr
    assert read_results(output).equals(read_results(undisturbed))
    (part,) = (output / "results").iterdir()
    ids = pq.read_table(part, columns=["id"])["id"].to_pylist()
    assert ids == sorted(ids)
    statistics = pq.ParquetFile(part).metadata.row_group(0).column(0).statistics
    assert (statistics.min, statistics.max) == (ids[0], ids[-1])
    again = subprocess.run(command(manifest, output), capture_output=True, text=True, check=False)
    assert again.returncode in (0, 1), again.stderr
    assert "computed" not in again.stdout


def test_the_doctor_says_what_is_missing(tmp_path: Path) -> None:
    configuration = tmp_path / "config.yaml"
    configuration.write_text("model: mc3d\n")
    fine = goldilocks("doctor", "-c", str(configuration), "-o", str(tmp_path / "run"))
    assert fine.returncode == 0, fine.stdout
    assert "ok       model: mc3d" in fine.stdout
    assert "file locks" in fine.stdout
    configuration.write_text("model: mc3d\ndevice: cuda\n")
    found = goldilocks("doctor", "-c", str(configuration), "-o", "/proc/nowhere/run")
    assert found.returncode == 2
    assert "problem  output: /proc" in found.stdout


def test_the_doctor_examines_the_model_that_is_named(tmp_path: Path) -> None:
    output = ("-o", str(tmp_path / "run"))
    assert "ok       model: baseline" in goldilocks("doctor", "--model", "baseline", *output).stdout
    unknown = goldilocks("doctor", "--model", "best", *output)
    assert unknown.returncode == 2
    assert "MODEL_UNKNOWN" in unknown.stdout
    empty = ("--model", "alignn", "--artifacts", str(tmp_path))
    assert (
        "note     model: alignn, not here and to be fetched" in goldilocks("doctor", *empty, *output).stdout
    )
    offline = goldilocks("doctor", *empty, "--offline", *output)
    assert offline.returncode == 2
    assert "ARTIFACT_MISSING" in offline.stdout
    registry = goldilocks("doctor", "--registry", str(tmp_path / "none.toml"), *output)
    assert registry.returncode == 2
    assert "REGISTRY_INVALID" in registry.stdout
