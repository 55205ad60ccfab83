"""Versions of what numbers depend on, and whether two machines have the same ones."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import socket
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from goldilocks_batch.core.errors import ErrorCode, RunError

__all__ = ["check_versions", "shared_versions", "source_digest", "source_of", "versions"]

_PACKAGE = Path(__file__).resolve().parents[1]
_PACKAGES = (
    "goldilocks-batch",
    "dask",
    "distributed",
    "dscribe",
    "matminer",
    "numba",
    "numpy",
    "pyarrow",
    "pymatgen",
    "spglib",
    "torch",
)
#: What must be the same on every machine of a run.
_SHARED = ("goldilocks-batch", "dask", "distributed", "dscribe", "numba", "numpy", "spglib", "torch")


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the libraries that numbers depend on."""
    found = {"python": platform.python_version()}
    return found | {package: _installed(package) for package in _PACKAGES}


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@lru_cache(maxsize=1)
def shared_versions() -> tuple[tuple[str, str], ...]:
    """Names and versions of what must be the same on every machine of a run.

    That is what decides numbers and what machines talk to each other with; of Python the first two parts.
    """
    found = {name: _installed(name) for name in _SHARED}
    return ("python", ".".join(platform.python_version_tuple()[:2])), *found.items()


def source_digest(modules: Iterable[Path]) -> str:
    """Sha256 over the names and the text of modules of this package, as hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(modules):
        text = path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(text)}\n".encode() + text)
    return digest.hexdigest()


@lru_cache
def source_of(*rooms: str) -> str:
    """The :func:`source_digest` of all modules of some rooms of this package."""
    return source_digest(path for room in rooms for path in (_PACKAGE / room).rglob("*.py"))


def check_versions(theirs: Iterable[tuple[str, str]]) -> None:
    """Refuse to work where other versions are installed than where a run was started.

    Args:
        theirs: what :func:`shared_versions` gave there.

    Raises:
        RunError: CLUSTER_FAILED, naming what differs, here and there.
    """
    here = dict(shared_versions())
    different = [
        f"{name} is {here.get(name)} on {socket.gethostname()}, {there} where the run was started"
        for name, there in theirs
        if here.get(name) != there
    ]
    if different:
        raise RunError(ErrorCode.CLUSTER_FAILED, f"{'; '.join(different)}: install the same versions on both")
