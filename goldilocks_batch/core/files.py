"""Files that are either not there or whole, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from goldilocks_batch.core.errors import ErrorCode, RunError

__all__ = ["atomic_path"]


@contextlib.contextmanager
def atomic_path(final: Path, *, private: bool = True) -> Iterator[Path]:
    """A temporary path beside ``final`` that takes its place when the block ends without an error.

    The data is on disk before the name is: a crash leaves either no file of that name or a whole one.

    Args:
        final: the file.
        private: keep it from others than the owner and the group: structures may be unpublished.

    Raises:
        RunError: WRITE_FAILED, when the file system refuses (full, read-only, gone).
    """
    temporary = final.with_name(f".{final.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            if private:
                os.fchmod(descriptor, stat.S_IMODE(os.fstat(descriptor).st_mode) & ~stat.S_IRWXO)
        finally:
            os.close(descriptor)
        temporary.replace(final)
    except OSError as error:
        raise RunError(
            ErrorCode.WRITE_FAILED,
            f"cannot write {final}: {error}. Free space or choose another output, then run the same "
            "command again",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
