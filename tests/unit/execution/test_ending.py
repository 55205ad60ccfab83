"""A process that is told to end goes on, and waits for its end before it takes anything for failed."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

CODE = """
import sys, time
from goldilocks_batch.execution import ending

ending._TOGETHER, ending._PATIENCE = 0.2, 1.0
ending.heed_stops()
print("ready", flush=True)
time.sleep(float(sys.argv[1]))
for _ in range(2):
    began = time.monotonic()
    ending.await_end()
    print(time.monotonic() - began > 0.9, flush=True)
"""


def told(sign: int | None, *before: str) -> list[str]:
    """Whether the process waited, the first and the second time."""
    command = [*before, sys.executable, "-c", CODE, "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if sign is not None:
            process.send_signal(sign)
        return process.stdout.read().split()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_was_told_to_end_waits_for_it_once(sign: int) -> None:
    assert told(sign) == ["True", "False"]


def test_who_was_not_told_goes_on() -> None:
    assert told(None) == ["False", "False"]


def test_a_signal_that_is_ignored_tells_nothing() -> None:
    assert told(signal.SIGHUP, "nohup") == ["False", "False"]
