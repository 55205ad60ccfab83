"""Models that describe themselves: a folder of records and arrays, or the one in the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from goldilocks_batch.artifacts.folder import ModelFolder, cannot_be_used
from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.record import ModelRecord, expect_columns, expect_confidence, expect_rows
from goldilocks_batch.artifacts.registry import STARTER, Registry, load_registry
from goldilocks_batch.artifacts.resolve import resolve_files
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel, digested
from goldilocks_batch.core.errors import ErrorCode, ModelError

__all__ = ["resolve_trained", "shipped_model", "trained_folder"]


def shipped_model(name: str) -> Path:
    """The folder of a model that comes with the package."""
    return Path(__file__).with_name("shipped") / name


def trained_folder(name: str, registry: Registry) -> Path | None:
    """The folder of a model that is not of the registry: the one in the package, or one that is named."""
    if name in registry.models:
        return None
    if name == STARTER:
        return shipped_model(STARTER)
    return Path(name) if Path(name).is_dir() else None


def resolve_trained(
    folder: Path, confidence: float, registry: Registry | None = None, places: Places | None = None
) -> ResolvedModel:
    """A model that was trained with this package, found by its own records.

    Args:
        folder: holds ``manifest.json`` and what it lists.
        confidence: one-sided; any that its calibration rows allow.
        registry: what published files its features need should be; the package's own by default.
        places: where those are looked for.

    Raises:
        ModelError: a file is missing, altered or not acceptable, or the record asks for what is not known.
        ConfigError: too few calibration rows for this confidence.
    """
    listing = ModelFolder(folder)
    record = listing.record(ModelRecord)
    expect_columns(folder, record)
    calibration = record.calibration
    expect_confidence(confidence)
    expect_rows(calibration.rows, confidence)
    names = ["model.json", *record.artifacts.names]
    files = [digested("manifest", folder / "manifest.json", listing.digest)]
    for name in names:
        expected = listing.sha256(name)
        if expected is None:
            raise cannot_be_used(folder / "manifest.json", f"it does not list {name}")
        file = digested(name.split(".")[0], listing.located(name), expected, pinned_by="manifest.json")
        files.append(replace(file, pinned=False))
    if "metallicity" in record.feature_blocks:
        wanted = {required.name: required.sha256 for required in record.requires_artifacts}
        files += _network(record.name, wanted, registry or load_registry(), places or Places())
    return ResolvedModel(
        name=record.name,
        kind=ModelKind.TRAINED_ALIGNN if record.role == "alignn_ensemble" else ModelKind.TRAINED,
        confidence=confidence,
        revision=f"sha256 {listing.digest[:12]}",
        correction=0.0,
        correction_origin=f"inside the model: {calibration.kind} conformal on {calibration.rows} labels",
        kdist=None,
        training_elements=record.training_elements,
        files=tuple(files),
        remarks=record.remarks,
    )


def _network(
    name: str, wanted: Mapping[str, str], registry: Registry, places: Places
) -> tuple[ResolvedFile, ...]:
    """The metallicity network's files, which must be those that a model was trained with."""
    roles = registry.model("rf").files
    if set(wanted) != set(roles):
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"model '{name}' has metallicity features, which take {', '.join(sorted(roles))}; its record "
            f"requires {', '.join(sorted(wanted)) or 'no files'}",
        )
    files = resolve_files(registry, roles, "rf", places)
    for file in files:
        if file.sha256 != wanted[file.role]:
            raise ModelError(
                ErrorCode.ARTIFACT_DIGEST,
                f"model '{name}' was trained with {file.role} of sha256 {wanted[file.role]}, {file.path} has "
                f"{file.sha256}: another network gives other features",
            )
    return files
