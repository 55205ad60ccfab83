"""Model files that have been found and checked: what travels from the client to the workers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.core.errors import ErrorCode, ModelError

__all__ = ["ResolvedFile", "ResolvedModel", "digested", "file_of", "sha256_of"]


@dataclass(frozen=True, slots=True)
class ResolvedFile:
    """A file that has been found and whose content has been checked.

    Attributes:
        role: what the model uses it for.
        path: where it is.
        sha256: digest of its content.
        pinned: whether the registry or a lock file names that digest.
        stamp: size and modification time (ns) when it was checked.
        revision: of the repository that it comes from.
    """

    role: str
    path: Path
    sha256: str
    pinned: bool
    stamp: tuple[int, int]
    revision: str = "not pinned"

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
        kind: what it is made of.
        confidence: one-sided.
        revision: of the files that decide the bounds.
        correction: 1/Å, and where it comes from.
        kdist: the constant of a constant model, 1/Å.
        training_elements: symbols, empty if not known.
        files: what was found.
        remarks: what a user of the model should know, a sentence each.
        converted: the forest of ``files`` in a form that loads faster; the same numbers, so it does not
            enter the digest.
        tolerance: meV per atom that its bounds are for; None if that is not known.
        constant_kdist: the constant that converges as large a share of its labels, 1/Å; None if not known.
        small_constant: atoms of a primitive cell, and the constant for cells of no more; None: the same.
        bands: of a published model of rungs: below which median (a whole rung) it publishes which quantile.
    """

    name: str
    kind: ModelKind
    confidence: float
    revision: str
    correction: float
    correction_origin: str
    kdist: float | None
    training_elements: tuple[str, ...]
    files: tuple[ResolvedFile, ...]
    remarks: tuple[str, ...] = ()
    converted: ResolvedFile | None = None
    tolerance: float | None = None
    constant_kdist: float | None = None
    small_constant: tuple[int, float] | None = None
    bands: tuple[tuple[float | None, float], ...] = ()

    @property
    def digest(self) -> str:
        """Sha256 over roles and digests of all files, and the constant or bands if there are such."""
        lines = [f"{file.role} {file.sha256}" for file in self.files]
        if self.kdist is not None:
            lines.append(f"kdist {self.kdist!r}")
        if self.bands:
            lines.append(f"bands {self.bands!r}")
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def file(self, role: str) -> Path:
        """The one file of a role, checked again."""
        return file_of(self.files, role)

    def only(self, role: str) -> ResolvedFile:
        """The one file of a role, as it was found."""
        (file,) = (file for file in self.files if file.role == role)
        return file

    @property
    def source(self) -> ResolvedFile:
        """What a published forest is read from: its conversion if that can be read here, else its pickle.

        A worker on another machine may see the artifacts and not the cache of the client.
        """
        pickle = self.only("forest")
        if self.converted is None:
            return pickle
        return self.converted if _readable(self.converted) or not _readable(pickle) else pickle

    def check_again(self) -> None:
        """Make sure that every file that will be read still is the one that was checked.

        Raises:
            ModelError: as :meth:`ResolvedFile.checked`.
        """
        for file in self.files:
            (self.source if self.kind.is_converted and file.role == "forest" else file).checked()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, for a process that finds them in a file."""
        found: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return found

    @classmethod
    def from_json(cls, values: object) -> Self:
        """The model of :meth:`to_json`.

        Raises:
            ModelError: ARTIFACT_INVALID, it is none.
        """
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            message = f"no model with its files: {error.errors()[0]['msg']}"
            raise ModelError(ErrorCode.ARTIFACT_INVALID, message) from error

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


def digested(
    role: str,
    path: Path,
    expected: str | None,
    *,
    pinned_by: str = "",
    remedy: str = "",
    revision: str = "not pinned",
) -> ResolvedFile:
    """A file and its digest.

    Args:
        role: what the model uses it for.
        path: where it is.
        expected: its digest, None if nobody knows it.
        pinned_by: who names that digest, for the message.
        remedy: what a user can do, for the message.
        revision: of the repository that it comes from.

    Raises:
        ModelError: ARTIFACT_DIGEST, it has another digest; ARTIFACT_MISSING, it cannot be read.
    """
    try:
        stamp, found = _stamp(path), sha256_of(path)
    except OSError as error:
        raise ModelError(ErrorCode.ARTIFACT_MISSING, f"{path} cannot be read: {error}") from error
    if expected is not None and found != expected:
        raise ModelError(
            ErrorCode.ARTIFACT_DIGEST,
            f"{path} has sha256 {found}, {pinned_by} expects {expected}: it is damaged, or another version. "
            f"Nothing in it was read{remedy}",
        )
    return ResolvedFile(role, path.resolve(), found, expected is not None, stamp, revision)


def _readable(file: ResolvedFile) -> bool:
    return os.access(file.path, os.R_OK)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def sha256_of(path: Path) -> str:
    """Digest of a file's content, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
