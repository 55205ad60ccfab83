"""Where the project keeps what it can make or fetch again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder", "user_cache_folder"]


def cache_folder() -> Path:
    """The project's cache: ``GOLDILOCKS_CACHE``, or ``goldilocks-batch`` in the user's cache folder."""
    named = os.environ.get("GOLDILOCKS_CACHE")
    return Path(named).expanduser() if named else user_cache_folder()


def user_cache_folder() -> Path:
    """The folder ``goldilocks-batch`` where this user's programs keep their caches.

    Raises:
        RuntimeError: this user has no home.
    """
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "goldilocks-batch"
