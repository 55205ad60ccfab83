"""From a configuration to the model that it names, its files found and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from goldilocks_batch.artifacts.hub import is_offline
from goldilocks_batch.artifacts.pull import places_for, say_nothing
from goldilocks_batch.artifacts.registry import load_registry
from goldilocks_batch.artifacts.resolve import Entry, resolve_trained, trained_folder, unpinned
from goldilocks_batch.artifacts.resolved import ResolvedModel
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.models.convert import read_conversion, resolve_published

__all__ = ["chosen_model"]


def chosen_model(
    config: RunConfig,
    say: Callable[[str], None] = say_nothing,
    lacking: Callable[[Entry], None] | None = None,
) -> ResolvedModel:
    """The model of a name in the registry, of a folder, or the one in the package.

    Args:
        config: names the model, and says where its files are looked for.
        say: told of each file that is fetched, a line each, and of those that nobody vouches for.
        lacking: for a plan: told of what a run would fetch; nothing is fetched or written.

    Raises:
        ModelError: it is unknown, or its files are missing or not the right ones.
        ConfigError: it has too few calibration rows for this confidence.
    """
    registry = load_registry(config.registry)
    folder = trained_folder(config.model, registry)
    places = places_for(config.artifacts, offline=config.offline, say=say)
    if lacking is not None:
        places = replace(places, fetch=None, lacking=None if config.offline or is_offline() else lacking)
    if folder is not None:
        _refuse_conversion(folder)
        return resolve_trained(folder, config.confidence, registry, places)
    model = resolve_published(registry, config.model, config.confidence, places, make=lacking is None)
    for remark in unpinned(model.files):
        say(remark)
    return model


def _refuse_conversion(folder: Path) -> None:
    """A converted forest has no corrections and no level by itself; the registry's model has."""
    converted = read_conversion(folder)
    if converted is not None:
        above = folder.resolve().parents
        root = above[2] if len(above) > 2 else folder
        raise ModelError(
            ErrorCode.MODEL_UNKNOWN,
            f"{folder} is the conversion of {converted.source.name}, which a published model is read from: "
            f"use --model rf --artifacts {root}",
        )
