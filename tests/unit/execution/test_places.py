"""Processes dealt to GPUs: in turn, while there is room, with a share of the memory each."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.execution import places
from goldilocks_batch.execution.places import (
    CORES,
    GPU_PROCESS_BYTES,
    Place,
    Sharing,
    dealt,
    forget_places,
    places_for,
)
from tests.forged_driver import forge_driver

GB = 10**9

memories = st.dictionaries(
    st.sampled_from(["0", "1", "GPU-a", "MIG-b"]), st.one_of(st.none(), st.integers(0, 80 * GB)), max_size=4
)


@given(free=memories, seats=st.integers(1, 64), processes=st.one_of(st.none(), st.integers(1, 20)))
def test_every_process_has_a_place_and_no_gpu_more_than_it_has_room_for(
    free: dict[str, int | None], seats: int, processes: int | None
) -> None:
    found = dealt(free, seats, processes)
    assert len(found) == seats
    numbers = Counter(place.gpu for place in found)
    for gpu, memory in free.items():
        room = processes or (1 if memory is None else memory // GPU_PROCESS_BYTES)
        assert numbers[gpu] <= room
        # whoever is on a core found no room anywhere
        assert numbers[""] == 0 or numbers[gpu] == room
        if memory is not None:
            shares = [place.memory for place in found if place.gpu == gpu]
            assert sum(share or 0 for share in shares) <= memory
            assert len(set(shares)) <= 1
        # in turn: another GPU has more only if this one is full
        assert all(numbers[gpu] >= numbers[other] - 1 or numbers[gpu] == room for other in free)
    assert [place.gpu == "" for place in found] == sorted(place.gpu == "" for place in found)


@given(free=memories.filter(bool), seats=st.integers(1, 64))
def test_with_cuda_every_process_has_a_gpu(free: dict[str, int | None], seats: int) -> None:
    numbers = Counter(place.gpu for place in dealt(free, seats, every=True))
    assert not numbers[""]
    assert max(numbers.values()) - min(numbers[gpu] for gpu in free) <= 1


def test_a_large_gpu_takes_all_and_a_small_one_what_it_has_room_for() -> None:
    assert dealt({"0": 80 * GB}, 16) == (Place("0", 5 * GB),) * 16
    assert dealt({"0": 5 * GB}, 4) == (Place("0", 5 * GB // 2),) * 2 + (CORES,) * 2
    assert dealt({"0": GB}, 2) == (CORES,) * 2, "somebody else has taken the memory"
    assert dealt({}, 3) == (CORES,) * 3
    assert dealt({"MIG-a": None}, 3) == (Place("MIG-a"), CORES, CORES)


@pytest.mark.parametrize(
    ("options", "here", "sharing"),
    [
        ({}, True, Sharing()),
        ({"device": "cpu"}, True, Sharing(gpus=0)),
        ({"device": "cuda"}, True, Sharing(every=True)),
        ({"gpus": 2, "gpu_processes": 3}, True, Sharing(gpus=2, processes=3)),
        ({"gpus": 2, "gpu_processes": 3}, False, Sharing(processes=3)),
    ],
)
def test_what_a_configuration_says(options: dict[str, object], here: bool, sharing: Sharing) -> None:
    assert Sharing.of(RunConfig.model_validate(options), here=here) == sharing


def test_the_driver_is_asked_once_a_family_and_the_log_says_who_shares_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = forge_driver(tmp_path, monkeypatch, {"GPU-a": 7_000, "GPU-b": 300})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(places, "built_for_gpus", lambda: True)
    share = 7_000 * 2**20 // 3
    with caplog.at_level(logging.INFO, "goldilocks_batch"):
        for _ in range(2):
            assert places_for("a", 4, Sharing()) == (Place("0", share),) * 3 + (CORES,)
    assert len(asked.read_text().splitlines()) == 1
    assert caplog.messages == [
        "GPU 0: the networks of 3 processes, 2.4 GB of its memory for each",
        "1 further processes find no room on a GPU and use their cores",
    ]
    forget_places("a")
    places_for("a", 4, Sharing())
    forget_places("a")
    assert len(asked.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("sharing", "built", "told"),
    [
        (Sharing(gpus=2), True, "2 GPUs asked for, 1 found here"),
        (Sharing(), False, "GPUs are not used: the PyTorch that is installed was built without them"),
    ],
)
def test_what_is_not_as_it_seems_is_a_warning(
    sharing: Sharing,
    built: bool,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    forge_driver(tmp_path, monkeypatch, {"GPU-a": 70_000})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(places, "built_for_gpus", lambda: built)
    with caplog.at_level(logging.WARNING, "goldilocks_batch"):
        assert places_for("b", 2, sharing)[0].gpu == "0"
    forget_places("b")
    (message,) = caplog.messages
    assert message.startswith(told)
