"""Fixtures shared by all suites."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from goldilocks_batch.core.kernel_cache import kernel_folder
from goldilocks_batch.core.machine import gpus

settings.register_profile(
    "default",
    deadline=None,  # first calls compile
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")

# started in the background, a shell has this process ignore SIGINT, and its children inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
# and under nohup SIGHUP
signal.signal(signal.SIGHUP, signal.SIG_DFL)

#: Kernels are compiled once for all tests, and not in every cache that a test makes.
os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder()))
#: Kernels of GPUs run in Triton's interpreter where there is none; it reads this when it is imported.
if not gpus().usable:
    os.environ["TRITON_INTERPRET"] = "1"

#: No test reads or writes the user's own model files, or asks a host outside this machine.
_CACHE = tempfile.mkdtemp(prefix="goldilocks-cache-")
os.environ["GOLDILOCKS_CACHE"] = _CACHE
for variable in ("HF_ENDPOINT", "GOLDILOCKS_GITHUB", "GOLDILOCKS_PSDI"):
    os.environ[variable] = "http://127.0.0.1:9"  # nothing listens there


def pytest_unconfigure() -> None:
    """Remove that cache."""
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development data: the folder GOLDILOCKS_SHARED names, or `shared` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("GOLDILOCKS_SHARED", default))
    if not (folder / "golden").is_dir():
        pytest.skip(f"development data not found at {folder}; set GOLDILOCKS_SHARED")
    return folder
