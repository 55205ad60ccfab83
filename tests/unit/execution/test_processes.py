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
from goldilocks_batch.execution.places import Sharing, places_for
from goldilocks_batch.execution.processes import ProcessExecutor
from goldilocks_batch.execution.supervisor import _lease, dismiss
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.structures.sources.reference import Reference
from tests.forged_driver import forge_driver


@dataclass(frozen=True)
class Looking:
    """Work that leaves in a folder which GPUs its process sees, and ends when so many have looked."""

    folder: Path
    company: int
    uses_gpu: bool = True

    def build(self) -> Looking:
        return self

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        assert not references
        seen = [os.environ.get(name, "") for name in ("CUDA_VISIBLE_DEVICES", "GOLDILOCKS_GPU_MEMORY")]
        (self.folder / str(first_row)).write_text(" ".join(seen))
        while len(list(self.folder.iterdir())) < self.company:
            time.sleep(0.01)
        return pa.table({"row": [first_row]}), Report(1, 1)

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        raise AssertionError(f"{len(references)} {first_row} {code} {message}")


ALL = Sharing()


def seen(folder: Path, seats: int, sharing: Sharing = ALL, *, uses_gpu: bool = True) -> list[str]:
    """The GPUs that each of so many children at a time sees, and the memory that it may take there."""
    looks = folder / "looks"
    looks.mkdir()
    work = Looking(looks, seats, uses_gpu)
    with ProcessExecutor(seats, 60.0, None, sharing) as executor:
        for row in range(seats):
            executor.submit(Job(work, Shard(row, row + 1), (), folder, "fingerprint"))
        assert all(isinstance(executor.wait(), Done) for _ in range(seats))
    return sorted(path.read_text() for path in looks.iterdir())


MIB = 2**20


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forge_driver(tmp_path, monkeypatch, {"GPU-a1": 40_000, "GPU-b2": 4_000})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")


@pytest.mark.usefixtures("two_gpus")
def test_each_child_has_a_gpu_of_its_own(tmp_path: Path) -> None:
    assert seen(tmp_path, 2) == [f"GPU-a {40_000 * MIB}", f"GPU-b {4_000 * MIB}"]


@pytest.mark.usefixtures("two_gpus")
def test_children_share_gpus_while_there_is_room(tmp_path: Path) -> None:
    large, small = f"GPU-a {40_000 * MIB // 3}", f"GPU-b {2_000 * MIB}"
    assert seen(tmp_path, 5) == [large, large, large, small, small]


@pytest.mark.usefixtures("two_gpus")
def test_children_that_find_no_room_see_no_gpu(tmp_path: Path) -> None:
    assert seen(tmp_path, 3, Sharing(gpus=1, processes=2)) == [" ", *[f"GPU-a {20_000 * MIB}"] * 2]


@pytest.mark.usefixtures("two_gpus")
def test_work_without_networks_sees_no_gpu(tmp_path: Path) -> None:
    assert seen(tmp_path, 2, uses_gpu=False) == [" ", " "]
    assert not (tmp_path / "asked").exists()


def test_gpus_that_are_hidden_stay_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert seen(tmp_path, 2) == [" ", " "]


def test_a_gpu_of_unknown_memory_takes_one_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forge_driver(tmp_path, monkeypatch, {"GPU-a1": "[N/A]"})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert seen(tmp_path, 2) == [" ", "0 "]


@pytest.mark.usefixtures("two_gpus")
def test_a_child_that_is_lost_leaves_its_place_to_the_next() -> None:
    places = places_for("family", 2, Sharing(gpus=1, processes=1))
    first, second = _lease(places, "family"), _lease(places, "family")
    try:
        assert [child.place.gpu for child in (first, second)] == ["GPU-a", ""]
        first.close()
        assert _lease(places, "family").place.gpu == "GPU-a"
    finally:
        dismiss("family")
