"""Kernels compiled beforehand, as an administrator does it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_what_was_compiled_once_is_not_compiled_again(tmp_path: Path) -> None:
    environment = {**os.environ, "GOLDILOCKS_CACHE": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    told = []
    for _ in range(2):
        line = [sys.executable, "-m", "goldilocks_batch", "warmup"]
        told.append(subprocess.run(line, capture_output=True, text=True, check=True, env=environment))
    counts = [
        re.match(r"(\d+) kernels, (\d+) compiled in \d:\d\d:\d\d, in (.*)", done.stdout) for done in told
    ]
    assert counts[0] is not None
    assert counts[1] is not None
    assert int(counts[0][2]) == int(counts[0][1]) > 0, "all of them, those that others call with these"
    assert counts[1][2] == "0"
    assert Path(counts[0][3]).is_relative_to(tmp_path)
    assert "compiling, once per installation" in told[0].stderr
    assert "compiling" not in told[1].stderr
