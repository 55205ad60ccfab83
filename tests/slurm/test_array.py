"""Runs as plain job arrays, and the client as a batch job."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from goldilocks_batch import read_results
from tests.slurm.single_node import Slurm, wait_for_parts

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

#: `pytest --log-cli-level=INFO` shows them.
FIGURES = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
REQUEST = {"memory": "1GB", "cores": 1, "walltime": "00:10:00"}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "goldilocks_batch.cli.app", *arguments]
    return subprocess.run(program, capture_output=True, text=True, check=False)


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    values = {
        "model": "baseline",
        "shard_size": 50,
        "jobs": 3,
        "slurm": {"interface": "lo", "requests": REQUEST},
    }
    path.write_text(json.dumps(values))
    return path


def test_an_array_does_it_all_and_collect_finds_nothing_missing(
    slurm: Slurm, manifest: Path, undisturbed: Path, configuration: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    arguments = ("array", str(manifest), "-c", str(configuration), "-o", str(output))
    planned = command(*arguments, "--dry-run")
    assert "2,000 rows, 2,000 to do in 40 shards" in planned.stdout, planned.stderr
    assert "#SBATCH --array=0-2\n" in planned.stdout
    assert not output.exists()
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads((output / "run.json").read_text())["state"] == "submitted"
    slurm.wait_until_empty(90)
    logs = sorted((output / "logs").iterdir())
    assert len(logs) == 3
    counts = [int(log.read_text().rsplit("\n", 2)[1].split()[0]) for log in logs]
    assert sum(counts) == 2000
    assert max(counts) - min(counts) <= 50
    assert "2,000 of 2,000 rows (100.0%)" in command("status", str(output)).stdout
    done = command("collect", str(output))
    assert done.returncode in (0, 1), done.stderr
    assert "2,000 of 2,000 rows" in done.stdout
    assert "computed in" not in done.stdout
    assert read_results(output).equals(read_results(undisturbed))


@pytest.mark.parametrize("how", ["collect", "run"])
def test_what_a_cancelled_task_left_is_completed(
    how: str,
    slurm: Slurm,
    manifest: Path,
    undisturbed: Path,
    configuration: Path,
    tmp_path: Path,
    structures_begun: Callable[[], int],
) -> None:
    output = tmp_path / "run"
    done = command("array", str(manifest), "-c", str(configuration), "-o", str(output))
    assert done.returncode == 0, done.stderr
    job = done.stdout.split()[2].rstrip(":")
    wait_for_parts(output, 4)
    slurm.ask("scancel", f"{job}_1")
    slurm.wait_until_empty(90)
    told = command("status", str(output)).stdout
    assert "2,000 of 2,000" not in told
    assert "submitted" in told
    again = ("run", str(manifest), "-c", str(configuration), "-o", str(output))
    done = command("collect", str(output)) if how == "collect" else command(*again)
    assert done.returncode in (0, 1), done.stderr
    assert "computed in" in done.stdout
    assert read_results(output).equals(read_results(undisturbed))
    twice = structures_begun() - 2000
    FIGURES.info("a task cancelled: %d structures begun twice", twice)
    assert twice <= 50, "one shard was in hand"


def test_more_tasks_than_an_array_may_have_are_refused(
    slurm: Slurm, manifest: Path, configuration: Path, tmp_path: Path
) -> None:
    arguments = ("array", str(manifest), "-c", str(configuration), "-o", str(tmp_path / "run"))
    for dry in ((), ("--dry-run",)):
        done = command(*arguments, "--jobs", "1500", "--shard-size", "1", *dry)
        assert done.returncode == 2
        told = " ".join(done.stderr.split())
        assert "1500 tasks asked for; an array may have 1001 here (MaxArraySize)" in told
    assert slurm.jobs() == []
    planned = command(*arguments, "--jobs", "1500", "--shard-size", "500", "--dry-run")
    assert "array, tasks: 4 of 1500, there is no work for more" in planned.stdout


def test_a_task_refuses_other_inputs_than_were_submitted(
    slurm: Slurm, manifest: Path, configuration: Path, tmp_path: Path
) -> None:
    copy, other = tmp_path / "m.parquet", tmp_path / "other.parquet"
    shutil.copy(manifest, copy)
    pq.write_table(pq.read_table(manifest).slice(0, 100), other)
    output = tmp_path / "run"
    command("array", str(copy), "-c", str(configuration), "-o", str(output))
    other.replace(copy)
    slurm.wait_until_empty(90)
    assert not list((output / "results").glob("part-*"))
    logs = "".join(log.read_text() for log in (output / "logs").iterdir())
    assert logs.count("RESUME_REFUSED") == 3, logs


def test_the_client_is_a_batch_job_itself(
    slurm: Slurm, manifest: Path, undisturbed: Path, configuration: Path, tmp_path: Path
) -> None:
    values = json.loads(configuration.read_text()) | {"executor": "slurm", "jobs": 1}
    configuration.write_text(json.dumps(values))
    output = tmp_path / "run"
    script = ROOT / "configs" / "sbatch-client.sh"
    log = tmp_path / "client.log"
    client = ["sbatch", "--parsable", "--mem=1G", "--time=10", f"--output={log}", str(script)]
    slurm.ask(*client, str(manifest), "--config", str(configuration), "--output", str(output))
    slurm.wait_until_empty(90)
    assert "2,000 of 2,000 rows" in log.read_text(), log.read_text()
    assert read_results(output).equals(read_results(undisturbed))


def test_a_cancelled_client_takes_its_jobs_along_and_is_resumed(
    slurm: Slurm,
    manifest: Path,
    undisturbed: Path,
    configuration: Path,
    tmp_path: Path,
    structures_begun: Callable[[], int],
) -> None:
    values = json.loads(configuration.read_text()) | {"executor": "slurm", "jobs": 1, "shard_size": 5}
    configuration.write_text(json.dumps(values))
    output = tmp_path / "run"
    script = ROOT / "configs" / "sbatch-client.sh"
    client = ["sbatch", "--parsable", "--mem=1G", "--time=10", f"--output={tmp_path}/%j.log", str(script)]
    client += [str(manifest), "--config", str(configuration), "--output", str(output)]
    job = slurm.ask(*client)
    wait_for_parts(output, 10)
    slurm.ask("scancel", job)
    slurm.wait_until_empty(60)
    before = len(list(output.glob("results/part-*.parquet")))
    assert 10 <= before < 400
    slurm.ask(*client)
    slurm.wait_until_empty(120)
    assert read_results(output).equals(read_results(undisturbed))
    attempts = json.loads((output / "run.json").read_text())["attempts"]
    assert [attempt["state"] for attempt in attempts] == ["interrupted", "completed"]
    assert attempts[1]["rows"] <= 2000 - 5 * before
    twice = structures_begun() - 2000
    FIGURES.info("client cancelled: %d structures begun twice", twice)
    assert twice <= 5, "one shard was in hand"
