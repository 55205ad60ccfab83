"""Temporary folders: gone with their process, or with the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from goldilocks_batch.core.temporary import TemporaryFolder, sweep_beside

HOLD = """
import sys
from goldilocks_batch.core.temporary import TemporaryFolder
folder = TemporaryFolder("run")
(folder.path / "data").mkdir()
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary ones of its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], Path]:
    """A process that has a temporary folder, and the folder."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLD], text=True, **options)  # type: ignore[call-overload]
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_removed_with_what_is_in_it(base: Path) -> None:
    with TemporaryFolder("run") as folder:
        assert folder.parent == base
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "data").write_text("data")
    assert list(base.iterdir()) == []


def test_what_killed_processes_left_is_removed_by_the_next_and_nothing_else(base: Path) -> None:
    (base / "goldilocks-notes").mkdir()  # not such a folder
    (base / "goldilocks-file").write_text("")
    (base / "goldilocks-link").symlink_to(base / "goldilocks-notes")
    kept = {path.name for path in base.iterdir()}
    held = [holder() for _ in range(3)]
    for process, _ in held[:2]:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    _, alive = held[2]
    assert len(list(base.glob("goldilocks-run-*"))) == 3
    with TemporaryFolder("run") as mine:
        assert {path.name for path in base.iterdir()} == {*kept, alive.name, mine.name}
    assert (alive / "data").is_dir()
    held[2][0].kill()
    held[2][0].communicate()


def test_several_of_one_process_live_beside_each_other(base: Path) -> None:
    with TemporaryFolder("run") as first, TemporaryFolder("features") as second:
        assert {path.name for path in base.iterdir()} == {first.name, second.name}


def test_what_was_left_beside_a_file_is_removed_once_nobody_writes_to_it(tmp_path: Path) -> None:
    names = [".out.parquet.12-ab.tmp", ".out.parquet.13-cd.tmp", ".other.parquet.12-ab.tmp", "out.parquet"]
    for name in names:
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1e9, 1e9))
    os.utime(tmp_path / names[1], (time.time(), time.time()))
    sweep_beside(tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
