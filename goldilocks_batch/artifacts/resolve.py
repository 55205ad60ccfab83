"""Find a model's files and check what they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from goldilocks_batch.artifacts.cache import LOCK_FILE, Pins, read_pins
from goldilocks_batch.artifacts.places import Places, holding, names_expected, names_there
from goldilocks_batch.artifacts.registry import (
    Entry,
    FileEntry,
    FolderEntry,
    LevelEntry,
    Registry,
    load_registry,
)
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel, digested
from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError

__all__ = ["advice", "level_of", "published_constant", "resolve", "resolve_files", "unpinned"]

_REMEDY = "; 'goldilocks-batch models pull' fetches the right one, --registry names one of other versions"


def resolve(
    registry: Registry,
    name: str,
    confidence: float,
    places: Places,
    given: Mapping[str, ResolvedFile] | None = None,
) -> ResolvedModel:
    """Find and check all files that a model needs at a confidence level.

    Args:
        registry: what the files should be.
        name: the model.
        confidence: one-sided.
        places: where they are looked for.
        given: by role, files that need not be looked for.

    Raises:
        ModelError: MODEL_UNKNOWN; ARTIFACT_MISSING, with where was looked for what; ARTIFACT_DIGEST, a
            file is not the one the registry or a lock file names, and nothing in it was read.
    """
    model = registry.model(name)
    level = level_of(registry, name, confidence)
    given = given or {}
    wanted = {role: key for role, key in {**model.files, **level.files}.items() if role not in given}
    files = (*resolve_files(registry, wanted, name, places), *given.values())
    return ResolvedModel(
        name=name,
        kind=model.kind,
        confidence=confidence,
        revision=_revision(level, files),
        correction=level.correction,
        correction_origin=model.correction_origin,
        kdist=level.kdist,
        training_elements=model.training_elements,
        files=files,
        remarks=(*model.remarks, *unpinned(files)),
        bands=tuple((band.below, band.level) for band in level.bands),
    )


def unpinned(files: Sequence[ResolvedFile]) -> tuple[str, ...]:
    """A remark on the files that nothing but their names vouches for, if there are any."""
    names = sorted({str(file.path) for file in files if not file.pinned})
    if not names:
        return ()
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"Not pinned by the registry, nor by a {LOCK_FILE} beside them: {', '.join(names[:3])}{more}; they "
        "were taken as they are. 'goldilocks-batch models pull' writes such a file: copy it along with the "
        "others, or name their sha256 in a --registry.",
    )


def level_of(registry: Registry, name: str, confidence: float) -> LevelEntry:
    """The entry of a model's level.

    Raises:
        ModelError: MODEL_UNKNOWN, with the models or levels that are known.
    """
    model = registry.model(name)
    found = [
        level for key, level in model.levels.items() if math.isclose(float(key), confidence, abs_tol=1e-9)
    ]
    if not found:
        meant = confidence / 100 if confidence > 1 else confidence  # it may be in percent
        nearest = min(model.levels, key=lambda key: abs(float(key) - meant))
        raise ModelError(
            ErrorCode.MODEL_UNKNOWN,
            f"model '{name}' has no level {confidence:g}; it has {', '.join(sorted(model.levels))}, of which "
            f"{nearest} is the nearest. Models with a calibration of their own, such as mc3d, take any "
            "confidence",
        )
    return found[0]


def published_constant(confidence: float) -> float | None:
    """The constant kdist that was published for a confidence, 1/Å; None for a confidence without one."""
    registry = load_registry()
    try:
        return level_of(registry, "baseline", confidence).kdist
    except ModelError:
        return None


def resolve_files(
    registry: Registry, wanted: Mapping[str, str], model: str, places: Places
) -> tuple[ResolvedFile, ...]:
    """Find and check some of the registry's files.

    Args:
        registry: what the files should be.
        wanted: the name of a file or folder entry for every role.
        model: the model they belong to, for messages.
        places: where they are looked for.

    Raises:
        ModelError: ARTIFACT_MISSING or ARTIFACT_DIGEST.
    """
    entries = {role: registry.files.get(key) or registry.folders[key] for role, key in wanted.items()}
    here = {role: holding(entry, places) for role, entry in entries.items()}
    # what is here is checked before anything is fetched
    found = {role: _checked(role, entries[role], folder) for role, folder in here.items() if folder}
    for role in [role for role, folder in here.items() if folder is None]:
        entry = entries[role]
        if places.lacking is not None:
            places.lacking(entry)
            found[role] = _as_registered(role, entry, places)
        else:
            folder = holding(entry, places) or _fetched(entry, entries.values(), model, places)
            found[role] = _checked(role, entry, folder)
    return tuple(file for role in wanted for file in found[role])


def _revision(level: LevelEntry, files: tuple[ResolvedFile, ...]) -> str:
    """Revisions of the level's own files; for a constant, that of the published application."""
    found = sorted({file.revision for file in files if file.role in level.files})
    return ", ".join(found) if found else "published constants"


def _fetched(entry: Entry, entries: Iterable[Entry], model: str, places: Places) -> Path:
    """The cache, once an entry is in it; if it cannot be had, all that the model lacks is named."""
    reason = "the network was not asked (offline)"
    if places.fetch is not None and places.cache is not None:
        try:
            places.fetch(entry)
        except (ModelError, RunError) as error:
            if error.code not in (ErrorCode.ARTIFACT_MISSING, ErrorCode.WRITE_FAILED):
                raise
            reason = error.message
        else:
            return places.cache
    lacking = dict.fromkeys(f"{e.repository}/{e.path}" for e in entries if holding(e, places) is None)
    looked = " and ".join(map(str, places.folders))
    raise ModelError(
        ErrorCode.ARTIFACT_MISSING,
        f"model '{model}' needs {', '.join(lacking)}: not in {looked or 'any folder'}, and {reason}. "
        f"{advice(model)}",
    )


def advice(model: str) -> str:
    """What to do where a model's files cannot be had."""
    return (
        f"Where there is internet, 'goldilocks-batch models pull {model} --to DIR' fetches them; copy DIR "
        "here and name it with --artifacts DIR. --model mc3d needs no files"
    )


def _as_registered(role: str, entry: Entry, places: Places) -> list[ResolvedFile]:
    """What a fetch should bring; a digest that the registry does not name is empty."""
    folder = (places.cache or Path()) / entry.repository
    if isinstance(entry, FileEntry):
        known = {entry.path: (entry.sha256, entry.size)}
    else:
        known = {f"{entry.path}/{name}": (sha256, None) for name, sha256 in entry.sha256.items()}
    return [
        ResolvedFile(role, folder / path, sha256 or "", True, (size or 0, 0), entry.revision or "not pinned")
        for path, (sha256, size) in (known or {entry.path: (None, None)}).items()
    ]


def _checked(role: str, entry: Entry, folder: Path) -> list[ResolvedFile]:
    repository = folder / entry.repository
    if isinstance(entry, FileEntry):
        return [_checked_file(role, entry, repository)]
    return _checked_folder(role, entry, repository)


def _checked_file(role: str, entry: FileEntry, repository: Path) -> ResolvedFile:
    path = repository / entry.path
    size = path.stat().st_size
    if entry.size is not None and size != entry.size:
        raise ModelError(
            ErrorCode.ARTIFACT_DIGEST,
            f"{path} has {size} bytes, the registry expects {entry.size}: a download that was cut short, or "
            f"another version. Nothing in it was read{_REMEDY}",
        )
    return _pinned(role, entry, entry.path, entry.sha256, repository, read_pins(repository))


def _checked_folder(role: str, entry: FolderEntry, repository: Path) -> list[ResolvedFile]:
    found, expected = names_there(entry, repository), names_expected(entry, repository)
    if expected and found != expected:
        who = "the registry" if entry.sha256 else LOCK_FILE
        raise ModelError(
            ErrorCode.ARTIFACT_DIGEST,
            f"{repository / entry.path} holds {', '.join(sorted(found))}; {who} names "
            f"{', '.join(sorted(expected))}, and an ensemble must be whole",
        )
    pins = read_pins(repository)
    return [
        _pinned(role, entry, f"{entry.path}/{name}", entry.sha256.get(name), repository, pins)
        for name in sorted(found)
    ]


def _pinned(
    role: str, entry: Entry, path: str, sha256: str | None, repository: Path, pins: Pins
) -> ResolvedFile:
    """A file, checked against the registry, or else against what was first fetched."""
    locked = pins.files.get(path)
    revision = entry.revision or (locked.revision if locked else "not pinned")
    pinned_by = "the registry" if sha256 is not None else str(repository / LOCK_FILE)
    if sha256 is None and locked is not None:
        sha256 = locked.sha256
    return digested(role, repository / path, sha256, pinned_by=pinned_by, remedy=_REMEDY, revision=revision)
