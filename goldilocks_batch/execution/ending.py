"""A process that has been told to end, and goes on until somebody ends it.

A scheduler that ends a job signals all processes in it at once: the one that decides what becomes of the
work, the one that does it, and a code that was called for it.  To the one that does the work this looks as if
the code had failed.
"""

from __future__ import annotations

import signal
import time
from types import FrameType

__all__ = ["STOPS", "await_end", "heed_stops"]

#: Signals by which a terminal, a scheduler or a user ends what runs.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds within which all processes of a job are told, one after the other.
_TOGETHER = 0.5
#: Seconds that are waited for the end.  SLURM kills what is left of a job after ``KillWait``, 30 s as a rule,
#: and this process goes soon after the one that supervises it.
_PATIENCE = 120.0
#: Seconds for which a signal explains what fails.
_LATELY = 60.0

_told: float | None = None


def heed_stops() -> None:
    """Let this process outlive the signals that stop others, and remember them."""
    for stop in STOPS:
        if signal.getsignal(stop) is not signal.SIG_IGN:  # as under nohup: nobody else hears it either
            signal.signal(stop, _remember)


def _remember(_signal: int, _frame: FrameType | None) -> None:
    global _told
    _told = time.monotonic()


def await_end() -> None:
    """Wait for the end of this process if it was told to end lately; return if nobody ends it.

    To be called before something that a signal may have ended is taken for failed.
    """
    global _told
    time.sleep(_TOGETHER)
    if _told is None or time.monotonic() - _told > _LATELY:
        return
    time.sleep(_PATIENCE)
    _told = None
