"""Temporary folders that go with the process that made them, or, if it is killed, with the next one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["TemporaryFolder", "sweep_beside"]

_PREFIX = "goldilocks-"
#: Locked by the process that made the folder, for as long as it lives.
_IN_USE = ".in-use"
#: Seconds after which what somebody was writing beside a file, and has not touched since, is left over.
_LEFT = 3600.0


class TemporaryFolder:
    """A folder for this user alone; making one removes those that processes of his left which are gone.

    Args:
        purpose: becomes part of its name.

    Attributes:
        path: the folder.
    """

    def __init__(self, purpose: str) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-"))
        # locked before it has its name: nobody can find it unlocked meanwhile
        unnamed = self.path / f"{_IN_USE}.new"
        self._lock = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(self.path / _IN_USE)

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *exception: object) -> None:
        self.close()


def _sweep(base: Path) -> None:
    """Remove the temporary folders of this user whose makers are gone."""
    for folder in _mine(base):
        try:
            lock = os.open(folder / _IN_USE, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # another kind of folder, or one that is just being made
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # somebody lives
            continue
        finally:
            os.close(lock)


def _mine(base: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(base) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if (
                    entry.name.startswith(_PREFIX)
                    and entry.is_dir(follow_symlinks=False)
                    and entry.stat(follow_symlinks=False).st_uid == os.getuid()
                ):
                    yield Path(entry.path)


def sweep_beside(final: Path) -> None:
    """Remove what processes that were killed left of a file that they were writing.

    Args:
        final: the file, as given to :func:`~goldilocks_batch.core.files.atomic_path`.
    """
    with contextlib.suppress(OSError):
        for path in final.parent.iterdir():
            ours = path.name.startswith(f".{final.name}.") and path.name.endswith(".tmp")
            if ours and path.is_file() and time.time() - path.stat().st_mtime > _LEFT:
                path.unlink()
