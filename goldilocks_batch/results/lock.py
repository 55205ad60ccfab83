"""Who may write to a run's folder: one run, or the tasks of one array."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from goldilocks_batch.core.errors import ErrorCode, RunError

__all__ = ["LOCK", "locked"]

LOCK = ".lock"
#: Seconds between two attempts to take a lock that others hold.
_TRY_EVERY = 1.0


@contextlib.contextmanager
def locked(folder: Path, *, shared: bool = False, patience: float = 0.0) -> Iterator[None]:
    """Hold a folder's lock; a process that ends, however it does, lets it go.

    Args:
        folder: the run's, which exists.
        shared: together with others that share it, as the tasks of an array do.
        patience: s to wait for those who hold it.

    Raises:
        RunError: OUTPUT_EXISTS, others are writing there; WRITE_FAILED, the file system refuses.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o640)
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot use {folder} as output: {error}") from error
    try:
        _take(descriptor, folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path, kind: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise RunError(
                    ErrorCode.OUTPUT_EXISTS,
                    f"another run, or the tasks of a job array, are writing to {folder}: wait for them to "
                    "end, or cancel them",
                ) from error
            time.sleep(_TRY_EVERY)
        except OSError:
            return  # some shared file systems have no locks; parts are written atomically all the same
