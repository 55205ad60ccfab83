"""An attempt at a run: what is asked for, found and checked, and the output folder made ready for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from goldilocks_batch.artifacts.find import find_model
from goldilocks_batch.artifacts.registry import STARTER
from goldilocks_batch.artifacts.resolved import ResolvedModel
from goldilocks_batch.config.model import ModelChoice
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.errors import ConfigError, ErrorCode, RunError
from goldilocks_batch.core.versions import shared_versions, versions
from goldilocks_batch.execution.executor import Lost
from goldilocks_batch.execution.job import Job, Work
from goldilocks_batch.models.convert import convert_forest
from goldilocks_batch.results.lock import LOCK, locked
from goldilocks_batch.results.parts import write_part
from goldilocks_batch.results.record import RunRecord
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.schema import RESULT_SCHEMA_ID
from goldilocks_batch.results.shards import Identity, Shard, cut_shards
from goldilocks_batch.screening.pipeline import Screening
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources

__all__ = ["Assignment", "begun", "found_model", "prepared", "screening_of"]

#: What a run makes in its folder.
_OWN = ("run.json", "results", "logs", LOCK, ".private")


W = TypeVar("W", bound=Work)


@dataclass(frozen=True, slots=True)
class Assignment(Generic[W]):
    """What is to be done to which rows, and where the parts go.

    Attributes:
        work: what to do with each row.
        sources: the rows.
        folder: where the parts are written.
        fingerprint: the identity that makes a part in that folder trusted.
        inputs: paths that every worker must see.
    """

    work: W
    sources: SourceSet
    folder: Path
    fingerprint: str
    inputs: tuple[Path, ...] = ()

    def shards(self, size: int) -> list[Shard]:
        """All rows, done or not, in shards of at most this size."""
        return cut_shards(self.sources.rows, size, self.sources.boundaries)

    def job(self, shard: Shard) -> Job:
        """The work order for some rows."""
        pieces = self.sources.pieces(shard.start, shard.stop)
        folder = self.folder.absolute()
        return Job(self.work, shard, pieces, folder, self.fingerprint, (folder, *self.inputs))

    def give_up(self, lost: Lost) -> Report:
        """Write the failed rows of structures that no worker survived."""
        job = self.job(lost.shard)
        references = [reference for piece in job.pieces for reference in piece.read()]
        table, report = self.work.failed(references, lost.shard.start, lost.code, lost.message)
        write_part(self.folder, lost.shard, table, report, self.fingerprint)
        return report


def found_model(choice: ModelChoice) -> ResolvedModel:
    """The model of a run: a published forest is converted where that has not been done.

    Raises:
        ConfigError, ModelError: as :func:`~goldilocks_batch.artifacts.find.find_model`.
    """
    return find_model(choice, convert=convert_forest)


def screening_of(config: RunConfig, find: Callable[[ModelChoice], ResolvedModel] = found_model) -> Screening:
    """The work that a configuration asks for, its model found and checked.

    Args:
        config: of the run.
        find: finds the model.

    Raises:
        ConfigError, ModelError: as :func:`~goldilocks_batch.artifacts.find.find_model`; or the model has no
            such bound as ``grid`` asks for.
    """
    return Screening.of(
        find(config.choice),
        grid=config.grid,
        equal_axes=config.equal_axes,
        max_sites=config.max_sites,
        single_site=config.single_site,
        device=config.device,
        precision=config.precision,
        allow_missing_hydrogens=config.allow_missing_hydrogens,
    )


def prepared(
    config: RunConfig, find: Callable[[ModelChoice], ResolvedModel] = found_model, *, check_ids: bool = True
) -> tuple[Assignment[Screening], Identity]:
    """What a configuration asks for, with its inputs and then its model found.

    Args:
        config: of the run.
        find: finds the model.
        check_ids: make sure that no id occurs twice in the inputs.

    Raises:
        ConfigError, InputError, ModelError: as :func:`run`.
    """
    if not config.inputs:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, "no inputs: name at least one directory, file or manifest"
        )
    sources = open_sources(config.inputs, allow_outside=config.allow_outside, check_ids=check_ids)
    work = screening_of(config, find)
    described = sources.describe()
    identity = Identity(
        {
            "inputs": [_identity_of(entry) for entry in described],
            "options": config.science(),
            "model": work.identity(),
            "schema": RESULT_SCHEMA_ID,
            "version": versions()["goldilocks-batch"],
        }
    )
    paths = tuple(Path(str(entry["path"])) for entry in described)
    folder = config.output / "results"
    return Assignment(work, sources, folder, identity.fingerprint, paths), identity


@contextlib.contextmanager
def begun(
    config: RunConfig,
    *,
    clear: Callable[[], object] = lambda: None,
    patience: float = 0.0,
) -> Iterator[tuple[Assignment[Screening], RunRecord]]:
    """An attempt at a run: its folder made and locked, its record begun.

    Args:
        config: of the run.
        clear: sends others away who may write to the folder.
        patience: s that they have to leave.

    Raises:
        GoldilocksError: as :func:`run`.
    """
    assignment, identity = prepared(config)
    model = assignment.work.model
    clear()
    _ready(config.output, config.overwrite)
    with locked(config.output, patience=patience):
        record = _opened_record(config.output, identity, config.overwrite)
        record.begin(
            fingerprint=identity.fingerprint,
            identity=dict(identity.parts),
            config=_findable(config, model).model_dump(mode="json"),
            inputs=assignment.sources.describe(),
            rows=assignment.sources.rows,
            model=assignment.work.describe(),
            resolved=model.to_json(),
            versions=versions(),
            shared_versions=dict(shared_versions()),
        )
        yield assignment, record


def _findable(config: RunConfig, model: ResolvedModel) -> RunConfig:
    """The configuration with absolute paths, for who takes it up from another folder."""
    changes: dict[str, object] = {}
    for name in ("artifacts", "registry"):
        path: Path | None = getattr(config, name)
        if path is not None:
            changes[name] = path.absolute()
    if model.kind.describes_itself and config.model != STARTER:
        changes["model"] = str(Path(config.model).absolute())
    return config.updated(**changes)


def _opened_record(folder: Path, identity: Identity, overwrite: bool) -> RunRecord:
    """The folder's record, empty or of this same run; another's results are discarded only if so wished."""
    record = RunRecord(folder)
    try:
        if record.read():
            identity.check_resumable(record.values["identity"])
    except RunError:
        if not (overwrite or _came_to_nothing(folder, record)):
            raise
        _discard(folder)
        record = RunRecord(folder)
    return record


def _came_to_nothing(folder: Path, record: RunRecord) -> bool:
    """Whether a run was begun there that has left no result, and that nobody may be about to take up."""
    state = record.values.get("state", "unknown")
    return state not in ("submitted", "unknown") and not any((folder / "results").glob("part-*.parquet"))


def _discard(folder: Path) -> None:
    """Remove a run's results and record, and nothing else that may lie in the folder."""
    for path in (folder / "results").glob("part-*.parquet"):
        path.unlink()
    (folder / "run.json").unlink(missing_ok=True)


def _identity_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Of an input's description, what makes it the same input: its content, not where it lies."""
    return {key: entry[key] for key in ("rows", "digest")}


def _ready(folder: Path, overwrite: bool) -> None:
    """Make the folder, or refuse one that is not a run's."""
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(folder.stat().st_mode & ~0o007)  # unpublished structures are nobody else's business
        foreign = [path.name for path in folder.iterdir() if path.name not in _OWN]
        if foreign and not (folder / "run.json").exists() and not overwrite:
            raise RunError(
                ErrorCode.OUTPUT_EXISTS,
                f"{folder} holds {', '.join(sorted(foreign)[:3])} and no run.json; choose an empty "
                "or new folder, or name it once more with --overwrite to write beside what is there",
            )
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot use {folder} as output: {error}") from error
