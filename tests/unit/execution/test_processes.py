"""Child processes of a task of a job array."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.execution.executor import Done
from goldilocks_batch.execution.job import Job
from goldilocks_batch.execution.processes import ProcessExecutor
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.structures.sources.reference import Reference


@dataclass(frozen=True)
class Looking:
    """Work that leaves in a folder which GPUs its process sees, and ends when so many have looked."""

    folder: Path
    company: int

    @property
    def splits(self) -> bool:
        return False

    def build(self) -> Looking:
        return self

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        assert not references
        (self.folder / str(first_row)).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
        while len(list(self.folder.iterdir())) < self.company:
            time.sleep(0.01)
        return pa.table({"row": [first_row]}), Report(1, 1)

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        raise AssertionError(f"{len(references)} {first_row} {code} {message}")


def seen(folder: Path, seats: int) -> list[str]:
    """The GPUs that each of so many children at a time sees."""
    looks = folder / "looks"
    looks.mkdir()
    with ProcessExecutor(seats, seconds=60.0, memory=None) as executor:
        for row in range(seats):
            executor.submit(Job(Looking(looks, seats), Shard(row, row + 1), (), folder, "fingerprint"))
        assert all(isinstance(executor.wait(), Done) for _ in range(seats))
    return sorted(path.read_text() for path in looks.iterdir())


def test_each_child_has_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert seen(tmp_path, 2) == ["GPU-a", "GPU-b"]


def test_children_share_gpus_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert seen(tmp_path, 4) == ["0", "0", "1", "1"]


def test_gpus_that_are_hidden_stay_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert seen(tmp_path, 2) == ["", ""]
