"""A program in the place of ``nvidia-smi``, which tells of GPUs that are not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest


def forge_driver(
    folder: Path, monkeypatch: pytest.MonkeyPatch, free: Mapping[str, object], mode: str = "Default"
) -> Path:
    """Put it first on the path.

    Args:
        folder: for the program.
        monkeypatch: of the test.
        free: MiB of memory of each GPU that nobody has taken, by its UUID.
        mode: its compute mode.

    Returns:
        A file in which each call leaves a line, its arguments.
    """
    programs, asked = folder / "driver", folder / "asked"
    programs.mkdir(exist_ok=True)
    lines = "".join(
        f"{number}, {uuid}, {mode}, {memory}\n" for number, (uuid, memory) in enumerate(free.items())
    )
    program = programs / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho \"$@\" >> {asked}\ncat <<'END'\n{lines}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return asked
