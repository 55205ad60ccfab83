"""A trained model on disk: ``model.json``, ``manifest.json`` and arrays in safetensors; no pickle.

``manifest.json`` lists every file of the folder with its size and sha256, ``model.json`` among them, and
``model.json`` says what the numbers mean in the Goldilocks record format.  Reading goes from the outside in
and stops at the first thing that is wrong: sizes, digests, the record, the arrays' headers, the arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from goldilocks_batch.crystal import Crystal
from goldilocks_batch.errors import ErrorCode, ModelError, RunError
from goldilocks_batch.features.soap import Zeros
from goldilocks_batch.features.table import n_columns
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.interface import ModelInputs, RawBounds
from goldilocks_batch.training.conformal import Calibration
from goldilocks_batch.training.model_record import COLUMN_DIGESTS, LARGEST_FILE, Listed, Manifest, ModelRecord

__all__ = ["CalibratedForest", "TrainedModel", "read_model", "write_model"]

_FOREST, _CALIBRATION = "forest.safetensors", "calibration.safetensors"
_LARGEST_JSON = 4 * 2**20
#: A dozen arrays need a header of some hundred bytes.
_LARGEST_HEADER = 2**16

_Parsed = TypeVar("_Parsed", bound=BaseModel)


class CalibratedForest:
    """A trained forest at one confidence, as a :class:`~goldilocks_batch.models.interface.Model`.

    The bounds it gives are final: they need no correction.  A cell larger than any it was trained on is
    flagged ``outside_training_cells``.

    Attributes:
        feature_blocks: what its columns are.
        zeros: what stands for SOAP entries that vanish by symmetry.
        margins: what its quantiles are moved by.
    """

    def __init__(self, model: TrainedModel, confidence: float) -> None:
        self.feature_blocks = model.record.feature_blocks
        self.zeros: Zeros = model.record.feature_parameters.get("soap_zeros", "library")
        self.margins = model.calibration.margins(confidence)
        self._forest = model.forest
        self._largest = model.record.largest_cell

    def prepare(self, crystals: Sequence[Crystal]) -> None:
        """Nothing to prepare: features are all a forest takes."""

    def predict(self, inputs: ModelInputs) -> RawBounds:
        """Calibrated lower bound, median, calibrated upper bound."""
        if inputs.features is None:
            raise ValueError("a forest needs features")
        bounds = self.margins.apply(self._forest.predict(inputs.features, self.margins.quantiles))
        large = [row for row, crystal in enumerate(inputs.crystals) if len(crystal) > self._largest]
        return RawBounds(bounds, flags=dict.fromkeys(large, ("outside_training_cells",)))


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A model folder, read and checked.

    Attributes:
        record: ``model.json``.
        forest: its arrays.
        calibration: its held-out rows.
        digest: sha256 of ``manifest.json``, which names those of all other files.
    """

    record: ModelRecord
    forest: Forest
    calibration: Calibration
    digest: str

    def at(self, confidence: float) -> CalibratedForest:
        """The model at a one-sided confidence, any in (0.5, 1) that its calibration rows allow.

        Raises:
            ConfigError: see :meth:`~goldilocks_batch.training.conformal.Calibration.margins`.
        """
        return CalibratedForest(self, confidence)


def write_model(
    folder: Path,
    forest: Forest,
    calibration: Calibration,
    about: Mapping[str, Any],
    extra: Mapping[str, bytes] | None = None,
) -> ModelRecord:
    """Write a model; the same arguments give the same bytes.

    Args:
        folder: made if it is missing; files of these names are replaced.
        forest: its arrays.
        calibration: its held-out rows.
        about: the fields of :class:`ModelRecord` that do not follow from the arrays.
        extra: further files by name, e.g. ``card.md``; listed in the manifest.

    Raises:
        RunError: WRITE_FAILED, the file system refuses.
    """
    files = {_FOREST: _packed(forest.to_arrays()), _CALIBRATION: _packed(calibration.to_arrays())}
    artifacts = {
        "estimator_sha256": _sha256(files[_FOREST]),
        "calibration_sha256": _sha256(files[_CALIBRATION]),
    }
    record = ModelRecord.model_validate({**about, "artifacts": artifacts})
    files["model.json"] = _json(record.model_dump(mode="json"))
    files |= extra or {}
    listed = [
        {"name": name, "size_bytes": len(data), "sha256": _sha256(data)}
        for name, data in sorted(files.items())
    ]
    files["manifest.json"] = _json({"artifacts": listed})  # last: a folder without it is no model
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        message = f"cannot write the model to {folder}: {error}"
        raise RunError(ErrorCode.WRITE_FAILED, message) from error
    return record


def read_model(folder: Path) -> TrainedModel:
    """Read a model folder by its own records.

    Raises:
        ModelError: ARTIFACT_MISSING; ARTIFACT_DIGEST, a file is not the one the manifest lists;
            ARTIFACT_FORBIDDEN, a file lies outside the folder or is larger than any model needs;
            ARTIFACT_INVALID, the record asks for what is not known here, or arrays are not what they should
            be.
    """
    manifest_bytes = _read(folder, "manifest.json", _LARGEST_JSON)
    manifest = _parsed(Manifest, manifest_bytes, folder / "manifest.json")
    files = {entry.name: entry for entry in manifest.artifacts}
    if len(files) < len(manifest.artifacts):
        raise _invalid(folder / "manifest.json", "it lists a file twice")
    record = _parsed(ModelRecord, _verified(folder, files, "model.json"), folder / "model.json")
    _check_columns(folder, record)
    artifacts = record.artifacts
    named = {_FOREST: artifacts.estimator_sha256, _CALIBRATION: artifacts.calibration_sha256}
    for name, sha256 in named.items():
        if name in files and files[name].sha256 != sha256:
            raise _invalid(folder / "model.json", f"it names another sha256 for {name} than manifest.json")
    forest = Forest.from_arrays(_arrays(folder, files, _FOREST))
    if forest.n_features[0] != len(record.feature_columns):
        raise _invalid(
            folder / _FOREST, f"it takes {forest.n_features[0]} columns, the record has another number"
        )
    calibration = Calibration.from_arrays(_arrays(folder, files, _CALIBRATION), record.calibration.kind)
    return TrainedModel(record, forest, calibration, _sha256(manifest_bytes))


def _check_columns(folder: Path, record: ModelRecord) -> None:
    digest = _sha256("\n".join(record.feature_columns).encode())
    if digest != COLUMN_DIGESTS[record.feature_schema]:
        raise _invalid(
            folder / "model.json",
            f"its {len(record.feature_columns)} feature columns are not the "
            f"{n_columns(record.feature_blocks)} of {record.feature_schema}",
        )


def _verified(folder: Path, files: Mapping[str, Listed], name: str) -> bytes:
    """A file's content, if it is what the manifest lists."""
    if name not in files:
        raise _invalid(folder / "manifest.json", f"it does not list {name}")
    entry = files[name]
    limit = _LARGEST_JSON if name.endswith(".json") else LARGEST_FILE
    data = _read(folder, name, min(limit, entry.size_bytes))
    if len(data) != entry.size_bytes or _sha256(data) != entry.sha256:
        raise ModelError(
            ErrorCode.ARTIFACT_DIGEST,
            f"{folder / name} is not the file that manifest.json lists: it is damaged or has been changed. "
            "Nothing in it was used",
        )
    return data


def _read(folder: Path, name: str, limit: int) -> bytes:
    """A plain file inside the folder, links resolved; one byte past the limit is enough to refuse it."""
    path = folder / name
    try:
        resolved = path.resolve(strict=True)
        if not resolved.is_file() or not resolved.is_relative_to(folder.resolve()):
            raise ModelError(ErrorCode.ARTIFACT_FORBIDDEN, f"{path} is no file inside the model's folder")
        with resolved.open("rb") as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError as error:
        raise ModelError(
            ErrorCode.ARTIFACT_MISSING, f"{path} does not exist; a model is a folder with manifest.json"
        ) from error
    except OSError as error:
        raise ModelError(ErrorCode.ARTIFACT_MISSING, f"{path} cannot be read: {error}") from error
    if len(data) > limit:
        raise ModelError(
            ErrorCode.ARTIFACT_FORBIDDEN, f"{path} is larger than the {limit} bytes that it may have"
        )
    return data


def _parsed(kind: type[_Parsed], data: bytes, path: Path) -> _Parsed:
    try:
        return kind.model_validate(json.loads(data))
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise _invalid(path, lines) from error
    except (ValueError, RecursionError) as error:
        raise _invalid(path, f"it is not JSON: {error}") from error


def _arrays(folder: Path, files: Mapping[str, Listed], name: str) -> dict[str, NDArray[Any]]:
    """Arrays of a safetensors file; its header is limited before the library sees it."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = _verified(folder, files, name)
    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > min(_LARGEST_HEADER, len(data) - 8):
        raise _invalid(folder / name, f"its header claims {header} bytes of {len(data)}")
    try:
        return {key: np.ascontiguousarray(array) for key, array in load(data).items()}
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _invalid(folder / name, f"it is no safetensors file: {error}") from error


def _packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _invalid(path: Path, reason: str) -> ModelError:
    return ModelError(ErrorCode.ARTIFACT_INVALID, f"{path} cannot be used: {reason}")
