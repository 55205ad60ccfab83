"""``converge(config)``: convergence studies of all structures of the inputs, and their table of labels."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.config.convergence import ConvergeConfig
from goldilocks_batch.convergence.plan import planned
from goldilocks_batch.convergence.protocol import described, digest_of_protocol, protocol_of
from goldilocks_batch.convergence.table import SCHEMA_ID, studies_schema
from goldilocks_batch.convergence.work import Converging, family_of, portable
from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.core.temporary import sweep_beside
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.part import read_part
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Identity
from goldilocks_batch.runs.run import Assignment, Observer, Silent, carry_out
from goldilocks_batch.structures.sources.memory import MemorySource
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources
from goldilocks_batch.training.protocols import PROTOCOL_KEY

__all__ = ["LABELS", "LIMITS", "STUDIES", "ConvergenceSummary", "converge"]

_log = logging.getLogger(__name__)

#: Tables in the output folder: every structure; those with labels; those with labels or limits.
STUDIES, LABELS, LIMITS = "studies.parquet", "labels.parquet", "labels-and-limits.parquet"


@dataclass(frozen=True, slots=True)
class ConvergenceSummary:
    """How convergence studies ended.

    Attributes:
        state: ``completed`` or ``interrupted``.
        output: the folder; its tables are there once all studies are done.
        report: counts over all structures; ``ok`` are those with labels.
        rows: structures of the inputs.
        limits: structures of which a limit is known, and no label.
        computed: studies that this attempt ended.
        seconds: wall-clock time of this attempt, s.
    """

    state: str
    output: Path
    report: Report
    rows: int
    limits: int
    computed: int
    seconds: float


def converge(config: ConvergeConfig, *, observer: Observer | None = None) -> ConvergenceSummary:
    """Study the convergence of every structure of the inputs; begin, resume or confirm what is in the output.

    With the ``local`` executor this starts worker processes: a script that calls it must do so under
    ``if __name__ == "__main__":``.

    Args:
        config: what to do; see :class:`~goldilocks_batch.config.convergence.ConvergeConfig`.
        observer: told of progress.

    Returns:
        The summary; ``labels.parquet`` in the output folder is what ``train`` takes.

    Raises:
        ConfigError: options, pseudopotentials or cutoffs are not as they must be; nothing has been run.
        InputError: an input is missing, unreadable or ambiguous, or ids occur twice.
        RunError: CODE_MISSING; or the folder holds other studies, is in use, or cannot be written.
    """
    observer = observer or Silent()
    if not config.run.inputs:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, "no inputs: name at least one directory, file or manifest"
        )
    sources = open_sources(config.run.inputs, allow_outside=config.run.allow_outside)
    assignment, identity, protocol = _prepared(config, sources)
    folder = RunFolder(config.run.output)
    with folder.opened(identity, overwrite=config.run.overwrite):
        record = folder.record
        record.begin(
            identity,
            convergence=config.model_dump(mode="json"),
            inputs=sources.describe(),
            rows=sources.rows,
            protocol=protocol,
        )
        parts = assignment.parts
        if config.retry:
            _forget_failures(parts)
        before, began, state = parts.scan().rows, time.monotonic(), "failed"
        if before < sources.rows:  # no table tells of other studies, or of fewer, while these go on
            for name in (STUDIES, LABELS, LIMITS):
                (config.run.output / name).unlink(missing_ok=True)
        try:
            state = carry_out(assignment, config.execution, ModelKind.FOREST, observer)
            sources.check_unchanged()
            if state == "completed":
                _write_tables(parts, sources, config, protocol)
        finally:
            seconds = time.monotonic() - began
            report = parts.scan().report
            record.end(state, report, rows=report.rows - before, seconds=round(seconds, 3))
        limits = _count_limits(parts)
    return ConvergenceSummary(
        state, config.run.output, report, sources.rows, limits, report.rows - before, seconds
    )


def _prepared(
    config: ConvergeConfig, sources: SourceSet
) -> tuple[Assignment[Converging], Identity, dict[str, object]]:
    """Studies in the order in which they are begun; a part's rows are places in that order."""
    family = family_of(config)
    references = [r for piece in sources.pieces(0, sources.rows) for r in piece.read()]
    plan = planned(references, config, family)
    protocol = protocol_of(config, family)
    order = SourceSet((MemorySource(plan.references),))
    identity = Identity(
        {
            "kind": "convergence",
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
    return Assignment(work, order, parts, visible), identity, protocol


def _forget_failures(parts: Parts) -> None:
    """Remove the rows of studies without a label; their finished rungs stay."""
    for part in parts.scan().parts:
        if part.report.failed:
            part.path.unlink(missing_ok=True)


def _count_limits(parts: Parts) -> int:
    return sum(
        pc.sum(pc.equal(read_part(part.path, ["status"])["status"], "limit")).as_py() or 0
        for part in parts.scan().parts
        if part.report.failed
    )


def _write_tables(
    parts: Parts, sources: SourceSet, config: ConvergeConfig, protocol: dict[str, object]
) -> None:
    """Write the tables, rows in the order of the inputs."""
    table = parts.table()
    place = {name: row for row, name in enumerate(i for batch in sources.ids() for i in batch)}
    rows = np.array([place[name] for name in table["id"].to_pylist()])
    table = table.set_column(table.column_names.index("row"), "row", pa.array(rows)).take(
        pa.array(rows.argsort())
    )
    found = sorted({version for version in table["code_version"].to_pylist() if version})
    schema = studies_schema(config.tolerances)
    about = json.dumps(described(protocol, found), sort_keys=True).encode()
    table = table.cast(schema).replace_schema_metadata({**schema.metadata, PROTOCOL_KEY: about})
    labelled = pc.equal(table["status"], "label")
    tolerances = [f"{t:g}mev" for t in config.tolerances]
    limited = pc.is_valid(table[f"k_dist_at_most_{tolerances[0]}"])
    for tolerance in tolerances[1:]:
        limited = pc.and_(limited, pc.is_valid(table[f"k_dist_at_most_{tolerance}"]))
    folder = config.run.output
    for name, chosen in (
        (STUDIES, table),
        (LABELS, table.filter(labelled)),
        (LIMITS, table.filter(pc.or_(labelled, limited))),
    ):
        sweep_beside(folder / name)
        with atomic_path(folder / name) as temporary:
            pq.write_table(chosen, temporary, compression="zstd")
