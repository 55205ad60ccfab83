"""What a code leaves in its folder: the last lines of it for a row, and which files are kept."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

__all__ = ["keep_small", "last_lines"]

#: Files that are looked into, lines of each, and characters in all; pw.x ends with 50 lines about its times.
_FILES, _LINES, _CHARACTERS = 3, 60, 8000
#: Bytes from the end of a file within which its last lines are looked for.
_END = 20_000
#: Bytes of a file that is kept of a failure; larger ones are densities and wave functions.
_SMALL = 5_000_000
_NOT_OUTPUT = ("verdict", "lock", "espresso.pwi")


def last_lines(folder: Path) -> str:
    """The last lines of the newest text files of a folder, each under its name, newest first."""
    with contextlib.suppress(OSError):
        files = [path for path in folder.iterdir() if path.is_file() and path.name not in _NOT_OUTPUT]
        files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        parts = [f"{path.name}:\n{text}" for path in files if (text := _end_of(path))]
        return "\n".join(parts[:_FILES])[:_CHARACTERS]
    return ""


def _end_of(path: Path) -> str:
    """The last lines of a text file; nothing of another one."""
    with path.open("rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _END))
        data = stream.read()
    if b"\0" in data:
        return ""
    lines = [line.rstrip() for line in data.decode("utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-_LINES:])


def keep_small(folder: Path) -> None:
    """Remove from the folder of a failure what takes space: subfolders and large files."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.stat().st_size > _SMALL:
                path.unlink()
