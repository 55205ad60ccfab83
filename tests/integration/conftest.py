"""Inputs that the integration tests screen: the example crystals and a substituted manifest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from goldilocks_batch import RunConfig, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of example crystals."""
    return ROOT / "examples" / "structures"


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet manifest of 600 made-up structures."""
    path = tmp_path_factory.mktemp("manifest") / "substituted.parquet"
    command = [sys.executable, str(ROOT / "examples" / "make_manifest.py"), "-n", "600", "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def undisturbed(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of the manifest that nothing happened to, in one process."""
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    run(RunConfig(inputs=(manifest,), output=output, model="baseline", executor="serial", shard_size=10))
    return output
