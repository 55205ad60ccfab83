"""Two kinds of work side by side: one thread prepares while another waits for a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["overlapped"]

Given = TypeVar("Given")
Ready = TypeVar("Ready")
Answer = TypeVar("Answer")


def overlapped(
    items: Iterable[Given], prepare: Callable[[Given], Ready], ask: Callable[[Ready], Answer]
) -> Iterator[tuple[Ready, Answer]]:
    """Prepare items and ask about each: the next one is prepared while a thread asks about the last.

    The device has one question at a time, and the next as soon as it has answered; whoever takes an answer
    from the iterator works on it in the meantime.

    Args:
        items: in any number.
        prepare: makes an item ready, in the calling thread.
        ask: gives the answer, in a thread of its own; it should wait outside of the interpreter's lock.

    Yields:
        What was prepared and the answer, in the order of the items.  What either raises ends the iteration.
    """
    with ThreadPoolExecutor(1, "overlapped") as beside:
        last: tuple[Ready, Future[Answer]] | None = None
        for item in items:
            ready = prepare(item)
            before, answers = last, [] if last is None else [last[1].result()]
            last = ready, beside.submit(ask, ready)
            if before is not None:
                yield before[0], answers[0]
        if last is not None:
            yield last[0], last[1].result()
