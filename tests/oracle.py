"""The real package goldilocks-ml as an oracle, in a Python of its own.

It takes Python 3.12, and other versions of most packages than this project does, so it cannot be installed
beside it.  ``GOLDILOCKS_ML_PYTHON`` names the interpreter of an environment that has it, ``DIR/bin/python``
after ``python3.12 -m venv DIR && DIR/bin/pip install goldilocks-ml goldilocks-core joblib lz4 pyarrow``.
Tests that ask it skip without it.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

__all__ = ["ask"]

_CHECK = "import goldilocks_core, goldilocks_ml, sklearn_quantile, joblib, pyarrow"


def ask(script: str, *arguments: object) -> Any:
    """What a script prints, as JSON, run where goldilocks-ml is.

    Args:
        script: Python; its arguments are in ``sys.argv[1:]``.
        arguments: for it.
    """
    python = os.environ.get("GOLDILOCKS_ML_PYTHON")
    if python is None or _run(python, _CHECK).returncode:
        pytest.skip("goldilocks-ml is not here; GOLDILOCKS_ML_PYTHON names a Python that has it")
    done = _run(python, script, *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _run(python: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, "-W", "ignore", "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
