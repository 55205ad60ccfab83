"""Standard output and error whose reader may leave before the end, as ``head`` or a terminal does."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

__all__ = ["may_close"]


class _Lossy:
    """A stream that takes what nobody reads any more, and drops it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As a text stream does."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """As a text stream does."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Let what is still to come, and what Python writes out at its end, go nowhere."""
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise error
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def may_close() -> Iterator[None]:
    """Let a command go on to its end, and end as it would, though nobody reads what it says any more."""
    before = sys.stdout, sys.stderr
    out, err = _Lossy(before[0]), _Lossy(before[1])
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
