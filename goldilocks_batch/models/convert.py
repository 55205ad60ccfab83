"""Turn a published forest's pickle into arrays and records, once, and load either.

The pickle is read without running anything in it, and the numbers are the same to the last bit.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from goldilocks_batch.artifacts.conversions import (
    ARRAYS,
    ConvertedRecord,
    Estimator,
    Needed,
    Source,
    Target,
    check_conversion,
    conversion_path,
)
from goldilocks_batch.artifacts.folder import folder_files, packed, read_arrays, sha256_of_bytes
from goldilocks_batch.artifacts.goldilocks_record import CSLR, blocks_of_width
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.record import SCHEMA_ID
from goldilocks_batch.artifacts.registry import Registry, load_registry
from goldilocks_batch.artifacts.resolve import resolve
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel
from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError
from goldilocks_batch.features.table import column_names
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.forest_pickle import read_forest_pickle

__all__ = ["PUBLISHED_BLOCKS", "convert_forest", "convert_levels", "load_forest"]

#: The published forest's blocks, schema ``comp_struct_soap_lattice_metal.v1``.
PUBLISHED_BLOCKS = ("composition", "structure", "soap", "lattice", "metallicity")


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
    kind = registry.model(name).kind
    if not kind.is_converted:
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
    known = blocks_of_width(int(forest.n_features[0]))
    if known is None:
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"{source.path} takes {forest.n_features[0]} columns; {SCHEMA_ID} has 483, {CSLR} 174",
        )
    schema, blocks = known
    target = Target(contract="goldilocks.k_distance.mesh_lower_bound.2pi.v1", units="1/angstrom")
    if schema == CSLR:
        target = Target(contract="goldilocks.k_index.ladder_1based.v2", name="k_index", units=None)
    arrays = packed(forest.to_arrays())
    version = importlib.metadata.version("goldilocks-batch")
    record = ConvertedRecord(
        record_origin=f"goldilocks-batch {version}, converted from a published pickle",
        artifacts=Estimator(estimator_sha256=sha256_of_bytes(arrays)),
        source=Source(name=source.path.name, sha256=source.sha256, size_bytes=source.stamp[0]),
        task="k_index" if schema == CSLR else "k_distance",
        feature_schema=schema,
        feature_columns=tuple(column_names(blocks)),
        quantiles=tuple(forest.quantiles.tolist()),
        requires_artifacts=_network() if "metallicity" in blocks else (),
        runtime={"id": "goldilocks-batch", "version": version},
        target=target,
    )
    return folder_files({ARRAYS: arrays}, record)


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
