"""The tutorial's commands, run as they stand."""

from __future__ import annotations

import doctest
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from goldilocks_batch.results.folder import read_results

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"


def rows_of_picture() -> set[tuple[str, ...]]:
    """The words of each line of the table in the picture, its heading among them."""
    picture = (ROOT / "docs" / "pictures" / "example.svg").read_text(encoding="utf-8")
    lines = [html.unescape(line).split() for line in re.findall(r"<text[^>]*>([^<]+)</text>", picture)]
    return {tuple(words) for words in lines if len(words) > 5 and words[0] != "$"}


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    program = tmp_path / "bin" / "goldilocks-batch"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m goldilocks_batch.cli.app "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    text = TUTORIAL.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```console\n(.*?)^```", text, re.M | re.S))
    lines = re.findall(r"^\$ (.+)$", blocks, re.M)
    assert len(lines) >= 8
    said = {}
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        expected = re.search(r"# ends with exit code (\d)", line)
        assert done.returncode == int(expected[1] if expected else 0), f"{line}\n{done.stderr}"
        said[line] = done.stdout
    assert read_results(tmp_path / "screening").num_rows == len(
        list((ROOT / "examples/structures").iterdir())
    )
    table = {tuple(row.split()) for row in said["goldilocks-batch show screening --rows 0"].splitlines()}
    drawn = rows_of_picture()
    assert len(drawn) > 15
    assert drawn <= table, "make pictures draws it again"
    (failed,) = (row for row in read_results(tmp_path / "odd-run").to_pylist() if row["status"] == "failed")
    assert f"`{failed['error_code']}`" in text
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testfile(str(TUTORIAL), module_relative=False, encoding="utf-8")
    assert outcome.attempted == 4
    assert outcome.failed == 0
