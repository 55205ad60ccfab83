"""Published forests that have been turned into arrays and records, which workers load in place of pickles.

A conversion lies in ``<cache>/converted/forest.v1/<sha256 of the pickle>``: it cannot be another pickle's,
and does not enter a run's identity, since the numbers are the same to the last bit.  It is made by
:mod:`goldilocks_batch.models.convert`, which is passed in here as a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from goldilocks_batch.artifacts.cache import read_pins
from goldilocks_batch.artifacts.folder import PLAIN_NAME, SHA256, ModelFolder, RecordPart, cannot_be_used
from goldilocks_batch.artifacts.places import Places, holding
from goldilocks_batch.artifacts.registry import FileEntry, Registry
from goldilocks_batch.artifacts.resolve import level_of, resolve
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel, digested
from goldilocks_batch.core.errors import ModelError, RunError

__all__ = [
    "ARRAYS",
    "ConvertedRecord",
    "Converter",
    "Estimator",
    "Needed",
    "Source",
    "Target",
    "check_conversion",
    "conversion_path",
    "conversions",
    "read_conversion",
    "resolve_published",
    "with_conversion",
]

#: Turns a pickle into a conversion in a folder of the project's layout, and gives its file of arrays.
Converter = Callable[[ResolvedFile, Path], ResolvedFile]

#: Name of the file of arrays.
ARRAYS = "forest.safetensors"


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

    contract: Literal["goldilocks.k_distance.mesh_lower_bound.2pi.v1", "goldilocks.k_index.ladder_1based.v2"]
    name: str = "k_distance"
    units: Literal["1/angstrom"] | None


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
    task: Literal["k_distance", "k_index"] = "k_distance"
    role: Literal["quantile_forest"] = "quantile_forest"
    artifacts: Estimator
    source: Source
    feature_schema: Literal["comp_struct_soap_lattice_metal.v1", "cslr.v1"]
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
        if folder.sha256(ARRAYS) != listed:
            raise cannot_be_used(path, f"model.json and manifest.json name different sha256 for {ARRAYS}")
        return digested("converted", folder.located(ARRAYS), listed, pinned_by="its model.json")
    except ModelError as error:
        hint = "'goldilocks-batch models convert' makes it anew"
        raise ModelError(error.code, f"{error.message}; {hint}") from error


def resolve_published(
    registry: Registry, name: str, confidence: float, places: Places, *, convert: Converter | None = None
) -> ResolvedModel:
    """Find and check a model of the registry, a forest with its conversion, which does for the pickle.

    Args:
        registry: what the files should be.
        name: the model.
        confidence: one-sided.
        places: where they are looked for.
        convert: makes a conversion that is not there; without it workers read the pickle.

    Raises:
        ModelError: as :func:`~goldilocks_batch.artifacts.resolve.resolve` and :func:`with_conversion`.
    """
    given = {}
    if registry.model(name).kind.is_converted:
        files = {**registry.model(name).files, **level_of(registry, name, confidence).files}
        given = _stand_in(registry.files[files["forest"]], places)
    return with_conversion(
        resolve(registry, name, confidence, places, given), places.folders, convert=convert
    )


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


def with_conversion(
    model: ResolvedModel, folders: Sequence[Path], *, convert: Converter | None = None
) -> ResolvedModel:
    """The model with its forest converted, if it has a published one.

    Args:
        model: found and checked.
        folders: searched for a conversion; one that is not found is made in the last, the project's cache.
            If that cannot be written, workers read the pickle.
        convert: makes it; without it workers read the pickle too.

    Raises:
        ModelError: a conversion has been altered, or the pickle is not acceptable.
    """
    if not model.kind.is_converted:
        return model
    source = model.only("forest")
    for folder in folders:
        path = conversion_path(folder, source.sha256)
        if path.is_dir():
            return replace(model, converted=check_conversion(path, source.sha256))
    if convert is None:
        return model
    try:
        return replace(model, converted=convert(source, folders[-1]))
    except RunError:
        return model
