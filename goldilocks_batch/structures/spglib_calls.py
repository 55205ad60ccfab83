"""spglib without its remarks on stderr and its warnings; what matters is returned or raised."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

__all__ = ["quiet_spglib"]


@contextlib.contextmanager
def quiet_spglib() -> Iterator[Any]:
    """Give the library without its remarks on stderr and its warnings; what matters is returned or raised."""
    with warnings.catch_warnings():  # spglib announces its change of error handling on every call
        warnings.simplefilter("ignore", DeprecationWarning)
        yield _spglib()


@lru_cache(maxsize=1)
def _spglib() -> Any:
    os.environ.setdefault("SPGLIB_WARNING", "OFF")
    import spglib as library

    return library
