"""What the commands tell of a site, and the configuration they write for it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from goldilocks_batch.config.run import load_config
from goldilocks_batch.execution.slurm.site import partitions

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm")]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "goldilocks_batch.cli.app", *arguments]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_partitions_are_read() -> None:
    found = {partition.name: partition for partition in partitions()}
    assert set(found) == {"main", "other"}
    assert found["main"].default
    assert (found["main"].cores, found["main"].gpus, found["main"].walltime) == (2, 1, 3600)
    assert found["main"].memory == 6000 * 2**20


def test_the_configuration_written_for_the_site_works_there(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    done = command("cluster", "init", "-o", str(path))
    assert done.returncode == 0, done.stderr
    config = load_config(path)
    assert config.executor == "slurm"
    (request,) = config.slurm.requests
    assert (request.partition, request.cores, request.gpus) == ("main", 2, 0)
    text = path.read_text()
    # the GPU part, taken out of its comment
    path.write_text(re.sub("(?m)^  # ", "  ", text))
    assert [request.gpus for request in load_config(path).slurm.requests] == [0, 1]
    assert command("cluster", "init", "-o", str(path)).returncode == 2, "an existing file was replaced"


def test_the_doctor_finds_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("executor: slurm\nmodel: baseline\nslurm: {requests: {partition: main}}\n")
    told = command("doctor", "-c", str(path), "-o", str(tmp_path)).stdout
    assert "ok       SLURM: partitions main (1 nodes of 2 cores" in told
    assert "ok       jobs of request 1: can run here" in told
    path.write_text("executor: slurm\nmodel: baseline\nslurm: {requests: {partition: nowhere}}\n")
    done = command("doctor", "-c", str(path), "-o", str(tmp_path))
    assert done.returncode == 2
    assert "problem  jobs of request 1: SLURM: no partition 'nowhere' here" in done.stdout


def test_a_dry_run_submits_and_writes_nothing(tmp_path: Path) -> None:
    structures = str(Path(__file__).resolve().parents[2] / "examples" / "structures")
    path = tmp_path / "c.yaml"
    path.write_text('executor: slurm\nmodel: baseline\njobs: 3\nslurm: {requests: {walltime: "02:00"}}\n')
    output = tmp_path / "run"
    done = command("run", structures, "-c", str(path), "-o", str(output), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "150 rows, 150 to do in 1 shards" in done.stdout
    assert "request 1, jobs: 1 of 3, there is no work for more" in done.stdout
    assert f"--tls-key {output}/.private/key.pem" in done.stdout
    more = command("run", structures, "-c", str(path), "-o", str(output), "--shard-size", "10", "--dry-run")
    assert "request 1, jobs: 3 ---" in more.stdout
    assert "#SBATCH -t 02:00\n" in done.stdout
    assert "--lifetime 110s" in done.stdout
    path.write_text("executor: slurm\nmodel: baseline\nslurm: {requests: {partition: nowhere}}\n")
    refused = command("run", structures, "-c", str(path), "-o", str(output), "--dry-run")
    assert refused.returncode == 2
    assert "no partition 'nowhere' here" in refused.stderr
    assert not output.exists()
