"""Commands on a terminal of some width."""

from __future__ import annotations

import os
import re
import subprocess
import sys

__all__ = ["on_terminal"]

#: Colours and the like.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(columns: int, *arguments: object) -> str:
    """What a command shows on a terminal, standard output and errors, without colours."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": "50", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "goldilocks_batch", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # as Linux tells the end of a terminal
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    process.wait(timeout=60)
    return _CONTROL.sub("", seen.decode()).replace("\r\n", "\n")
