"""An attempt at convergence studies: what is asked for, found and checked, and their folder made ready."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from goldilocks_batch.config.checking import checked
from goldilocks_batch.config.convergence import ConvergeConfig
from goldilocks_batch.convergence.folder import rename_older
from goldilocks_batch.convergence.plan import planned
from goldilocks_batch.convergence.protocol import digest_of_protocol, protocol_of
from goldilocks_batch.convergence.table import SCHEMA_ID, studies_schema
from goldilocks_batch.convergence.tables import forget_tables
from goldilocks_batch.convergence.work import Converging, family_of, findable, portable
from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.results.folder import STUDIES, RunFolder
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.record import RunRecord
from goldilocks_batch.results.shards import Identity
from goldilocks_batch.runs.attempt import Assignment, expect_inputs
from goldilocks_batch.structures.sources.memory import MemorySource
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources

__all__ = ["Prepared", "begun", "prepared", "recorded_studies"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Studies that are ready to begin.

    Attributes:
        assignment: the studies in the order in which they are begun; a part's rows are places in that order.
        identity: what their results depend on.
        protocol: what their labels are labels of.
        sources: the structures, in the order of the inputs.
    """

    assignment: Assignment[Converging]
    identity: Identity
    protocol: dict[str, object]
    sources: SourceSet


def prepared(config: ConvergeConfig) -> Prepared:
    """Look at inputs, pseudopotentials and cutoffs; nothing is written or run.

    Raises:
        ConfigError, InputError: as :func:`~goldilocks_batch.convergence.converge.converge`.
    """
    expect_inputs(config.run)
    sources = open_sources(config.run.inputs, allow_outside=config.run.allow_outside)
    family = family_of(config)
    references = [r for piece in sources.pieces(0, sources.rows) for r in piece.read()]
    plan = planned(references, config, family)
    protocol = protocol_of(config, family)
    order = SourceSet((MemorySource(plan.references),))
    identity = Identity(
        {
            "kind": STUDIES,
            "inputs": [str(about["digest"]) for about in sources.describe()],
            "order": order.fingerprint,
            "options": config.science(),
            "pseudopotentials": family.identity(),
            "schema": SCHEMA_ID,
        }
    )
    output = config.run.output.absolute()
    work = Converging(portable(config), output / "studies", digest_of_protocol(protocol))
    visible = tuple(path.absolute() for path in (config.code.pseudo_dir,) if path is not None)
    parts = Parts(output / "results", identity.fingerprint, studies_schema(config.tolerances))
    return Prepared(Assignment(work, order, parts, visible), identity, protocol, sources)


@contextlib.contextmanager
def begun(
    config: ConvergeConfig,
    *,
    clear: Callable[[], object] = lambda: None,
    patience: float = 0.0,
) -> Iterator[tuple[Prepared, RunRecord]]:
    """An attempt at studies: their folder made and locked, their record begun.

    Args:
        config: of the studies.
        clear: sends others away who may write to the folder.
        patience: s that they have to leave.

    Raises:
        GoldilocksError: as :func:`~goldilocks_batch.convergence.converge.converge`.
    """
    found = prepared(config)
    clear()
    folder = RunFolder(config.run.output)
    with folder.opened(found.identity, overwrite=config.run.overwrite, patience=patience):
        folder.record.begin(
            found.identity,
            convergence=findable(config).model_dump(mode="json"),
            inputs=found.sources.describe(),
            rows=found.sources.rows,
            protocol=found.protocol,
        )
        parts = found.assignment.parts
        if config.retry:
            _forget_failures(parts)
        if parts.scan().rows < found.sources.rows:  # no table tells of other studies, or of fewer
            forget_tables(config.run.output)
            rename_older(found.assignment.work.folder, (i for batch in found.sources.ids() for i in batch))
        yield found, folder.record


def recorded_studies(output: Path) -> ConvergeConfig:
    """The configuration that a folder of studies was begun with.

    Raises:
        RunError: it is not such a folder.
        ConfigError: this version takes other options.
    """
    record = RunFolder.of(output).record
    try:
        values = dict(record.values["convergence"])
        inputs = [entry["path"] for entry in record.values["inputs"]]  # absolute
        run = {**values["run"], "inputs": inputs, "output": output, "overwrite": False}
    except (KeyError, TypeError, ValueError) as error:
        message = f"{record.path} names no inputs or no configuration: give the command of the studies again"
        raise RunError(ErrorCode.RESUME_REFUSED, message) from error
    return ConvergeConfig(**checked(ConvergeConfig, {**values, "run": run, "retry": False}))


def _forget_failures(parts: Parts) -> None:
    """Remove the rows of studies without a label; their finished rungs stay."""
    for part in parts.scan().parts:
        if part.report.failed:
            part.path.unlink(missing_ok=True)
