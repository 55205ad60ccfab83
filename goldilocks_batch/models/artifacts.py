"""Find a model's files, check what they are, and load them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldilocks_batch.errors import ErrorCode, ModelError
from goldilocks_batch.models.registry import (
    FileEntry,
    FolderEntry,
    LevelEntry,
    Registry,
    level_name,
)

__all__ = [
    "STARTER",
    "ResolvedFile",
    "ResolvedModel",
    "file_of",
    "resolve",
    "resolve_files",
    "resolve_trained",
    "sha256_of",
    "shipped_model",
]

#: The model that comes with the package.
STARTER = "starter"


@dataclass(frozen=True, slots=True)
class ResolvedFile:
    """A file that has been found and whose content has been checked.

    Attributes:
        role: what the model uses it for.
        path: where it is.
        sha256: digest of its content.
        pinned: whether the registry names that digest.
        stamp: size and modification time (ns) when it was checked.
    """

    role: str
    path: Path
    sha256: str
    pinned: bool
    stamp: tuple[int, int]

    def checked(self) -> Path:
        """The path, if the file still is the one whose digest was checked.

        Raises:
            ModelError: ARTIFACT_DIGEST, it has been touched since; ARTIFACT_MISSING, it is gone.
        """
        try:
            now = _stamp(self.path)
        except OSError as error:
            message = f"{self.path} is gone or cannot be read here: {error}"
            raise ModelError(ErrorCode.ARTIFACT_MISSING, message) from error
        if now != self.stamp and sha256_of(self.path) != self.sha256:
            raise ModelError(ErrorCode.ARTIFACT_DIGEST, f"{self.path} has changed since the run began")
        return self.path


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """Everything a worker needs to load a model: small, hashable, picklable.

    Attributes:
        name: in the registry.
        kind: ``forest``, ``alignn`` or ``constant``.
        confidence: one-sided.
        revision: of the files that decide the bounds.
        correction: 1/Å, and where it comes from.
        kdist: the constant of a constant model, 1/Å.
        training_elements: symbols, empty if not known.
        files: what was found.
        remarks: what a user of the model should know, a sentence each.
    """

    name: str
    kind: str
    confidence: float
    revision: str
    correction: float
    correction_origin: str
    kdist: float | None
    training_elements: tuple[str, ...]
    files: tuple[ResolvedFile, ...]
    remarks: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Sha256 over roles and digests of all files, and the constant if there is one."""
        lines = [f"{file.role} {file.sha256}" for file in self.files]
        if self.kdist is not None:
            lines.append(f"kdist {self.kdist!r}")
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def file(self, role: str) -> Path:
        """The one file of a role, checked again."""
        return file_of(self.files, role)

    def role(self, role: str) -> list[Path]:
        """All files of a role, checked again, by name."""
        return [file.checked() for file in self.files if file.role == role]


def file_of(files: Sequence[ResolvedFile], role: str) -> Path:
    """The one file of a role, checked again.

    Raises:
        ModelError: it has changed or gone since its digest was checked.
    """
    (file,) = (file for file in files if file.role == role)
    return file.checked()


def resolve(registry: Registry, name: str, confidence: float, artifacts: Path | None) -> ResolvedModel:
    """Find and check all files that a model needs at a confidence level.

    Args:
        registry: what the files should be.
        name: the model.
        confidence: one-sided.
        artifacts: a folder laid out ``<organisation>/<repository>/<file>``; None if there is none.

    Raises:
        ModelError: MODEL_UNKNOWN; ARTIFACT_MISSING, with where was looked for what; ARTIFACT_DIGEST, a
            file is not the one the registry names, and nothing in it was read.
    """
    model = registry.model(name)
    level = model.levels.get(level_name(confidence))
    if level is None:
        known = ", ".join(sorted(model.levels))
        raise ModelError(
            ErrorCode.MODEL_UNKNOWN, f"model '{name}' has no level {confidence:.2f}; it has {known}"
        )
    files = resolve_files(registry, {**model.files, **level.files}, f"model '{name}'", artifacts)
    return ResolvedModel(
        name=name,
        kind=model.kind,
        confidence=confidence,
        revision=_revision(registry, level),
        correction=level.correction,
        correction_origin=model.correction_origin,
        kdist=level.kdist,
        training_elements=model.training_elements,
        files=files,
        remarks=model.remarks,
    )


def resolve_files(
    registry: Registry, wanted: Mapping[str, str], wanted_by: str, artifacts: Path | None
) -> tuple[ResolvedFile, ...]:
    """Find and check some of the registry's files.

    Args:
        registry: what the files should be.
        wanted: the name of a file or folder entry for every role.
        wanted_by: who wants them, for messages.
        artifacts: as for :func:`resolve`.

    Raises:
        ModelError: ARTIFACT_MISSING or ARTIFACT_DIGEST.
    """
    found: list[ResolvedFile] = []
    for role, key in wanted.items():
        if key in registry.files:
            found.append(_resolve_file(role, registry.files[key], wanted_by, artifacts))
        else:
            found += _resolve_folder(role, registry.folders[key], wanted_by, artifacts)
    return tuple(found)


def shipped_model(name: str) -> Path:
    """The folder of a model that comes with the package."""
    return Path(__file__).parents[1] / "training" / "shipped" / name


def resolve_trained(folder: Path, confidence: float) -> ResolvedModel:
    """A model that was trained with this package, found by its own records.

    Args:
        folder: holds ``manifest.json`` and what it lists.
        confidence: one-sided; any that its calibration rows allow.

    Raises:
        ModelError: a file is missing, altered or not acceptable, or the record asks for what is not known.
        ConfigError: too few calibration rows for this confidence.
    """
    from goldilocks_batch.training.record import read_model

    model = read_model(folder)
    model.at(confidence)
    record = model.record
    names = ["manifest.json", "model.json", record.artifacts.estimator, record.artifacts.calibration]
    files = [_digested(name.split(".")[0], folder / name, None) for name in names]
    calibration = record.calibration
    return ResolvedModel(
        name=record.name,
        kind="trained",
        confidence=confidence,
        revision=f"sha256 {model.digest[:12]}",
        correction=0.0,
        correction_origin=f"inside the model: {calibration.kind} conformal on {calibration.rows} labels",
        kdist=None,
        training_elements=record.training_elements,
        files=tuple(files),
        remarks=record.remarks,
    )


def _revision(registry: Registry, level: LevelEntry) -> str:
    """Revisions of the level's own files; for a constant, that of the published application."""
    entries = [registry.files.get(key) or registry.folders[key] for key in level.files.values()]
    found = sorted({entry.revision or "not pinned" for entry in entries})
    return ", ".join(found) if found else "published constants"


def _resolve_file(role: str, entry: FileEntry, wanted_by: str, artifacts: Path | None) -> ResolvedFile:
    path = _located(entry, wanted_by, artifacts)
    if not path.is_file():
        raise _missing(wanted_by, path, "no such file")
    size = path.stat().st_size
    if entry.size is not None and size != entry.size:
        raise ModelError(
            ErrorCode.ARTIFACT_DIGEST,
            f"{path} has {size} bytes, the registry expects {entry.size}: a download that was cut short, or "
            "another version. Nothing in it was read",
        )
    return _digested(role, path, entry.sha256)


def _resolve_folder(
    role: str, entry: FolderEntry, wanted_by: str, artifacts: Path | None
) -> list[ResolvedFile]:
    folder = _located(entry, wanted_by, artifacts)
    found = sorted(path for path in folder.glob(f"*{entry.ending}") if path.is_file())
    if not found:
        raise _missing(wanted_by, folder, f"no *{entry.ending} file there")
    if entry.sha256 and {path.name for path in found} != set(entry.sha256):
        raise ModelError(
            ErrorCode.ARTIFACT_DIGEST,
            f"{folder} holds {', '.join(path.name for path in found)}; the registry names "
            f"{', '.join(sorted(entry.sha256))}, and an ensemble must be whole",
        )
    return [_digested(role, path, entry.sha256.get(path.name)) for path in found]


def _located(entry: FileEntry | FolderEntry, wanted_by: str, artifacts: Path | None) -> Path:
    if artifacts is None:
        raise ModelError(
            ErrorCode.ARTIFACT_MISSING,
            f"{wanted_by} needs {entry.repository}/{entry.path}; name the folder that holds "
            f"{entry.repository}/ with --artifacts, or use --model baseline, which needs no files",
        )
    return artifacts / entry.repository / entry.path


def _missing(wanted_by: str, path: Path, what: str) -> ModelError:
    return ModelError(
        ErrorCode.ARTIFACT_MISSING,
        f"{wanted_by} needs {path}: {what}. The folder given with --artifacts must be laid out "
        "<organisation>/<repository>/<file>; --model baseline needs no files",
    )


def _digested(role: str, path: Path, expected: str | None) -> ResolvedFile:
    stamp, found = _stamp(path), sha256_of(path)
    if expected is not None and found != expected:
        raise ModelError(
            ErrorCode.ARTIFACT_DIGEST,
            f"{path} has sha256 {found}, the registry expects {expected}: it is damaged, or another "
            "version than this registry describes (name its own with --registry). Nothing in it was read",
        )
    return ResolvedFile(role, path.resolve(), found, expected is not None, stamp)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def sha256_of(path: Path) -> str:
    """Digest of a file's content, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
