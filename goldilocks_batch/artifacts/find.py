"""From a model's name to its files, found and checked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from goldilocks_batch.artifacts.conversions import (
    Converter,
    read_conversion,
    resolve_published,
    with_conversion,
)
from goldilocks_batch.artifacts.goldilocks_folder import resolve_goldilocks
from goldilocks_batch.artifacts.goldilocks_record import read_goldilocks_record
from goldilocks_batch.artifacts.hub import is_offline
from goldilocks_batch.artifacts.psdi import record_folder
from goldilocks_batch.artifacts.pull import places_for
from goldilocks_batch.artifacts.registry import SHIPPED, Entry, load_registry
from goldilocks_batch.artifacts.resolve import resolve_files, unpinned
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel
from goldilocks_batch.artifacts.trained import resolve_trained, trained_folder
from goldilocks_batch.config.model import ModelChoice
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError

__all__ = ["PUBLISHED_TOLERANCE", "find_model", "find_network"]

#: The tolerance of the published models' labels, meV per atom.
PUBLISHED_TOLERANCE = 1.0

_log = logging.getLogger(__name__)


def find_model(
    choice: ModelChoice,
    *,
    convert: Converter | None = None,
    lacking: Callable[[Entry], None] | None = None,
) -> ResolvedModel:
    """Find and check the files of a model: one of the registry, of a folder, or the one in the package.

    Records and digests are read; the model is not built.

    Args:
        choice: names the model, and says where its files are looked for.
        convert: turns a published forest into arrays where that has not been done; without it workers read
            the pickle.
        lacking: for a plan: called with each entry that a run would fetch; nothing is fetched or written.

    Raises:
        ModelError: the model is unknown, or its files are missing or not the right ones.
        ConfigError: it has too few calibration rows for this confidence.
    """
    registry = load_registry(choice.registry)
    folder = trained_folder(choice.model, registry)
    places = places_for(choice.artifacts, offline=choice.offline)
    if lacking is not None:
        asked = not (choice.offline or is_offline())
        places = replace(places, fetch=None, lacking=lacking if asked else None)
        convert = None
    folder = folder or record_folder(choice.model, places)
    if folder is not None:
        theirs = read_goldilocks_record(folder)
        if theirs is not None:
            chosen = (choice.confidence, registry, places, choice.tolerance)
            found = resolve_goldilocks(folder, theirs, *chosen)
            return with_conversion(found, places.folders, convert=convert)
        _refuse_conversion(folder)
        return resolve_trained(folder, choice.confidence, registry, places, choice.tolerance)
    _expect_published(choice)
    model = resolve_published(registry, choice.model, choice.confidence, places, convert=convert)
    if lacking is None:
        for remark in unpinned(model.files):
            _log.warning(remark)
    return replace(model, tolerance=PUBLISHED_TOLERANCE)


def find_network(choice: ModelChoice) -> tuple[ResolvedFile, ...]:
    """Find and check the metallicity network's files, which the features of published models take.

    Raises:
        ModelError: they are missing or not the right ones.
    """
    registry = load_registry(choice.registry)
    places = places_for(choice.artifacts, offline=choice.offline)
    return resolve_files(registry, registry.model("rf").files, "rf", places)


def _expect_published(choice: ModelChoice) -> None:
    """Refuse what no published model has, and names of the past."""
    if choice.tolerance not in (None, PUBLISHED_TOLERANCE):
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"model '{choice.model}' answers at {PUBLISHED_TOLERANCE:g} meV per atom alone, not at "
            f"{choice.tolerance:g}: leave the tolerance out, or use --model {SHIPPED}",
        )


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
