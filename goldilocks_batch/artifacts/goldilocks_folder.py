"""A folder with a record of goldilocks-ml and the pickle it names, found and checked."""

from __future__ import annotations

from pathlib import Path

from goldilocks_batch.artifacts.cache import LOCK_FILE, read_pins
from goldilocks_batch.artifacts.folder import cannot_be_used
from goldilocks_batch.artifacts.goldilocks_record import (
    GoldilocksRecord,
    calibrated_by,
    expect_served,
)
from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.registry import Registry
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel, digested
from goldilocks_batch.artifacts.trained import required_network
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError

__all__ = ["resolve_goldilocks"]

#: What goldilocks-ml calls the metallicity network's files, and what they are called here.
_ROLES = {"metallicity_checkpoint": "metallicity_checkpoint", "metallicity_atom_init": "metallicity_atoms"}
#: The labels' tolerance is part of the rungs' contract: 1 meV per atom.
_RUNGS_TOLERANCE = 1.0


def resolve_goldilocks(
    folder: Path,
    record: GoldilocksRecord,
    confidence: float,
    registry: Registry,
    places: Places,
    tolerance: float | None = None,
) -> ResolvedModel:
    """A model that goldilocks-ml trained or published, found by its own record.

    Files that it requires are looked for beside the record, as goldilocks-ml does, and then where the
    registry's are.

    Args:
        folder: holds ``model.json`` and the pickle that it names.
        record: what that says.
        confidence: one-sided; the one that its quantiles are of.
        registry: what the metallicity network's files should be.
        places: where those are looked for.
        tolerance: meV per atom that is asked for; None for whatever it has.

    Raises:
        ModelError: a file is missing, altered or not acceptable; ARTIFACT_INVALID, the record asks for what
            is not known here; MODEL_UNKNOWN, it has no such level.
        ConfigError: CONFIG_INVALID, it has no such tolerance.
    """
    expect_served(folder, record)
    level = record.quantiles[-1]
    if abs(level - confidence) > 1e-9:
        raise ModelError(
            ErrorCode.MODEL_UNKNOWN,
            f"model {folder} has no level {confidence:g}; its record names the quantiles "
            f"{', '.join(f'{q:g}' for q in record.quantiles)}: use --confidence {level:g}",
        )
    own = _RUNGS_TOLERANCE if record.is_of_rungs else None
    if tolerance is not None and tolerance != own:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"model {folder} does not answer at a tolerance of {tolerance:g} meV per atom; "
            + (f"it answers at {own:g}" if own else "its record names none; leave the option out"),
        )
    locked = read_pins(folder).files.get("model.json")  # of a record that was fetched
    expected = locked.sha256 if locked else None
    files = [digested("record", folder / "model.json", expected, pinned_by=str(folder / LOCK_FILE))]
    files.append(_estimator(folder, record))
    if "metallicity" in record.blocks:
        files += _network(folder, record, registry, places)
    name = folder.resolve().name
    return ResolvedModel(
        name=name,
        kind=ModelKind.GOLDILOCKS,
        confidence=confidence,
        revision=f"sha256 {files[0].sha256[:12]}",
        correction=0.0,
        correction_origin=calibrated_by(record),
        kdist=None,
        training_elements=(),
        files=tuple(files),
        remarks=(),
        tolerance=own,
    )


def _estimator(folder: Path, record: GoldilocksRecord) -> ResolvedFile:
    """The pickle, which must be the one whose digest the record names, inside the folder."""
    path = folder / record.artifacts.estimator
    if not path.resolve().is_relative_to(folder.resolve()):
        message = f"{path} is no file inside the model's folder"
        raise ModelError(ErrorCode.ARTIFACT_FORBIDDEN, message)
    return digested("forest", path, record.artifacts.estimator_sha256, pinned_by="its model.json")


def _network(
    folder: Path, record: GoldilocksRecord, registry: Registry, places: Places
) -> tuple[ResolvedFile, ...]:
    """The metallicity network's files: those beside the record, or the registry's if they are the same."""
    needed = {entry.name: entry for entry in record.requires_artifacts}
    if set(needed) != set(_ROLES):
        found = ", ".join(sorted(needed)) or "no files"
        complaint = f"its features take {' and '.join(_ROLES)}; it requires {found}"
        raise cannot_be_used(folder / "model.json", complaint)
    beside = {name: folder / entry.file for name, entry in needed.items()}
    if all(path.is_file() for path in beside.values()):
        return tuple(
            digested(_ROLES[name], path, needed[name].sha256, pinned_by="model.json")
            for name, path in beside.items()
        )
    wanted = {_ROLES[name]: entry.sha256 for name, entry in needed.items()}
    return required_network(folder.name, wanted, registry, places)
