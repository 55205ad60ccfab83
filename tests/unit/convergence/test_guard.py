"""The guard ends a code with the process that wants its answer, and nobody works where another still does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from goldilocks_batch.convergence import guard

SLEEP = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"


def guarded(folder: Path, seconds: float, watched: int, *command: str) -> subprocess.Popen[str]:
    arguments = [str(folder / "verdict"), str(folder / "lock"), str(watched), str(seconds), "--", *command]
    line = [sys.executable, "-I", "-S", guard.__file__, *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def started(process: subprocess.Popen[str]) -> int:
    """The process id that the code prints."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(("status", "said"), [(0, "status 0"), (3, "status 3")])
def test_a_status_is_passed_on(tmp_path: Path, status: int, said: str) -> None:
    process = guarded(tmp_path, 60, os.getpid(), sys.executable, "-c", f"raise SystemExit({status})")
    process.communicate()
    assert process.returncode == status
    assert (tmp_path / "verdict").read_text() == said


def test_a_program_that_there_is_not(tmp_path: Path) -> None:
    process = guarded(tmp_path, 60, os.getpid(), "/nowhere/pw.x")
    assert "/nowhere/pw.x" in process.communicate()[1]
    assert ((tmp_path / "verdict").read_text(), process.returncode) == ("missing", 127)


def test_a_code_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
    process = guarded(tmp_path, 1.5, os.getpid(), sys.executable, "-c", inner)
    child = started(process)
    process.communicate()
    assert ((tmp_path / "verdict").read_text(), process.returncode) == ("timeout", 124)
    assert gone(child)


def test_a_code_ends_with_the_process_that_wants_its_answer(tmp_path: Path) -> None:
    asker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process = guarded(tmp_path, 60, asker.pid, sys.executable, "-c", SLEEP)
    child = started(process)
    asker.kill()
    asker.wait()
    process.communicate()
    assert gone(child)
    assert not (tmp_path / "verdict").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_a_code_ends_with_a_guard_that_is_killed(tmp_path: Path) -> None:
    process = guarded(tmp_path, 60, os.getpid(), sys.executable, "-c", SLEEP)
    child = started(process)
    process.kill()
    process.communicate()
    assert gone(child)


def test_two_never_work_in_one_folder(tmp_path: Path) -> None:
    began = time.time()
    first = guarded(tmp_path, 3, os.getpid(), sys.executable, "-c", SLEEP)
    started(first)
    second = guarded(tmp_path, 60, os.getpid(), sys.executable, "-c", "import time; print(time.time())")
    said = float(second.communicate()[0])
    first.communicate()
    assert said - began > 2.9  # when the time of the first was over
    assert (tmp_path / "verdict").read_text() == "status 0"
