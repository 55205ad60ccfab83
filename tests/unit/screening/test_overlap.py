"""One thread prepares while another waits for a device."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.screening.overlap import overlapped


@given(st.lists(st.integers(), max_size=7))
def test_answers_come_in_the_order_of_the_items(items: list[int]) -> None:
    found = list(overlapped(items, lambda item: item + 1, lambda ready: 2 * ready))
    assert found == [(item + 1, 2 * (item + 1)) for item in items]


def test_the_next_is_prepared_while_the_device_works_on_the_last() -> None:
    prepared = [threading.Event() for _ in range(4)]
    taken = [threading.Event() for _ in range(4)]
    asked: list[int] = []

    def prepare(item: int) -> int:
        prepared[item].set()
        return item

    def ask(item: int) -> int:
        asked.append(threading.get_ident())
        # would wait for ever if one came after the other
        if item < 3:
            assert prepared[item + 1].wait(30)
        if item > 0:
            assert taken[item - 1].wait(30), "the device has the next question before the answer is worked on"
        return item

    for item, answer in overlapped(range(4), prepare, ask):
        assert item == answer
        taken[item].set()
    assert len(set(asked)) == 1
    assert asked[0] != threading.get_ident()


def test_the_device_has_one_question_at_a_time() -> None:
    busy = threading.Lock()

    def ask(item: int) -> int:
        assert busy.acquire(blocking=False)
        busy.release()
        return item

    assert len(list(overlapped(range(50), lambda item: item, ask))) == 50


@pytest.mark.parametrize("where", ["prepare", "ask"])
def test_what_either_raises_ends_it(where: str) -> None:
    def fail_at_two(here: str, item: int) -> int:
        if here == where and item == 2:
            raise RuntimeError("unspecified launch failure")
        return item

    found = []
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="unspecified launch failure"):
        for item, _ in overlapped(
            range(5), lambda item: fail_at_two("prepare", item), lambda item: fail_at_two("ask", item)
        ):
            found.append(item)
    assert found == ([0] if where == "prepare" else [0, 1])[: len(found)]
    assert threading.active_count() <= before
