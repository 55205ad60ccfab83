"""A model as a folder of records and arrays, none of which can run code.

``manifest.json`` lists every file with its size and sha256.  Reading goes from the outside in and stops at
the first thing that is wrong: where the file lies, its size, its digest, the record, the arrays' header, the
arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError

__all__ = [
    "LARGEST_FILE",
    "PLAIN_NAME",
    "SHA256",
    "Listed",
    "ModelFolder",
    "RecordPart",
    "cannot_be_used",
    "folder_files",
    "packed",
    "parsed_json",
    "read_arrays",
    "read_plain",
    "sha256_of_bytes",
    "write_folder",
]

#: Bytes of the largest file that a model may have.
LARGEST_FILE = 4 * 2**30
#: A digest, as hexadecimal digits.
SHA256 = r"^[0-9a-f]{64}$"
#: A plain name: no folder, nothing hidden.
PLAIN_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"

_MANIFEST = "manifest.json"
_LARGEST_JSON = 4 * 2**20
#: A dozen arrays need a header of some hundred bytes.
_LARGEST_HEADER = 2**16

_Parsed = TypeVar("_Parsed", bound=BaseModel)


class RecordPart(BaseModel):
    """Keys that are not known here are another tool's and are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Listed(RecordPart):
    """A file of the folder."""

    name: str = Field(pattern=PLAIN_NAME)
    size_bytes: int = Field(ge=0, le=LARGEST_FILE)
    sha256: str = Field(pattern=SHA256)


class _Manifest(RecordPart):
    artifacts: tuple[Listed, ...] = Field(max_length=64)


class ModelFolder:
    """A folder whose manifest has been read; its files are checked against it as they are asked for.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        digest: sha256 of the manifest, which names those of all other files.

    Raises:
        ModelError: ARTIFACT_MISSING, ARTIFACT_FORBIDDEN or ARTIFACT_INVALID, as :func:`read_plain`; the
            manifest is not understood.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        data = read_plain(path, _MANIFEST, _LARGEST_JSON)
        manifest = parsed_json(_Manifest, data, path / _MANIFEST)
        self.digest = sha256_of_bytes(data)
        self._files = {entry.name: entry for entry in manifest.artifacts}
        if len(self._files) < len(manifest.artifacts):
            raise cannot_be_used(path / _MANIFEST, "it lists a file twice")

    @property
    def names(self) -> set[str]:
        """Of the files that make the model, the manifest among them."""
        return {_MANIFEST, *self._files}

    def sha256(self, name: str) -> str | None:
        """The digest that the manifest lists for a file, None if it does not list it."""
        return self._files[name].sha256 if name in self._files else None

    def located(self, name: str) -> Path:
        """Where a file is that may be large; its digest is for the caller to check.

        Raises:
            ModelError: ARTIFACT_MISSING; ARTIFACT_FORBIDDEN, it lies outside the folder; ARTIFACT_INVALID,
                the manifest does not list it; ARTIFACT_DIGEST, its size is not the one listed.
        """
        entry, path = self._entry(name), _inside(self.path, name)
        size = path.stat().st_size
        if size != entry.size_bytes:
            raise ModelError(
                ErrorCode.ARTIFACT_DIGEST,
                f"{self.path / name} has {size} bytes, manifest.json lists {entry.size_bytes}: it was cut "
                "short or changed. Nothing in it was used",
            )
        return path

    def record(self, kind: type[_Parsed], name: str = "model.json") -> _Parsed:
        """A record, its file checked.

        Raises:
            ModelError: ARTIFACT_DIGEST, it is not the file that is listed; ARTIFACT_INVALID, it asks for
                what ``kind`` does not know.
        """
        return parsed_json(kind, self.checked(name), self.path / name)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of a safetensors file by name, the file checked.

        Raises:
            ModelError: ARTIFACT_DIGEST, it is not the file that is listed; ARTIFACT_INVALID, it is no
                safetensors file.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        data, path = self.checked(name), self.path / name
        _check_header(data[:8], len(data), path)
        try:
            return {key: np.ascontiguousarray(array) for key, array in load(data).items()}
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise cannot_be_used(path, f"it is no safetensors file: {error}") from error

    def checked(self, name: str) -> bytes:
        """A file's content, if it is what the manifest lists.

        Raises:
            ModelError: ARTIFACT_DIGEST, it is not; ARTIFACT_INVALID, the manifest does not list it; as
                :func:`read_plain`.
        """
        entry = self._entry(name)
        limit = _LARGEST_JSON if name.endswith(".json") else LARGEST_FILE
        data = read_plain(self.path, name, min(limit, entry.size_bytes))
        if len(data) != entry.size_bytes or sha256_of_bytes(data) != entry.sha256:
            raise ModelError(
                ErrorCode.ARTIFACT_DIGEST,
                f"{self.path / name} is not the file that manifest.json lists: it is damaged or has been "
                "changed. Nothing in it was used",
            )
        return data

    def _entry(self, name: str) -> Listed:
        if name not in self._files:
            raise cannot_be_used(self.path / _MANIFEST, f"it does not list {name}")
        return self._files[name]


def folder_files(files: Mapping[str, bytes], record: BaseModel) -> dict[str, bytes]:
    """Everything a folder holds: the files given, ``model.json``, and last the manifest that lists them."""
    whole = dict(files) | {"model.json": _json(record.model_dump(mode="json"))}
    listed = [
        {"name": name, "size_bytes": len(data), "sha256": sha256_of_bytes(data)}
        for name, data in sorted(whole.items())
    ]
    return whole | {_MANIFEST: _json({"artifacts": listed})}


def write_folder(folder: Path, files: Mapping[str, bytes], record: BaseModel) -> None:
    """Write such a folder, made if it is missing; files of these names are replaced.

    Raises:
        RunError: WRITE_FAILED, the file system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in folder_files(files, record).items():
            (folder / name).write_bytes(data)
    except OSError as error:
        message = f"cannot write the model to {folder}: {error}"
        raise RunError(ErrorCode.WRITE_FAILED, message) from error


def read_plain(folder: Path, name: str, limit: int) -> bytes:
    """A plain file inside a folder, links resolved; one byte past the limit is enough to refuse it.

    Raises:
        ModelError: ARTIFACT_MISSING, it is not there or cannot be read; ARTIFACT_FORBIDDEN, it lies
            outside the folder, or is larger than ``limit`` bytes.
    """
    path = folder / name
    resolved = _inside(folder, name)
    try:
        with resolved.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise ModelError(ErrorCode.ARTIFACT_MISSING, f"{path} cannot be read: {error}") from error
    if len(data) > limit:
        raise ModelError(
            ErrorCode.ARTIFACT_FORBIDDEN, f"{path} is larger than the {limit} bytes that it may have"
        )
    return data


def _inside(folder: Path, name: str) -> Path:
    """Where a file of a folder really is, which must be inside it."""
    path = folder / name
    try:
        resolved = path.resolve(strict=True)
        inside = resolved.is_file() and resolved.is_relative_to(folder.resolve())
    except FileNotFoundError as error:
        raise ModelError(
            ErrorCode.ARTIFACT_MISSING, f"{path} does not exist; a model is a folder with manifest.json"
        ) from error
    except (OSError, RuntimeError) as error:  # such as links that go round in circles
        raise ModelError(ErrorCode.ARTIFACT_MISSING, f"{path} cannot be read: {error}") from error
    if not inside:
        raise ModelError(ErrorCode.ARTIFACT_FORBIDDEN, f"{path} is no file inside the model's folder")
    return resolved


def parsed_json(kind: type[_Parsed], data: bytes, path: Path) -> _Parsed:
    """A record of its JSON text.

    Raises:
        ModelError: ARTIFACT_INVALID, it is no JSON, or not understood.
    """
    try:
        values = json.loads(data)
        return kind.model_validate(values)
    except ValidationError as error:
        version = kind.model_fields.get("record_schema_version")
        found = values.get("record_schema_version") if isinstance(values, dict) else None
        if version is not None and found != version.default:  # all else follows from that
            complaint = f"its record_schema_version is {found!r}, expected was {version.default!r}"
            raise cannot_be_used(path, complaint) from error
        lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise cannot_be_used(path, lines) from error
    except (ValueError, RecursionError) as error:
        raise cannot_be_used(path, f"it is not JSON: {error}") from error


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file that has been checked before, without holding the file in memory.

    Raises:
        ModelError: ARTIFACT_MISSING, it cannot be read; ARTIFACT_INVALID, it is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as stream:
            _check_header(stream.read(8), path.stat().st_size, path)
        with safe_open(path, framework="numpy") as stored:
            return {name: np.ascontiguousarray(stored.get_tensor(name)) for name in stored.keys()}  # noqa: SIM118
    except OSError as error:
        raise ModelError(ErrorCode.ARTIFACT_MISSING, f"{path} cannot be read: {error}") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise cannot_be_used(path, f"it is no safetensors file: {error}") from error


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A safetensors file of these arrays; the same arrays give the same bytes."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})


def sha256_of_bytes(data: bytes) -> str:
    """Digest, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def cannot_be_used(path: Path, reason: str) -> ModelError:
    """ARTIFACT_INVALID, with the reason."""
    return ModelError(ErrorCode.ARTIFACT_INVALID, f"{path} cannot be used: {reason}")


def _check_header(first: bytes, size: int, path: Path) -> None:
    """A safetensors header is limited before the library sees it."""
    header = int.from_bytes(first, "little")
    if len(first) < 8 or header > min(_LARGEST_HEADER, size - 8):
        raise cannot_be_used(path, f"its header claims {header} bytes of {size}")


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
