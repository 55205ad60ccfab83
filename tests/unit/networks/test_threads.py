"""Networks on the CPU use one thread of linear algebra, whatever the process was started with."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

CODE = """
import json
import numpy as np, scipy.linalg
from threadpoolctl import threadpool_info
from goldilocks_batch.networks.threads import one_thread
def threads():
    return sorted({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
np.ones((8, 8)) @ np.ones((8, 8))
before = threads()
with one_thread():
    inside = threads()
print(json.dumps([before, inside, threads()]))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one core")
def test_one_thread_inside_and_as_many_as_before_outside() -> None:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(done.stdout) == [[2], [1], [2]]
