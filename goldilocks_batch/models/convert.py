"""A published forest without its pickle: arrays and records, made once, that every worker loads quickly.

A conversion lies in ``<cache>/converted/forest.v1/<sha256 of the pickle>``: it cannot be another pickle's,
and does not enter a run's identity, since the numbers are the same to the last bit.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from goldilocks_batch.artifacts.cache import read_pins
from goldilocks_batch.artifacts.folder import (
    PLAIN_NAME,
    SHA256,
    ModelFolder,
    RecordPart,
    cannot_be_used,
    folder_files,
    packed,
    read_arrays,
    sha256_of_bytes,
)
from goldilocks_batch.artifacts.record import SCHEMA_ID
from goldilocks_batch.artifacts.registry import FileEntry, Registry, load_registry
from goldilocks_batch.artifacts.resolve import Places, holding, level_of, resolve
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel, digested
from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError
from goldilocks_batch.features.table import column_names
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.forest_pickle import read_forest_pickle

__all__ = [
    "PUBLISHED_BLOCKS",
    "ConvertedRecord",
    "check_conversion",
    "conversion_path",
    "conversions",
    "convert_forest",
    "convert_levels",
    "load_forest",
    "read_conversion",
    "resolve_published",
    "with_conversion",
]

#: The published forest's blocks, schema ``comp_struct_soap_lattice_metal.v1``.
PUBLISHED_BLOCKS = ("composition", "structure", "soap", "lattice", "metallicity")

_ARRAYS = "forest.safetensors"


class _Schema(RecordPart):
    record_schema_version: str = ""


class Source(RecordPart):
    """The pickle that a forest was converted from."""

    name: str = Field(pattern=PLAIN_NAME)
    sha256: str = Field(pattern=SHA256)
    size_bytes: int = Field(ge=0)
    format: Literal["pickle of sklearn_quantile.RandomForestQuantileRegressor"] = (
        "pickle of sklearn_quantile.RandomForestQuantileRegressor"
    )


class Estimator(RecordPart):
    """The file of arrays."""

    estimator: Literal["forest.safetensors"] = "forest.safetensors"
    estimator_sha256: str = Field(pattern=SHA256)


class Target(RecordPart):
    """What is predicted."""

    contract: Literal["goldilocks.k_distance.mesh_lower_bound.2pi.v1"]
    name: str = "k_distance"
    units: Literal["1/angstrom"]


class Needed(RecordPart):
    """A file that the features need."""

    name: str
    file: str
    record_id: str
    sha256: str = Field(pattern=SHA256)


class ConvertedRecord(RecordPart):
    """``model.json``: the Goldilocks record format, as far as a pickle without a record can fill it.

    Nothing in it depends on a registry but the network's digests, the package's own: corrections belong to a
    confidence level, not to the file.
    """

    record_schema_version: Literal["goldilocks_batch.converted_forest.v1"] = (
        "goldilocks_batch.converted_forest.v1"
    )
    record_origin: str
    task: Literal["k_distance"] = "k_distance"
    role: Literal["quantile_forest"] = "quantile_forest"
    artifacts: Estimator
    source: Source
    feature_schema: Literal["comp_struct_soap_lattice_metal.v1"]
    feature_columns: tuple[str, ...]
    quantiles: tuple[float, ...]
    quantile_rule: Literal["sklearn_quantile_0.1.1.linear"] = "sklearn_quantile_0.1.1.linear"
    feature_parameters: dict[str, str] = Field(default_factory=lambda: {"soap_zeros": "library"})
    requires_artifacts: tuple[Needed, ...] = ()
    runtime: dict[str, str] = Field(default_factory=dict)
    trainer: dict[str, str] = Field(
        default_factory=lambda: {"id": "sklearn_quantile.RandomForestQuantileRegressor"}
    )
    seed: None = None  # the pickle does not tell
    target: Target
    calibration: None = None
    deterministic: bool = True


def conversion_path(folder: Path, sha256: str) -> Path:
    """Where the conversion of a pickle lies in a folder of the project's layout."""
    return folder / "converted" / "forest.v1" / sha256


def conversions(folder: Path) -> list[Path]:
    """All conversions in a folder of the project's layout."""
    return sorted(path for path in conversion_path(folder, "").glob("[0-9a-f]*") if path.is_dir())


def read_conversion(path: Path) -> ConvertedRecord | None:
    """The record of a folder that holds a conversion, None if it holds another model.

    Raises:
        ModelError: the folder is no model's, or a record is altered or not understood.
    """
    folder = ModelFolder(path)
    known: object = ConvertedRecord.model_fields["record_schema_version"].default
    if folder.record(_Schema).record_schema_version != known:
        return None
    return folder.record(ConvertedRecord)


def check_conversion(path: Path, sha256: str) -> ResolvedFile:
    """The arrays of a conversion, digested; they are looked into by whoever loads them.

    Args:
        path: the conversion's folder.
        sha256: of the pickle that it should be of.

    Raises:
        ModelError: a file is missing, altered, outside the folder, or the conversion is of another pickle.
    """
    try:
        folder = ModelFolder(path)
        record = folder.record(ConvertedRecord)
        if record.source.sha256 != sha256:
            raise cannot_be_used(path, f"it was converted from a file of sha256 {record.source.sha256}")
        listed = record.artifacts.estimator_sha256
        if folder.sha256(_ARRAYS) != listed:
            raise cannot_be_used(path, f"model.json and manifest.json name different sha256 for {_ARRAYS}")
        return digested("converted", folder.located(_ARRAYS), listed, pinned_by="its model.json")
    except ModelError as error:
        hint = "'goldilocks-batch models convert' makes it anew"
        raise ModelError(error.code, f"{error.message}; {hint}") from error


def resolve_published(
    registry: Registry, name: str, confidence: float, places: Places, *, make: bool = True
) -> ResolvedModel:
    """Find and check a model of the registry, a forest with its conversion, which does for the pickle.

    Args:
        registry: what the files should be.
        name: the model.
        confidence: one-sided.
        places: where they are looked for.
        make: make a conversion that is not there.

    Raises:
        ModelError: as :func:`~goldilocks_batch.artifacts.resolve.resolve` and :func:`with_conversion`.
    """
    given = {}
    if registry.model(name).kind == "forest":
        files = {**registry.model(name).files, **level_of(registry, name, confidence).files}
        given = _stand_in(registry.files[files["forest"]], places)
    return with_conversion(resolve(registry, name, confidence, places, given), places.folders, make=make)


def _stand_in(entry: FileEntry, places: Places) -> dict[str, ResolvedFile]:
    """A pickle that is not here and whose digest is known, if its conversion is here."""
    if holding(entry, places) is not None:
        return {}
    for folder in places.folders:
        locked = read_pins(folder / entry.repository).files.get(entry.path)
        sha256 = entry.sha256 or (locked.sha256 if locked else None)
        if sha256 is not None and conversion_path(folder, sha256).is_dir():
            path, revision = folder / entry.repository / entry.path, entry.revision or "not pinned"
            return {"forest": ResolvedFile("forest", path, sha256, True, (0, 0), revision)}
    return {}


def with_conversion(model: ResolvedModel, folders: Sequence[Path], *, make: bool = True) -> ResolvedModel:
    """The model with its forest converted, if it has a published one.

    Args:
        model: found and checked.
        folders: searched for a conversion; one that is not found is made in the last, the project's cache.
            If that cannot be written, workers read the pickle.
        make: make it; otherwise workers read the pickle too.

    Raises:
        ModelError: a conversion has been altered, or the pickle is not acceptable.
    """
    if model.kind != "forest":
        return model
    source = model.only("forest")
    for folder in folders:
        path = conversion_path(folder, source.sha256)
        if path.is_dir():
            return replace(model, converted=check_conversion(path, source.sha256))
    if not make:
        return model
    try:
        return replace(model, converted=convert_forest(source, folders[-1]))
    except RunError:
        return model


def convert_forest(source: ResolvedFile, folder: Path) -> ResolvedFile:
    """Convert a published forest, unless a good conversion is there; a damaged one is replaced.

    Args:
        source: the pickle, found and checked.
        folder: of the project's layout.

    Returns:
        The file of arrays.

    Raises:
        ModelError: the pickle has changed, or is not acceptable.
        RunError: WRITE_FAILED.
    """
    path = conversion_path(folder, source.sha256)
    with contextlib.suppress(ModelError):
        return check_conversion(path, source.sha256)
    forest = read_forest_pickle(source.checked())
    files = _files_of(forest, source)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        _take_place(temporary, path, source.sha256)
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot write the conversion to {path}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return check_conversion(path, source.sha256)


def convert_levels(
    registry: Registry, name: str, confidences: Sequence[float], places: Places, folder: Path
) -> Iterator[tuple[float, ResolvedFile, ResolvedFile]]:
    """Convert a model's forests; for each level the confidence, the pickle and the file of arrays.

    Args:
        registry: what the files should be.
        name: the model.
        confidences: its levels, one-sided.
        places: where the pickles are looked for.
        folder: of the project's layout, where the conversions go.

    Raises:
        ModelError: the model is no forest or not known; as :func:`resolve` and :func:`convert_forest`.
        RunError: WRITE_FAILED.
    """
    if registry.model(name).kind != "forest":
        kind = registry.model(name).kind
        message = f"model '{name}' is of kind {kind}; only the published forests are pickles"
        raise ModelError(ErrorCode.MODEL_UNKNOWN, message)
    for confidence in confidences:
        source = resolve(registry, name, confidence, places).only("forest")
        yield confidence, source, convert_forest(source, folder)


def load_forest(model: ResolvedModel) -> Forest:
    """The forest of a published model: its conversion if it can be read here, else its pickle.

    Raises:
        ModelError: the file has changed since it was checked, or is not acceptable.
    """
    source = model.source
    if source == model.converted:
        return Forest.from_arrays(read_arrays(source.checked()))
    return read_forest_pickle(source.checked())


def _files_of(forest: Forest, source: ResolvedFile) -> dict[str, bytes]:
    columns = column_names(PUBLISHED_BLOCKS)
    if forest.n_features[0] != len(columns):
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"{source.path} takes {forest.n_features[0]} columns, {SCHEMA_ID} has {len(columns)}",
        )
    arrays = packed(forest.to_arrays())
    version = importlib.metadata.version("goldilocks-batch")
    record = ConvertedRecord(
        record_origin=f"goldilocks-batch {version}, converted from a published pickle",
        artifacts=Estimator(estimator_sha256=sha256_of_bytes(arrays)),
        source=Source(name=source.path.name, sha256=source.sha256, size_bytes=source.stamp[0]),
        feature_schema=SCHEMA_ID,
        feature_columns=tuple(columns),
        quantiles=tuple(forest.quantiles.tolist()),
        requires_artifacts=_network(),
        runtime={"id": "goldilocks-batch", "version": version},
        target=Target(contract="goldilocks.k_distance.mesh_lower_bound.2pi.v1", units="1/angstrom"),
    )
    return folder_files({_ARRAYS: arrays}, record)


def _network() -> tuple[Needed, ...]:
    """The published metallicity network, which the published forests were trained with."""
    registry = load_registry()
    entries = {role: registry.files[key] for role, key in registry.model("rf").files.items()}
    return tuple(
        Needed(name=role, file=entry.path, record_id=entry.repository, sha256=entry.sha256 or "")
        for role, entry in entries.items()
    )


def _take_place(temporary: Path, path: Path, sha256: str) -> None:
    """Rename a whole folder into its place; one that another process has put there is as good."""
    try:
        temporary.rename(path)
    except OSError:
        try:
            check_conversion(path, sha256)
        except ModelError:  # what is there is damaged
            shutil.rmtree(path)
            temporary.rename(path)
