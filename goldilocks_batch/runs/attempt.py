"""An attempt at a run: what is asked for, found and checked, and the output folder made ready for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from goldilocks_batch.artifacts.find import find_model
from goldilocks_batch.artifacts.psdi import is_record
from goldilocks_batch.artifacts.registry import SHIPPED
from goldilocks_batch.artifacts.resolved import ResolvedModel
from goldilocks_batch.config.model import ModelChoice
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.versions import versions
from goldilocks_batch.execution.executor import Lost
from goldilocks_batch.execution.job import Job, Work
from goldilocks_batch.models.convert import convert_forest
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.part import write_part
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.record import RunRecord
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.schema import RESULT_SCHEMA_ID
from goldilocks_batch.results.shards import Identity, Shard, cut_shards
from goldilocks_batch.runs.fetch import local_inputs
from goldilocks_batch.screening.pipeline import Screening
from goldilocks_batch.structures.sources.reference import failed
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources

__all__ = ["Assignment", "begun", "expect_inputs", "found_model", "prepared", "screening_of"]

W = TypeVar("W", bound=Work)


@dataclass(frozen=True, slots=True)
class Assignment(Generic[W]):
    """What is to be done to which rows, and where the parts go.

    Attributes:
        work: what to do with each row.
        sources: the rows.
        parts: the result files, those that are there and those to be written.
        inputs: paths that every worker must see.
    """

    work: W
    sources: SourceSet
    parts: Parts
    inputs: tuple[Path, ...] = ()

    def shards(self, size: int) -> list[Shard]:
        """All rows, done or not, in shards of at most this size."""
        return cut_shards(self.sources.rows, size, self.sources.boundaries)

    def job(self, shard: Shard) -> Job:
        """The work order for some rows."""
        pieces = self.sources.pieces(shard.start, shard.stop)
        folder = self.parts.folder.absolute()
        return Job(self.work, shard, pieces, folder, self.parts.fingerprint, (folder, *self.inputs))

    def give_up(self, lost: Lost) -> Report:
        """Write the failed rows of structures that no worker survived; what they hold is not read again."""
        pieces = self.sources.pieces(lost.shard.start, lost.shard.stop)
        names = [name for piece in pieces for name in piece.names()]
        references = [failed(*name, lost.code, lost.message) for name in names]
        table, report = self.work.failed(references, lost.shard.start, lost.code, lost.message)
        write_part(self.parts.folder, lost.shard, table, report, self.parts.fingerprint)
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
            such bound as ``grid`` asks for, or an option has no effect on it.
    """
    return Screening.of(
        find(config.choice),
        grid=config.grid,
        equal_axes=config.equal_axes,
        symprec=config.symprec,
        max_sites=config.max_sites,
        single_site=config.single_site,
        device=config.device,
        allow_missing_hydrogens=config.allow_missing_hydrogens,
    )


def expect_inputs(config: RunConfig) -> None:
    """Refuse a configuration that names nothing to screen.

    Raises:
        ConfigError: CONFIG_INVALID.
    """
    if not config.inputs:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, "no inputs: name at least one directory, file or manifest"
        )


def prepared(
    config: RunConfig,
    find: Callable[[ModelChoice], ResolvedModel] = found_model,
    *,
    check_ids: bool = True,
    ask: bool = True,
) -> tuple[Assignment[Screening], Identity]:
    """What a configuration asks for, with its inputs and then its model found.

    Args:
        config: of the run.
        find: finds the model.
        check_ids: make sure that no id occurs twice in the inputs.
        ask: fetch inputs that are databases, where they have not been yet.

    Raises:
        ConfigError, InputError, ModelError: as :func:`run`.
    """
    expect_inputs(config)
    sources = open_sources(local_inputs(config, ask=ask), **config.reading, check_ids=check_ids)
    work = screening_of(config, find)
    for name in ("gpus", "gpu_processes"):
        if (number := getattr(config, name)) and not work.model.kind.has_networks:
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"{name} {number} is for networks, and model '{work.model.name}' has none; leave it out",
            )
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
    return Assignment(work, sources, RunFolder(config.output).parts_of(identity), paths), identity


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
    folder = RunFolder(config.output)
    with folder.opened(identity, overwrite=config.overwrite, patience=patience):
        folder.record.begin(
            identity,
            config=_findable(config, model).model_dump(mode="json"),
            inputs=assignment.sources.describe(),
            rows=assignment.sources.rows,
            model=assignment.work.describe(),
            resolved=model.to_json(),
        )
        yield assignment, folder.record


def _findable(config: RunConfig, model: ResolvedModel) -> RunConfig:
    """The configuration with absolute paths, for who takes it up from another folder."""
    changes: dict[str, object] = {}
    for name in ("artifacts", "registry"):
        path: Path | None = getattr(config, name)
        if path is not None:
            changes[name] = path.absolute()
    if model.kind.describes_itself and config.model != SHIPPED and not is_record(config.model):
        changes["model"] = str(Path(config.model).absolute())
    return config.updated(**changes)


def _identity_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Of an input's description, what makes it the same input: its content, not where it lies."""
    return {key: entry[key] for key in ("rows", "digest", "digest_of", "ids") if key in entry}
