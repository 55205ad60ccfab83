"""Whether this process is the fork of one that has used Dask, whose threads a fork does not have."""

from __future__ import annotations

import os

__all__ = ["forked", "watch_forks"]

_watched = False
_forked = False


def watch_forks() -> None:
    """Remember from now on, in forks of this process, that they are some."""
    global _watched
    if not _watched and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_remember)
    _watched = True


def _remember() -> None:
    global _forked
    _forked = True


def forked() -> bool:
    """Whether this is a fork of a process that was watched."""
    return _forked
