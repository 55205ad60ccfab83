"""What is found of a machine, by devices and environments that are made up for the purpose."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core import machine
from goldilocks_batch.core.machine import (
    GPU_MEMORY,
    cores,
    free_gpu_memory,
    free_memory,
    gpu_memory_share,
    gpus,
    memory_share,
    visible_gpus,
)
from goldilocks_batch.runs import doctor
from tests.forged_driver import forge_driver


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of ``/dev``, on a machine that hides nothing."""
    monkeypatch.setattr(machine, "_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidiactl").touch()
    (tmp_path / "nvidia-uvm").touch()
    return tmp_path


def test_a_machine_without_gpus(devices: Path) -> None:
    assert (devices / "nvidiactl").exists()
    assert (gpus().present, gpus().usable, visible_gpus()) == (0, 0, ())


@pytest.mark.parametrize("numbers", [(0,), (3,), (2, 5, 11)])
def test_gpus_are_counted_from_0_whatever_their_files_are_called(
    devices: Path, numbers: tuple[int, ...]
) -> None:
    for number in numbers:
        (devices / f"nvidia{number}").touch()
    assert visible_gpus() == tuple(str(index) for index in range(len(numbers)))
    assert gpus().usable == len(numbers)


@pytest.mark.parametrize("name", ["dxg", "kfd"])
def test_one_device_that_stands_for_all(devices: Path, name: str) -> None:
    (devices / name).touch()
    assert (gpus().present, visible_gpus()) == (1, ("0",))


@pytest.mark.parametrize(
    ("value", "visible"),
    [
        ("", ()),
        ("-1", ()),
        (" ", ()),
        ("1", ("1",)),
        ("1,0", ("1", "0")),
        (" GPU-a , GPU-b", ("GPU-a", "GPU-b")),
        ("0,-1,1", ("0",)),
        ("0,,1", ("0",)),
        ("MIG-0a", ("MIG-0a",)),
    ],
)
def test_the_environment_decides_what_is_visible(
    devices: Path, monkeypatch: pytest.MonkeyPatch, value: str, visible: tuple[str, ...]
) -> None:
    for number in range(2):
        (devices / f"nvidia{number}").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    found = gpus()
    assert (found.present, found.visible, found.restriction) == (2, visible, value)
    assert found.usable == len(visible)


def test_a_gpu_that_is_named_and_not_there_is_not_usable(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert gpus().usable == 0
    (devices / "nvidia0").touch()
    assert gpus().usable == 1


@pytest.mark.parametrize(
    ("value", "device", "state", "text"),
    [
        (None, "auto", "ok", "2 on this machine"),
        ("1", "auto", "ok", "2 on this machine, CUDA_VISIBLE_DEVICES='1' leaves 1"),
        (
            "",
            "auto",
            "note",
            "2 on this machine, CUDA_VISIBLE_DEVICES='' leaves 0; networks run on its cores",
        ),
        ("-1", "cuda", "problem", "CUDA_VISIBLE_DEVICES='-1' leaves 0, and --device cuda was asked for"),
    ],
)
def test_the_doctor_counts_the_gpus_that_are_left(
    devices: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, device: str, state: str, text: str
) -> None:
    for number in range(2):
        (devices / f"nvidia{number}").touch()
    if value is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    monkeypatch.setattr(doctor, "built_for_gpus", lambda: True)
    (finding,) = doctor._gpus(RunConfig.model_validate({"device": device}))
    assert finding.state == state
    assert text in finding.text


@pytest.mark.parametrize(("device", "state"), [("auto", "note"), ("cuda", "problem")])
def test_the_doctor_knows_a_torch_that_was_built_without_gpus(
    devices: Path, monkeypatch: pytest.MonkeyPatch, device: str, state: str
) -> None:
    (devices / "nvidia0").touch()
    monkeypatch.setattr(doctor, "built_for_gpus", lambda: False)
    (finding,) = doctor._gpus(RunConfig.model_validate({"device": device}))
    assert finding.state == state
    assert finding.text == "1 on this machine, which the PyTorch that is installed was built without"


def test_the_doctor_tells_how_much_of_their_memory_is_free(
    devices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        (devices / f"nvidia{number}").touch()
    forge_driver(tmp_path, monkeypatch, {"GPU-a": 76_000, "GPU-b": "[N/A]"})
    monkeypatch.setattr(doctor, "built_for_gpus", lambda: True)
    (finding,) = doctor._gpus(RunConfig())
    assert (finding.state, finding.text) == ("ok", "2 on this machine; 0: 79.7 GB free")


def test_the_doctor_finds_no_gpu_where_there_is_none(devices: Path) -> None:
    assert devices.is_dir()
    (finding,) = doctor._gpus(RunConfig())
    assert (finding.state, finding.text) == ("note", "none on this machine; networks run on its cores")


def test_the_driver_tells_how_much_of_a_gpus_memory_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = forge_driver(tmp_path, monkeypatch, {"GPU-ab": 81_000, "GPU-ac": "[N/A]"})
    found = free_gpu_memory(("0", "1", "GPU-ab", "GPU-a", "MIG-x", "7"))
    known = 81_000 * 2**20
    # a beginning of two names is no name
    assert found == {"0": known, "1": None, "GPU-ab": known, "GPU-a": None, "MIG-x": None, "7": None}
    assert len(asked.read_text().splitlines()) == 1
    assert free_gpu_memory(()) == {}
    assert len(asked.read_text().splitlines()) == 1, "nobody is asked about nothing"


def test_a_gpu_that_takes_one_process_alone_has_no_memory_to_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge_driver(tmp_path, monkeypatch, {"GPU-a": 81_000}, mode="Exclusive_Process")
    assert free_gpu_memory(("0",)) == {"0": None}


@pytest.mark.parametrize("program", [None, "exit 9", "echo NVIDIA-SMI has failed", "echo 0, GPU-a"])
def test_a_driver_that_does_not_answer(
    program: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert free_gpu_memory(("0", "GPU-a")) == {"0": None, "GPU-a": None}


def test_a_process_is_told_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(GPU_MEMORY, raising=False)
    assert gpu_memory_share() is None
    monkeypatch.setenv(GPU_MEMORY, "5000000000")
    assert gpu_memory_share() == 5_000_000_000


def test_memory_of_a_job_or_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "4096")
    assert memory_share(4) == 2**30
    for nothing in ("0", ""):  # all of the node; not a job
        monkeypatch.setenv("SLURM_MEM_PER_NODE", nothing)
        assert memory_share(2) == psutil.virtual_memory().total // 2
    assert 0 < free_memory(1) <= psutil.virtual_memory().total


def test_cores_are_those_of_this_process() -> None:
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, mine)
    assert cores() == len(mine)
