"""The registry: for every model its files, their revisions and digests, and what its numbers mean."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from goldilocks_batch.artifacts.folder import PLAIN_NAME, SHA256
from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.core.text import nearest

__all__ = [
    "SHIPPED",
    "Entry",
    "FileEntry",
    "FolderEntry",
    "LevelEntry",
    "ModelEntry",
    "Registry",
    "load_registry",
]

#: The model that comes with the package.
SHIPPED = "mc3d"


#: A place of a file beside its host.
_MIRROR = r"^(psdi:[\w-]+/[\w][\w.-]*|https?://[^\s]+)$"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Located(_Entry):
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    path: str
    revision: str | None = None
    host: Literal["huggingface", "github", "psdi"] = "huggingface"

    @field_validator("repository")
    @classmethod
    def _is_a_repository(cls, repository: str) -> str:
        if any(part in (".", "..") for part in repository.split("/")):
            raise ValueError("repository must be <organisation>/<repository>")
        return repository

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        parts = path.split("/")
        if (
            path.startswith("/")
            or "\\" in path
            or not all(parts)
            or any(part in (".", "..") for part in parts)
        ):
            raise ValueError("must be a relative path inside the repository, with forward slashes")
        return path


class FileEntry(_Located):
    """One file of a repository; without a digest it is not pinned.

    ``mirrors`` are further places of the same bytes, asked in this order where the host fails: the address
    of the file, or ``psdi:<record>/<name>``.  Only the digest tells whether it is the same file there.
    """

    sha256: str | None = Field(None, pattern=SHA256)
    size: int | None = Field(None, ge=0)
    mirrors: tuple[Annotated[str, Field(pattern=_MIRROR)], ...] = ()

    @model_validator(mode="after")
    def _mirrors_have_a_digest(self) -> FileEntry:
        if self.mirrors and self.sha256 is None:
            raise ValueError("mirrors need a sha256: nothing else tells that the file is the same there")
        return self


class FolderEntry(_Located):
    """A folder of checkpoints that are evaluated together; unpinned ones are taken as they are found."""

    ending: str = Field(".ckpt", pattern=r"^\.[A-Za-z0-9]+$")
    sha256: dict[Annotated[str, Field(pattern=PLAIN_NAME)], Annotated[str, Field(pattern=SHA256)]] = {}


Entry = FileEntry | FolderEntry


class BandEntry(_Entry):
    """A quantile that a model of rungs publishes, for medians below a rung; the last has no such end."""

    below: float | None = None
    level: float = Field(ge=0.5, lt=1)


class LevelEntry(_Entry):
    """What belongs to one confidence level.

    ``files`` maps a role (``forest``, ``lower`` …) to the name of a file or folder entry.  ``correction``
    (1/Å) is subtracted from the lower and added to the upper bound.  ``kdist`` is a constant model's
    constant (1/Å).  ``bands`` are of models of rungs.
    """

    files: dict[str, str] = {}
    correction: float = 0.0
    kdist: float | None = Field(None, gt=0)
    bands: tuple[BandEntry, ...] = ()

    @field_validator("bands")
    @classmethod
    def _bands_are_whole(cls, bands: tuple[BandEntry, ...]) -> tuple[BandEntry, ...]:
        ends = [band.below for band in bands]
        known = [end for end in ends if end is not None]
        if bands and (ends[-1] is not None or ends[:-1] != sorted(set(known))):
            raise ValueError("must ascend, and the last has no 'below'")
        return bands


class ModelEntry(_Entry):
    """One model: what kind, what it needs at every level, what a user should know of it."""

    kind: Literal[ModelKind.FOREST, ModelKind.ALIGNN, ModelKind.CONSTANT, ModelKind.K_INDEX]
    title: str
    feature_schema: str | None = None
    files: dict[str, str] = {}
    levels: dict[str, LevelEntry]
    correction_origin: str = "none"
    training_elements: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""
    domain: str = ""
    remarks: tuple[str, ...] = ()


class Registry(_Entry):
    """All models and the files they are made of."""

    models: dict[str, ModelEntry]
    files: dict[str, FileEntry] = {}
    folders: dict[str, FolderEntry] = {}

    @model_validator(mode="after")
    def _every_file_is_known(self) -> Registry:
        for name, model in self.models.items():
            for level in model.levels.values():
                for role, file in {**model.files, **level.files}.items():
                    if file not in self.files and file not in self.folders:
                        raise ValueError(f"model {name} wants '{file}' as {role}, which is not an entry")
        return self

    @model_validator(mode="after")
    def _every_model_is_whole(self) -> Registry:
        for name, model in self.models.items():
            for confidence, level in model.levels.items():
                where, files = f"model {name} at level {confidence}", {**model.files, **level.files}
                single = model.kind.single_files
                for role in (*single, *model.kind.ensembles):
                    if role not in files:
                        raise ValueError(f"{where} is of kind {model.kind} and names no file as {role}")
                    if role in single and files[role] not in self.files:
                        raise ValueError(f"{where} needs one file as {role}, '{files[role]}' is a folder")
                if (level.kdist is None) == (model.kind is ModelKind.CONSTANT):
                    raise ValueError(f"{where}: a kdist belongs to every constant, and to nothing else")
                if bool(level.bands) != (model.kind is ModelKind.K_INDEX):
                    raise ValueError(f"{where}: bands belong to every model of rungs, and to nothing else")
        return self

    def model(self, name: str) -> ModelEntry:
        """The entry of a model.

        Raises:
            ModelError: MODEL_UNKNOWN, with the names that are known.
        """
        if name == "starter":
            raise ModelError(
                ErrorCode.MODEL_UNKNOWN,
                f"model 'starter' is gone; the model in the package is {SHIPPED}: write that, or leave the "
                "option out",
            )
        if name not in self.models:
            path = any(mark in name for mark in "/\\") or name.startswith((".", "~"))
            what = f"there is no folder {name}" if path else f"no model '{name}'"
            known = sorted({*self.models, SHIPPED})
            meant = "" if path else next(iter(difflib.get_close_matches(name, known, 1)), "")
            raise ModelError(
                ErrorCode.MODEL_UNKNOWN,
                f"{what}; {f'did you mean {meant}? ' if meant else ''}there are: {', '.join(known)}; or name "
                "the folder of a trained model",
            )
        return self.models[name]


def load_registry(path: Path | None = None) -> Registry:
    """Read a registry file; the package's own by default.

    Raises:
        ModelError: REGISTRY_INVALID, the file is missing, not TOML, or has an entry that is not understood.
    """
    path = path or Path(__file__).with_name("registry.toml")
    try:
        return Registry.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        lines = "; ".join(_complaint(item["loc"], item["type"], item["msg"]) for item in error.errors()[:5])
        raise ModelError(ErrorCode.REGISTRY_INVALID, f"registry {path} is not understood: {lines}") from error
    except RecursionError as error:
        message = f"registry {path} cannot be read: it is nested too deeply"
        raise ModelError(ErrorCode.REGISTRY_INVALID, message) from error
    except (OSError, ValueError) as error:  # no UTF-8, no TOML, numbers of thousands of digits
        message = f"registry {path} cannot be read: {error}"
        raise ModelError(ErrorCode.REGISTRY_INVALID, message) from error


def _complaint(place: tuple[int | str, ...], kind: str, message: str) -> str:
    """What is wrong at a place; for an unknown key the nearest that is known there."""
    where = ".".join(map(str, place)) or "file"
    if kind != "extra_forbidden":
        return f"{where}: {message}"
    sections: dict[object, type[_Entry]] = {"files": FileEntry, "folders": FolderEntry, "models": ModelEntry}
    section = sections.get(place[0], Registry) if len(place) > 1 else Registry
    if section is ModelEntry and "levels" in place[:-1]:
        section = LevelEntry
    return f"{where}: unknown key, {nearest(str(place[-1]), set(section.model_fields))}"
