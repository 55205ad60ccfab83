"""One thread for linear algebra while networks are evaluated on the CPU.

Their matrix products are small: a second thread has nothing to do but to spin, and takes its core from the
process beside it.  The number of threads also decides the last bits of a product, and results should not
depend on the machine's cores.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

__all__ = ["one_thread"]


def one_thread() -> AbstractContextManager[object]:
    """Inside it BLAS libraries use one thread."""
    found: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return found


@lru_cache(maxsize=1)
def _libraries() -> Any:
    import scipy.linalg  # noqa: F401 - compiled code calls its BLAS, which must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
