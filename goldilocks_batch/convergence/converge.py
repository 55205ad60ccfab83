"""``converge(config)``: convergence studies of all structures of the inputs, and their table of labels."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.config.convergence import ConvergeConfig
from goldilocks_batch.convergence.attempt import Prepared, begun, prepared
from goldilocks_batch.convergence.tables import count_limits, write_tables
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.run import Observer, Silent, carry_out

__all__ = ["ConvergenceSummary", "converge", "tabulate"]


@dataclass(frozen=True, slots=True)
class ConvergenceSummary:
    """How convergence studies ended.

    Attributes:
        state: ``completed`` or ``interrupted``; of :func:`tabulate`, ``completed`` or ``partial``.
        output: the folder.
        report: counts over all structures whose studies have ended; ``ok`` are those with labels.
        rows: structures of the inputs.
        limits: structures of which a limit is known, and no label.
        computed: studies that this attempt ended.
        seconds: wall-clock time of this attempt, s.
        tabled: studies in the tables of the folder; 0 if there are no tables.
    """

    state: str
    output: Path
    report: Report
    rows: int
    limits: int
    computed: int
    seconds: float
    tabled: int = 0


def converge(config: ConvergeConfig, *, observer: Observer | None = None) -> ConvergenceSummary:
    """Study the convergence of every structure of the inputs; begin, resume or confirm what is in the output.

    With the ``local`` executor this starts worker processes: a script that calls it must do so under
    ``if __name__ == "__main__":``.

    Args:
        config: what to do; see :class:`~goldilocks_batch.config.convergence.ConvergeConfig`.
        observer: told of progress.

    Returns:
        The summary; ``labels.parquet`` in the output folder is what ``train`` takes.  If the studies were
        interrupted, the tables hold those that had ended, and say so in their metadata.

    Raises:
        ConfigError: options, pseudopotentials or cutoffs are not as they must be; nothing has been run.
        InputError: an input is missing, unreadable or ambiguous, or ids occur twice.
        RunError: CODE_MISSING; or the folder holds other studies, is in use, or cannot be written.
    """
    observer = observer or Silent()
    with begun(config) as (found, record):
        parts = found.assignment.parts
        before, started, state = parts.scan().rows, time.monotonic(), "failed"
        written: dict[str, object] = {}
        try:
            ended = carry_out(found.assignment, config.execution, ModelKind.FOREST, observer)
            found.sources.check_unchanged()
            rows = _write(found, config)
            written, state = {"tables": {"ended": rows, "of": found.sources.rows}}, ended
        finally:
            seconds = time.monotonic() - started
            report = parts.scan().report
            record.end(state, report, rows=report.rows - before, seconds=round(seconds, 3), **written)
        computed = report.rows - before
        return _summary(config, found, state, rows, computed=computed, seconds=seconds)


def tabulate(config: ConvergeConfig) -> ConvergenceSummary:
    """Write the tables of the studies that have ended, and calculate nothing.

    Others may go on with the studies meanwhile.

    Args:
        config: of the studies.

    Returns:
        The summary; its state is ``completed`` or, while there are studies that have not ended, ``partial``.

    Raises:
        GoldilocksError: as :func:`converge`; RESUME_REFUSED, the folder holds no studies, or others.
    """
    record = RunFolder.of(config.run.output).record
    found = prepared(config)
    found.identity.check_resumable(record.values["identity"])
    rows = _write(found, config)
    return _summary(config, found, "completed" if rows == found.sources.rows else "partial", rows)


def _write(found: Prepared, config: ConvergeConfig) -> int:
    parts = found.assignment.parts
    return write_tables(config.run.output, parts, found.sources, config.tolerances, found.protocol)


def _summary(
    config: ConvergeConfig, found: Prepared, state: str, rows: int, *, computed: int = 0, seconds: float = 0.0
) -> ConvergenceSummary:
    parts = found.assignment.parts
    report, limits = parts.scan().report, count_limits(parts)
    return ConvergenceSummary(
        state, config.run.output, report, found.sources.rows, limits, computed, seconds, rows
    )
