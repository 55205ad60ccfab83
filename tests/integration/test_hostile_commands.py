"""Commands given odd files, or read by nobody: one line, never a traceback, and the right exit code."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "goldilocks_batch.cli.app"]
DIGITS = "9" * 5000
#: Thirty lists, each of them twice what the one before it is.
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(30))


def said(*arguments: object) -> str:
    """What a command that cannot run says."""
    command = [*PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert "fault" not in done.stderr
    assert len(done.stderr) < 1000
    return done.stderr


def silicon(examples: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(examples / "Si-diamond.cif", folder / "Si.cif"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("slurm: " + "{a: " * 3000 + "1" + "}" * 3000, "nested too deeply"),
        (f"workers: {DIGITS}", "is not valid YAML"),
        ("device: 0x" + "F" * 9000, "a very large number"),
        ("workers: 1\nmodel: rf\nworkers: 2", "'workers' is there twice, again in line 3"),
        ("slurm:\n  requests: {cores: 1, cores: 2}", "'cores' is there twice"),
        ("model: 2020-13-45", "is not valid YAML"),
        ("slurm: &a {requests: *a}", "line 1 holds an alias of itself"),
        (BOMB, "10000"),
        ("device: " + "x" * 100_000, "..."),
    ],
)  # fmt: skip
def test_an_odd_configuration_is_refused_in_a_line(
    text: str, expected: str, examples: Path, tmp_path: Path
) -> None:
    (tmp_path / "odd.yaml").write_text(text)
    told = said("run", silicon(examples, tmp_path), "--config", tmp_path / "odd.yaml", "-o", tmp_path / "run")
    assert expected in told
    assert "[CONFIG_INVALID]" in told


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, f"a = {DIGITS}", "a = 1\na = 2", "a = \xff"])
def test_an_odd_registry_is_refused_in_a_line(text: str, examples: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_bytes(text.encode("latin-1"))
    told = said(
        "run", silicon(examples, tmp_path), "--registry", tmp_path / "odd.toml", "-o", tmp_path / "run"
    )
    assert "[REGISTRY_INVALID]" in told


def test_links_to_themselves_are_told_in_a_line(examples: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop.cif"
    loop.symlink_to(loop)
    here = silicon(examples, tmp_path / "in")
    assert "[INPUT_NOT_FOUND]" in said("run", loop, "--model", "baseline", "-o", tmp_path / "run")
    assert "[WRITE_FAILED]" in said("run", here, "--model", "baseline", "-o", loop)
    assert "[MODEL_UNKNOWN]" in said("run", here, "--model", loop, "-o", tmp_path / "run")
    assert "[CONFIG_INVALID]" in said("run", here, "--config", loop, "-o", tmp_path / "run")


@pytest.mark.parametrize("option", ["--model", "--config", "--artifacts", "--output", "--registry", "inputs"])
def test_a_name_that_is_too_long_is_told_in_a_line(option: str, examples: Path, tmp_path: Path) -> None:
    name = "x" * 300
    given = [name] if option == "inputs" else [silicon(examples, tmp_path), option, name]
    if option == "--output":
        given += ["--model", "baseline"]
    assert "too long" in said("run", *given)


def test_who_reads_no_further_ends_no_run(examples: Path, tmp_path: Path) -> None:
    command = [
        *PROGRAM,
        "run",
        str(silicon(examples, tmp_path)),
        "--model",
        "baseline",
        "--executor",
        "serial",
    ]
    for name in ("out", "both"):
        reading, writing = os.pipe()
        os.close(reading)
        arguments = [*command, "-o", str(tmp_path / name)]
        errors = writing if name == "both" else subprocess.PIPE
        done = subprocess.run(arguments, stdout=writing, stderr=errors, check=False, timeout=120)
        os.close(writing)
        assert done.returncode == 0, done
        assert b"Traceback" not in (done.stderr or b"")
        assert len(list((tmp_path / name / "results").iterdir())) == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_square_brackets_in_names_are_no_markup(terminal: bool, examples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a[b]:fire:[red]"
    inputs = silicon(examples, folder)
    command = [*PROGRAM, "run", str(inputs), "--model", "baseline", "--executor", "serial", "-o", "[/run]"]
    ours, theirs = pty.openpty() if terminal else os.pipe()
    done = subprocess.run(command, cwd=folder, stdout=theirs, stderr=theirs, check=False, timeout=120)
    os.close(theirs)
    told = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0, told
    assert "results: [/run]/results" in told
    status = subprocess.run(
        [*PROGRAM, "status", str(folder / "[/run]")], capture_output=True, text=True, check=False
    )
    assert (status.returncode, status.stderr) == (0, "")
