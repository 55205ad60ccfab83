"""Convergence studies with Quantum ESPRESSO on a real SLURM, whose jobs end in the middle of studies.

A rung that is finished is calculated once, whatever ends: a script before ``pw.x`` counts how often each is
begun.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from ase.build import bulk
from ase.io import write

from goldilocks_batch.training.protocols import ended_of
from tests.slurm.single_node import Slurm

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.qe,
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.usefixtures("slurm"),
]

ROOT = Path(__file__).resolve().parents[2]
#: Crystals whose studies have some ten rungs each, of a second or so.
CRYSTALS = {
    "Al": bulk("Al", a=4.05),
    "Al-dense": bulk("Al", a=3.8),
    "Si": bulk("Si", a=5.43),
}
#: Counts a calculation before it begins, takes its time, then becomes pw.x.
COUNTING = """#!/bin/sh
if [ -f espresso.pwi ]; then
    echo $(basename "$(dirname "$PWD")") $(grep -A1 K_POINTS espresso.pwi | tail -1) >>{log}
    sleep {pause}
fi
exec {pw} "$@"
"""


@dataclass(frozen=True)
class Studies:
    """Studies in a folder of a test, and what there is of them."""

    base: Path

    @property
    def output(self) -> Path:
        return self.base / "studies"

    def command(self, *options: str) -> list[str]:
        program = [sys.executable, "-m", "goldilocks_batch.cli.app", "converge"]
        return [*program, "-c", str(self.base / "converge.json"), *options]

    def begin(self, *options: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(*options), cwd=self.base, stdout=pipe, stderr=pipe, text=True)

    def begun(self) -> Counter[str]:
        """How often each rung was begun, by its study and its mesh."""
        log = self.base / "begun"
        return Counter(log.read_text().splitlines()) if log.exists() else Counter()

    def rungs(self) -> dict[str, str]:
        """Finished rungs, by study and mesh, and what is written of each."""
        found = {}
        for path in self.output.glob("studies/*/rung-*.json"):
            text = path.read_text()
            mesh = " ".join(str(n) for n in json.loads(text)["mesh"])
            found[f"{path.parent.name} {mesh} 0 0 0"] = text
        return found

    def running(self) -> list[psutil.Process]:
        """Processes that calculate below the folder."""
        found = []
        for process in psutil.process_iter(["name"]):
            try:
                if process.info["name"] == "pw.x" and Path(process.cwd()).is_relative_to(self.output):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def wait_for(self, there: Callable[[], bool], seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < deadline, (self.begun(), len(self.rungs()))
            time.sleep(0.02)

    def check(self, interrupted: dict[str, str], ends: int) -> None:
        """All studies have their labels, and no finished rung was calculated again.

        Args:
            interrupted: rungs that were finished when jobs were ended.
            ends: how many calculations may have been ended in the middle, and begun again.
        """
        table = pq.read_table(self.output / "studies.parquet")
        rows = table.to_pylist()
        assert sorted((row["id"], row["status"]) for row in rows) == [(name, "label") for name in CRYSTALS]
        assert ended_of(self.output / "studies.parquet") is None
        rungs, begun = self.rungs(), self.begun()
        assert {rung: rungs[rung] for rung in interrupted} == interrupted
        assert {rung: begun[rung] for rung in interrupted} == dict.fromkeys(interrupted, 1)
        assert set(begun) == set(rungs), "a rung that nobody wanted was calculated"
        assert len(rungs) == sum(len(row["ladder"]) for row in rows)
        assert begun.total() - len(rungs) <= ends
        assert not self.running()


@pytest.fixture
def studies(shared: Path, tmp_path: Path) -> Studies:
    give_up = pytest.fail if os.environ.get("GOLDILOCKS_NEED_QE") else pytest.skip
    pw = shutil.which("pw.x")
    if pw is None:
        give_up("Quantum ESPRESSO is not installed here: make test-qe")
    (tmp_path / "structures").mkdir()
    for name, atoms in CRYSTALS.items():
        write(tmp_path / "structures" / f"{name}.cif", atoms)
    counting = tmp_path / "pw-counting"
    counting.write_text(COUNTING.format(log=tmp_path / "begun", pause=0.5, pw=pw))
    counting.chmod(0o755)
    request = {"memory": "1GB", "cores": 1, "walltime": "00:10:00"}
    values: dict[str, Any] = {
        "inputs": [str(tmp_path / "structures")],
        "output": str(tmp_path / "studies"),
        "executor": "slurm",
        "jobs": 2,
        "slurm": {"interface": "lo", "requests": request},
        "tolerances": [40.0, 15.0],
        "ladder": {"start": 1.3},
        "code": {
            "command": str(counting),
            "pseudo_dir": str(shared / "pseudo"),
            # a number of bands of its own: no mesh is calculated again because there are too few
            "parameters": {"ecutwfc": 12.0, "nbnd": 12},
            "degauss": 0.15,
            "conv_thr": 1e-6,
        },
    }
    (tmp_path / "converge.json").write_text(json.dumps(values))
    return Studies(tmp_path)


def end(client: subprocess.Popen[str], seconds: float = 120.0) -> str:
    """Wait for a client that is to end well; what it said."""
    try:
        out, err = client.communicate(timeout=seconds)
    finally:
        client.kill()
    assert client.returncode == 0, out + err
    return out + err


def test_a_job_is_cancelled_in_the_middle_of_a_study(slurm: Slurm, studies: Studies) -> None:
    client = studies.begin()
    studies.wait_for(lambda: len(studies.rungs()) >= 3 and len(studies.running()) == 2)
    first, *others = slurm.jobs("running")
    assert others
    before = studies.rungs()
    slurm.ask("scancel", first)
    told = end(client)
    assert "3 labels" in told
    assert "tried again" not in told, "the end of a job was charged to a study"
    studies.check(before, 1)


def test_all_jobs_and_the_client_among_them_are_cancelled(slurm: Slurm, studies: Studies) -> None:
    script = ROOT / "configs" / "sbatch-client.sh"
    client = ["sbatch", "--parsable", "--mem=1G", "--time=10", f"--output={studies.base}/%j.log", str(script)]
    client += ["converge", "--config", str(studies.base / "converge.json")]
    slurm.ask(*client)
    studies.wait_for(lambda: len(studies.rungs()) >= 3 and len(studies.running()) == 2)
    before = studies.rungs()
    slurm.ask("scancel", *slurm.jobs())
    slurm.wait_until_empty(60)
    assert not studies.running()
    before |= studies.rungs()
    assert not list(studies.output.glob("results/*.parquet"))
    slurm.ask(*client)
    slurm.wait_until_empty(180)
    studies.check(before, 2)
    attempts = json.loads((studies.output / "run.json").read_text())["attempts"]
    assert [attempt["state"] for attempt in attempts] == ["interrupted", "completed"]


def test_tasks_of_an_array_reach_their_walltime(slurm: Slurm, studies: Studies) -> None:
    told = end(studies.begin("--array"))
    assert "2 tasks" in told
    studies.wait_for(lambda: len(studies.rungs()) >= 3 and len(studies.running()) == 2)
    for job in slurm.jobs("running"):
        slurm.ask("scontrol", "update", f"JobId={job}", "EndTime=now")
    slurm.wait_until_empty(120)
    assert not studies.running()
    before = studies.rungs()
    program = [sys.executable, "-m", "goldilocks_batch.cli.app"]
    done = subprocess.run(
        [*program, "collect", str(studies.output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    studies.check(before, 2)
