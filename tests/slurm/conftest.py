"""A single-node SLURM of our own, stopped when the tests are done; where it can't be, they are skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goldilocks_batch import RunConfig, run
from tests.slurm.single_node import PROGRAMS, Slurm, start_daemons, stop, wait_until_idle

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    # where the suite was asked for by name, a test that cannot run has failed
    give_up = pytest.fail if os.environ.get("GOLDILOCKS_NEED_SLURM") else pytest.skip
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        give_up(f"SLURM is not installed here ({', '.join(missing)} missing): make test-slurm")
    if os.geteuid() != 0:
        give_up("a SLURM of our own is started as root")
    pytest.importorskip("cryptography")
    # short and open to the sockets' clients, which pytest's own folders are not
    folder = Path("/tmp") / f"goldilocks-slurm-{os.getpid()}"  # noqa: S108
    folder.mkdir(mode=0o755)
    running: list[subprocess.Popen[bytes]] = []
    try:
        running = start_daemons(folder)
        site = Slurm(folder, running)
        wait_until_idle(site)
        yield site
        for job in site.jobs():
            site.ask("scancel", job)
        site.wait_until_empty()
    finally:
        stop(running)
        os.environ.pop("SLURM_CONF", None)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def structures_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Counts the structures of all shards that processes of jobs have begun; jobs inherit the environment."""
    folder, log = tmp_path / "python", tmp_path / "begun"
    folder.mkdir()
    # Python runs this before anything else
    (folder / "sitecustomize.py").write_text(LOGGING.format(log=str(log)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    return lambda: sum(map(int, log.read_text().split()))


@pytest.fixture
def gpus_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in which every process that does shards in a job leaves which GPUs it sees, a line each."""
    folder, log = tmp_path / "python", tmp_path / "seen"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SEEING.format(log=str(log)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    return log


SEEING = """
import os, sys

if "goldilocks_batch.execution.child" in sys.orig_argv:
    with open({log!r}, "a") as log:
        print(os.environ["CUDA_VISIBLE_DEVICES"], file=log)
"""

LOGGING = """
import sys

if "goldilocks_batch.execution.child" in sys.orig_argv:
    from goldilocks_batch.execution import job as worker

    run_job = worker.run_job

    def logged(job):
        with open({log!r}, "a") as log:
            log.write(f"{{len(job.shard)}}\\n")
        return run_job(job)

    worker.run_job = logged
"""


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet manifest of 2,000 made-up structures."""
    path = tmp_path_factory.mktemp("manifest") / "substituted.parquet"
    command = [sys.executable, str(ROOT / "examples" / "make_manifest.py"), "-n", "2000", "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def undisturbed(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that no scheduler had a part in."""
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    run(RunConfig(inputs=(manifest,), output=output, model="baseline", executor="serial"))
    return output
