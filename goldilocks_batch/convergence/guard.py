"""Runs the command of a code, and ends it with the process that wants its answer, or when its time is over.

ASE waits for a code as long as it takes, and a code outlives a process that is killed.  This stands between
the two.  It is started by its path, in an interpreter that loads nothing else, and imports the standard
library alone.

    python -I -S guard.py VERDICT LOCK WATCHED SECONDS -- command …

What happened is written to the file VERDICT: ``status N``, ``signal N``, ``timeout``, ``missing`` or
``busy``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["main"]

#: Seconds between two looks.
_TICK = 0.05
#: Seconds that a code which an earlier process left behind has to end.
_PATIENCE = 30.0
#: Seconds that a code has to end by itself once it has been asked to.
_PARTING = 2.0


def main(arguments: list[str]) -> int:
    """Run a command; its exit status, 124 if its time was over, 127 if there is no such program."""
    verdict, lock, watched, seconds, _, *command = arguments
    with Path(lock).open("a") as held:
        if not _alone(held.fileno()):
            return _say(verdict, "busy", 75)
        deadline = time.monotonic() + float(seconds)
        try:
            code = subprocess.Popen(  # noqa: S603 - the user's own command
                command, start_new_session=True, preexec_fn=_leave_with_guard()
            )
        except OSError as error:
            sys.stderr.write(f"{command[0]}: {error.strerror}\n")
            return _say(verdict, "missing", 127)
        signal.signal(signal.SIGTERM, lambda *_: _end(code))
        while (status := _waited(code)) is None:
            if not _lives(int(watched)):
                _end(code)
                return 1
            if time.monotonic() > deadline:
                _end(code)
                return _say(verdict, "timeout", 124)
        if status < 0:
            return _say(verdict, f"signal {-status}", 128 - status)
        return _say(verdict, f"status {status}", status)


def _leave_with_guard() -> Callable[[], object] | None:
    """On Linux, what lets the code end with this process, even if that is killed."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _waited(code: subprocess.Popen[bytes]) -> int | None:
    try:
        return code.wait(_TICK)
    except subprocess.TimeoutExpired:
        return None


def _alone(descriptor: int) -> bool:
    """Take the folder's lock, which the guard of an earlier attempt may still hold."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TICK)
        except OSError:
            return True  # a shared file system without locks
        else:
            return True
    return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(
        OSError, IndexError
    ):  # where /proc tells: one that has ended, but not been waited for
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _end(code: subprocess.Popen[bytes]) -> None:
    """End the code and all that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(code.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            code.wait(_PARTING)


def _say(verdict: str, what: str, status: int) -> int:
    Path(verdict).write_text(what, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
