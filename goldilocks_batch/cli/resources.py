"""How commands about training have their features, with progress on the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from goldilocks_batch.cli.progress import observer_for, told
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.training.executed import default_cache, resources_for
from goldilocks_batch.training.resources import Resources

__all__ = ["resources_of"]


@contextlib.contextmanager
def resources_of(settings: RunConfig, cache: Path | None) -> Iterator[Resources]:
    """How features are had, with their progress and that of the forests on the terminal."""
    with (
        observer_for(settings.quiet, "computing features", "structures") as features,
        observer_for(settings.quiet, "growing forests", "forests") as forests,
    ):
        yield resources_for(settings, cache or default_cache(), features, progress=told(forests))
