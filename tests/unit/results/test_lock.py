"""One run, or the tasks of one array, write to a folder."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import time
from pathlib import Path

import pytest

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.results import lock
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.lock import LOCK, locked
from tests.unit.results.run_folders import record


def test_tasks_share_a_folder_and_runs_do_not(tmp_path: Path) -> None:
    with locked(tmp_path, shared=True), locked(tmp_path, shared=True):
        with pytest.raises(RunError, match="tasks of a job array") as refusal, locked(tmp_path):
            pass
        assert refusal.value.code == ErrorCode.OUTPUT_EXISTS
    with locked(tmp_path):
        for shared in (True, False):
            with pytest.raises(RunError, match="another run"), locked(tmp_path, shared=shared):
                pass
    with locked(tmp_path):
        assert (tmp_path / LOCK).stat().st_mode & 0o077 == 0o040


def _hold(folder: Path, ready: multiprocessing.synchronize.Event) -> None:
    with locked(folder, shared=True):
        ready.set()
        time.sleep(60)


def test_a_lock_goes_with_its_process_and_can_be_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_TRY_EVERY", 0.01)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(RunError), locked(tmp_path):
        pass
    holder.kill()
    with locked(tmp_path, patience=10.0):
        pass
    holder.join()


def test_what_is_being_written_is_not_compacted(tmp_path: Path) -> None:
    record(tmp_path, 0)
    folder = RunFolder.of(tmp_path)
    with locked(tmp_path, shared=True), pytest.raises(RunError, match="are writing"):
        folder.compact()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RunError) as refusal, locked(tmp_path / "absent"):
        pass
    assert refusal.value.code == ErrorCode.WRITE_FAILED
