"""What the shell offers after a flag."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["complete_model", "complete_provider"]


def complete_model(incomplete: str) -> Iterator[str]:
    """Names of models, and folders, since a trained model is one."""
    from goldilocks_batch.artifacts.registry import SHIPPED, load_registry

    for name in sorted({*load_registry().models, SHIPPED}):
        if name.startswith(incomplete):
            yield name
    head, tail = os.path.split(incomplete)
    folder = Path(head or ".").expanduser()
    if folder.is_dir():
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and entry.name.startswith(tail) and (tail or not entry.name.startswith(".")):
                yield str(Path(head) / entry.name)


def complete_provider(incomplete: str) -> Iterator[str]:
    """Names of databases."""
    from goldilocks_batch.structures.databases.providers import BUILT_IN

    return (name for name in BUILT_IN if name.startswith(incomplete))
