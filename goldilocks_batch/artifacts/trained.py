"""Models that describe themselves: a folder of records and arrays, or the one in the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from goldilocks_batch.artifacts.coverage import expect_confidence, expect_rows
from goldilocks_batch.artifacts.folder import ModelFolder, cannot_be_used
from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.record import ModelRecord, expect_columns
from goldilocks_batch.artifacts.registry import SHIPPED, Registry, load_registry
from goldilocks_batch.artifacts.resolve import resolve_files
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel, digested
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError

__all__ = ["chosen_tolerance", "required_network", "resolve_trained", "shipped_model", "trained_folder"]


def shipped_model(name: str) -> Path:
    """The folder of a model that comes with the package."""
    return Path(__file__).with_name("shipped") / name


def trained_folder(name: str, registry: Registry) -> Path | None:
    """The folder of a model that is not of the registry: the one in the package, or one that is named."""
    if name in registry.models:
        return None
    if name == SHIPPED:
        return shipped_model(SHIPPED)
    return Path(name) if name and Path(name).is_dir() else None


def resolve_trained(
    folder: Path,
    confidence: float,
    registry: Registry | None = None,
    places: Places | None = None,
    tolerance: float | None = None,
) -> ResolvedModel:
    """A model that was trained with this package, found by its own records.

    Args:
        folder: holds ``manifest.json`` and what it lists.
        confidence: one-sided; any that its calibration rows allow.
        registry: what published files its features need should be; the package's own by default.
        places: where those are looked for.
        tolerance: meV per atom; None for the first that the model has.

    Raises:
        ModelError: a file is missing, altered or not acceptable, or the record asks for what is not known.
        ConfigError: too few calibration rows for this confidence.
    """
    listing = ModelFolder(folder)
    record = listing.record(ModelRecord)
    expect_columns(folder, record)
    calibration = record.calibration
    expect_confidence(confidence)
    chosen = chosen_tolerance(record, tolerance)
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
        files += required_network(record.name, wanted, registry or load_registry(), places or Places())
    return ResolvedModel(
        name=record.name,
        kind=_KINDS[record.role],
        confidence=confidence,
        revision=f"sha256 {listing.digest[:12]}",
        correction=0.0,
        correction_origin=f"inside the model: {calibration.kind} conformal on {calibration.rows} labels",
        kdist=None,
        training_elements=record.training_elements,
        files=tuple(files),
        remarks=record.remarks,
        tolerance=chosen,
        constant_kdist=None if chosen is None else _constant(record.constants, chosen, confidence),
        small_constant=None if chosen is None else _small_constant(record, chosen, confidence),
    )


def _small_constant(record: ModelRecord, tolerance: float, confidence: float) -> tuple[int, float] | None:
    kdist = _constant(record.small_constants, tolerance, confidence)
    return None if kdist is None else (record.small_sites, kdist)


def _constant(
    constants: Mapping[str, Mapping[str, float]], tolerance: float, confidence: float
) -> float | None:
    """The constant k-distance that as large a share of the training labels converges at, 1/Å.

    Between the confidences of the record it is interpolated; None where the record has none.
    """
    pairs = sorted((float(c), kdist) for c, kdist in constants.get(f"{tolerance:g}", {}).items())
    for (low, at_low), (high, at_high) in pairwise(pairs):
        if low <= confidence <= high:
            return at_low + (at_high - at_low) * (confidence - low) / (high - low)
    return None


def chosen_tolerance(record: ModelRecord, tolerance: float | None) -> float | None:
    """The tolerance that a model is asked at, meV per atom; None of a model that has none by name.

    Raises:
        ConfigError: CONFIG_INVALID, it has no such tolerance.
    """
    if tolerance is None:
        return record.tolerances[0] if record.tolerances else None
    if tolerance not in record.tolerances:
        known = " or ".join(f"{known:g}" for known in record.tolerances)
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"model '{record.name}' does not answer at a tolerance of {tolerance:g} meV per atom"
            + (f"; it answers at {known}" if known else ": its record names none; leave the option out"),
        )
    return tolerance


_KINDS = {
    "quantile_forest": ModelKind.TRAINED,
    "alignn_ensemble": ModelKind.TRAINED_ALIGNN,
    "boosted_trees": ModelKind.BOOSTED,
}


def required_network(
    name: str, wanted: Mapping[str, str], registry: Registry, places: Places
) -> tuple[ResolvedFile, ...]:
    """The metallicity network's files, which must be those that a model was trained with.

    Args:
        name: of the model, for messages.
        wanted: sha256 by role.
        registry: what the files should be.
        places: where they are looked for.

    Raises:
        ModelError: ARTIFACT_INVALID, it wants other files; ARTIFACT_MISSING or ARTIFACT_DIGEST.
    """
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
