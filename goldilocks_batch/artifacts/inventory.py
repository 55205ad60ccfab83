"""What models there are, where their files lie, and whether they are what they should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from goldilocks_batch.artifacts.conversions import (
    check_conversion,
    conversions,
    read_conversion,
    resolve_published,
)
from goldilocks_batch.artifacts.goldilocks_folder import resolve_goldilocks
from goldilocks_batch.artifacts.goldilocks_record import read_goldilocks_record
from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.psdi import not_here, whole_record
from goldilocks_batch.artifacts.registry import SHIPPED, Entry, Registry
from goldilocks_batch.artifacts.resolve import level_of
from goldilocks_batch.artifacts.resolved import ResolvedModel
from goldilocks_batch.artifacts.trained import resolve_trained, shipped_model
from goldilocks_batch.core.errors import ErrorCode, GoldilocksError, ModelError

__all__ = [
    "State",
    "Status",
    "entries_of",
    "levels_of",
    "status_of",
    "status_of_folder",
    "status_of_record",
    "statuses",
    "wrong_conversions",
]


class State(StrEnum):
    """Of a model's files, the worst of them."""

    NOTHING_NEEDED = "needs no files"
    VERIFIED = "verified"
    UNPINNED = "there, not pinned"
    MISSING = "not here"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Status:
    """One level of a model, all its files digested.

    Attributes:
        model: its name.
        kind: what it is made of, or ``conversion``.
        levels: the confidences this is about.
        state: of its files.
        folders: where they were found.
        size: of them all, bytes.
        reason: why they are refused or not here.
    """

    model: str
    kind: str
    levels: tuple[str, ...]
    state: State
    folders: tuple[Path, ...] = ()
    size: int = 0
    reason: str = ""


def levels_of(registry: Registry, name: str, confidences: Sequence[float] = ()) -> list[float]:
    """The levels of a model that are asked for, all by default, highest first.

    Raises:
        ModelError: MODEL_UNKNOWN.
    """
    for confidence in confidences:
        level_of(registry, name, confidence)
    return sorted(confidences or map(float, registry.model(name).levels), reverse=True)


def entries_of(registry: Registry, name: str, confidences: Sequence[float]) -> list[Entry]:
    """The files and folders that some levels of a model need, each once.

    Raises:
        ModelError: MODEL_UNKNOWN.
    """
    keys = list(registry.model(name).files.values())
    for confidence in confidences:
        keys += level_of(registry, name, confidence).files.values()
    return [registry.files.get(key) or registry.folders[key] for key in dict.fromkeys(keys)]


def statuses(registry: Registry, places: Places) -> Iterator[Status]:
    """Every level of every model of the registry, and the model in the package."""
    for name in sorted(registry.models):
        yield from (status_of(registry, name, confidence, places) for confidence in levels_of(registry, name))
    yield status_of_folder(SHIPPED, shipped_model(SHIPPED), registry, places)


def status_of_folder(name: str, folder: Path, registry: Registry, places: Places) -> Status:
    """A trained model, or the conversion of a published forest, each file as its manifest lists it."""
    try:
        theirs = read_goldilocks_record(folder)
        converted = None if theirs else read_conversion(folder)
        if converted is not None:
            arrays = check_conversion(folder, converted.source.sha256)
            return Status(name, "conversion", ("",), State.VERIFIED, (folder,), arrays.stamp[0])
        if theirs is not None:
            found = resolve_goldilocks(folder, theirs, theirs.quantiles[-1], registry, places)
            level, size = f"{found.confidence:.2f}", sum(file.stamp[0] for file in found.files)
            return Status(name, found.kind, (level,), State.VERIFIED, (folder,), size)
        # at the least confidence: what any calibration allows
        model = resolve_trained(folder, 0.51, registry, places)
    except GoldilocksError as error:
        state = State.MISSING if error.code == ErrorCode.ARTIFACT_MISSING else State.REFUSED
        return Status(name, "trained", ("any",), state, reason=error.message)
    size = sum(file.stamp[0] for file in model.files)
    return Status(name, model.kind, ("any",), State.VERIFIED, (folder,), size)


def status_of_record(name: str, registry: Registry, places: Places) -> Status:
    """A record of PSDI, ``psdi:<record>``; nothing is fetched."""
    try:
        folder = whole_record(name, places)
    except ModelError as error:
        return Status(name, ModelKind.GOLDILOCKS, ("any",), State.REFUSED, reason=error.message)
    if folder is None:
        reason = not_here(name, places).message
        return Status(name, ModelKind.GOLDILOCKS, ("any",), State.MISSING, reason=reason)
    return status_of_folder(name, folder, registry, places)


def status_of(registry: Registry, name: str, confidence: float, places: Places) -> Status:
    """One level of a model.

    Raises:
        ModelError: MODEL_UNKNOWN.
    """
    kind, levels = registry.model(name).kind, (f"{confidence:.2f}",)
    level_of(registry, name, confidence)
    try:
        model = resolve_published(registry, name, confidence, places)
    except ModelError as error:
        state = State.MISSING if error.code == ErrorCode.ARTIFACT_MISSING else State.REFUSED
        return Status(name, kind, levels, state, reason=error.message)
    if not model.files:
        return Status(name, kind, levels, State.NOTHING_NEEDED)
    state = State.VERIFIED if all(file.pinned for file in model.files) else State.UNPINNED
    return Status(name, kind, levels, state, _folders_of(model, places), sum(f.stamp[0] for f in model.files))


def _folders_of(model: ResolvedModel, places: Places) -> tuple[Path, ...]:
    return tuple(
        folder
        for folder in places.folders
        if any(file.path.is_relative_to(folder.resolve()) for file in model.files)
    )


def wrong_conversions(places: Places) -> dict[Path, str]:
    """Conversions that have been altered, with what is wrong."""
    wrong = {}
    for folder in places.folders:
        for path in conversions(folder):
            try:
                check_conversion(path, path.name)
            except ModelError as error:
                wrong[path] = error.message
    return wrong
