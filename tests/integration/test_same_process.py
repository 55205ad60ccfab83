"""Several runs in one process, and runs in forks of a process that has had one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from goldilocks_batch import read_results, run
from tests.integration.runs import Recorder, command, config, wait_for_parts

FORK = """
import os, sys
from pathlib import Path
from goldilocks_batch import run
from tests.integration.runs import config

manifest, folder = Path(sys.argv[1]), Path(sys.argv[2])
if __name__ == "__main__":
    run(config(manifest, folder / "parent"))
    child = os.fork()
    summary = run(config(manifest, folder / ("parent-again" if child else "child")))
    assert summary.state == "completed", summary
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""

LIGHT = """
import sys
from goldilocks_batch import RunConfig, run

run(RunConfig(inputs=(sys.argv[1],), output=sys.argv[2], model="mc3d", executor="serial"))
sys.exit(", ".join({"pandas", "matminer", "torch", "sklearn"} & sys.modules.keys()) or 0)
"""


def test_runs_in_threads_leave_each_other_alone(manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    recorders = [Recorder() for _ in range(3)]
    pq.write_table(pq.read_table(manifest).slice(0, 10), tmp_path / "short.parquet")

    def one(index: int) -> int:
        inputs = manifest if index else tmp_path / "short.parquet"  # which is done long before the others
        return run(config(inputs, tmp_path / f"run-{index}"), observer=recorders[index]).rows

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, range(3))) == [10, 600, 600]
    assert [recorder.warnings for recorder in recorders] == [[], [], []]  # no child was lost
    for index in (1, 2):
        assert read_results(tmp_path / f"run-{index}").equals(read_results(undisturbed))


@pytest.mark.slow
def test_a_fork_of_a_process_that_had_a_run_can_have_one(
    manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", FORK, str(manifest), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    for name in ("parent", "parent-again", "child"):
        assert read_results(tmp_path / name).equals(read_results(undisturbed))


@pytest.mark.slow
def test_the_temporary_folder_of_a_killed_run_goes_with_the_next(manifest: Path, tmp_path: Path) -> None:
    base = tmp_path / "tmp"
    base.mkdir()
    environment = {**os.environ, "TMPDIR": str(base)}
    arguments = command(manifest, tmp_path / "run", log=tmp_path / "log", pause=0.2)
    client = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)
    wait_for_parts(tmp_path / "run", 2, client, seconds=300.0)  # kernels may have to be compiled
    client.kill()
    client.wait()
    assert len(list(base.glob("goldilocks-run-*"))) == 1
    subprocess.run(arguments, env=environment, check=False, capture_output=True)
    assert list(base.glob("goldilocks-run-*")) == []


def test_a_run_with_the_model_in_the_package_imports_no_large_library(examples: Path, tmp_path: Path) -> None:
    """Each process of a run would lose 0.2 s and more to any of them."""
    program = [sys.executable, "-c", LIGHT, str(examples), str(tmp_path / "run")]
    done = subprocess.run(program, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
