"""``run(config)``: plan, evaluate what is missing, check that every row is there, say what came of it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.compiled import announce
from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.machine import cores
from goldilocks_batch.execution.executor import Done, Executor
from goldilocks_batch.execution.forks import forked
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard, remaining_shards
from goldilocks_batch.results.status import timeline
from goldilocks_batch.runs.attempt import Assignment, W, begun
from goldilocks_batch.runs.retry import Waiting
from goldilocks_batch.runs.sizing import shard_size
from goldilocks_batch.structures.sources.state import BY_TIME

__all__ = [
    "Assignment",
    "Observer",
    "RunSummary",
    "carry_out",
    "drain",
    "executor_for",
    "outstanding",
    "process",
    "run",
]

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Told of a run's progress; the command line draws it, a script may log it."""

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """``done`` of ``rows`` rows are there from an earlier attempt."""

    def advanced(self, report: Report) -> None:
        """A part has been written."""


class Silent:
    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """Say nothing."""

    def advanced(self, report: Report) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended.

    Attributes:
        state: ``completed`` or ``interrupted``.
        output: the run's folder; results are in ``output / "results"``.
        report: counts over all rows, those of earlier attempts included.
        rows: rows of the inputs.
        computed: rows computed in this attempt.
        seconds: wall-clock time of this attempt, s.
        model: the model's name.
        confidence: one-sided confidence.
        remarks: what a user of this model should know, a sentence each.
        tolerance: meV per atom that the bounds are for; None if the model does not say.
        ignored: files of the inputs that are no structures, by ending.
    """

    state: str
    output: Path
    report: Report
    rows: int
    computed: int
    seconds: float
    model: str
    confidence: float
    remarks: tuple[str, ...]
    tolerance: float | None = None
    ignored: Mapping[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Rows computed a second in this attempt."""
        return self.computed / self.seconds if self.seconds else 0.0


def run(config: RunConfig, *, observer: Observer | None = None) -> RunSummary:
    """Screen the inputs of a configuration; begin, resume or confirm the run in its output folder.

    With the ``local`` executor this starts worker processes: a script that calls it must do so under
    ``if __name__ == "__main__":``.

    Args:
        config: what to do; see :class:`~goldilocks_batch.config.run.RunConfig`.
        observer: told of progress.

    Returns:
        The summary; results are Parquet files in ``config.output / "results"``.

    Raises:
        ConfigError: the options contradict each other.
        InputError: an input is missing, unreadable or ambiguous, or ids occur twice.
        ModelError: the model is unknown or its files are missing, altered or not acceptable.
        RunError: the folder holds a different run, is in use, or cannot be written.
    """
    observer = observer or Silent()
    with begun(config) as (assignment, record):
        parts = assignment.parts
        before = parts.scan().rows
        if before and (loose := assignment.sources.compared_by_time):
            _log.warning(
                "%s: %s are as they were; there is too much to compare contents", ", ".join(loose), BY_TIME
            )
        began, since = time.monotonic(), time.time()
        state, told = "failed", {}
        try:
            state = carry_out(assignment, config, assignment.work.model.kind, observer)
            if state == "completed":
                pace = timeline(parts.scan().parts, since)
                files, left = parts.compact(config.compact_above)
                told = {"timeline": pace} if left < files else {}  # else the files themselves tell
        finally:
            seconds = time.monotonic() - began
            report = parts.scan().report
            computed = report.rows - before
            record.end(state, report, rows=computed, seconds=round(seconds, 3), **told)
    return RunSummary(
        state,
        config.output,
        report,
        assignment.sources.rows,
        computed,
        seconds,
        config.model,
        config.confidence,
        assignment.work.remarks,
        assignment.work.model.tolerance,
        assignment.sources.ignored,
    )


def carry_out(assignment: Assignment[W], config: RunConfig, kind: ModelKind, observer: Observer) -> str:
    """Compute the rows that no trusted part holds, where a configuration has it done.

    Workers are started only if there is work, and not more than can have a share of it.

    Args:
        assignment: what to do.
        config: execution options.
        kind: of the model, for the size of shards; see :func:`~goldilocks_batch.runs.sizing.shard_size`.
        observer: told of progress.

    Returns:
        ``completed`` or ``interrupted``.

    Raises:
        GoldilocksError: as :func:`run`.
    """
    size = shard_size(config, kind, assignment.sources.rows)
    queue = outstanding(assignment, size)
    if not queue:
        observer.started(assignment.sources.rows, assignment.sources.rows, None)
        return "completed"
    if config.executor != "serial" and config.cluster is None:  # this process says itself what it compiles
        announce()
    with executor_for(config, shards=len(queue)) as executor:
        return work_off(queue, assignment, executor, observer)


def process(assignment: Assignment[W], executor: Executor, shard_size: int, observer: Observer) -> str:
    """The same, on an executor that is there.

    Args:
        assignment: what to do.
        executor: runs the shards.
        shard_size: the largest shard, in rows.
        observer: told of progress.
    """
    return work_off(outstanding(assignment, shard_size), assignment, executor, observer)


def outstanding(assignment: Assignment[W], shard_size: int) -> deque[Shard]:
    """The shards that are to be done; the folder is made, and what cannot be trusted there is removed."""
    found = assignment.parts.sweep()
    if bad := len(found.untrusted):
        _log.warning("%d result files are damaged or of another run; their rows are computed again", bad)
    return deque(remaining_shards(assignment.shards(shard_size), found.shards))


def work_off(queue: deque[Shard], assignment: Assignment[W], executor: Executor, observer: Observer) -> str:
    """Do the shards, and make sure that every row of the inputs is there; ``completed`` or ``interrupted``.

    Raises:
        RunError: rows are missing although every shard has been done; or the inputs are not what they were
            (INPUT_CHANGED).
    """
    rows = assignment.sources.rows
    observer.started(rows, rows - sum(map(len, queue)), executor.dashboard)
    try:
        drain(queue, assignment, executor, observer)
    except KeyboardInterrupt:
        return "interrupted"
    found = assignment.parts.sweep().rows
    if found != rows:
        raise RunError(
            ErrorCode.ROWS_LOST,
            f"{found} result rows for {rows} input rows: result files were removed or damaged while "
            "the run was going on. Run the same command again to compute what is missing",
        )
    assignment.sources.check_unchanged()
    return "completed"


def drain(queue: deque[Shard], assignment: Assignment[W], executor: Executor, observer: Observer) -> None:
    """Keep the executor busy until the queue is empty; what cannot be done becomes a failed row."""
    waiting, under_way = Waiting(queue), 0
    while waiting or under_way:
        while under_way < executor.slots:
            shard = waiting.next(idle=not under_way)
            if shard is None:
                break
            executor.submit(assignment.job(shard))
            under_way += 1
        outcome = executor.wait()
        under_way -= 1
        if isinstance(outcome, Done):
            _log.debug("%s: %d of %d ok", outcome.shard, outcome.report.ok, outcome.report.rows)
            observer.advanced(outcome.report)
        elif not waiting.take_back(outcome):
            observer.advanced(assignment.give_up(outcome))


def executor_for(
    config: RunConfig,
    *,
    shards: int | None = None,
) -> Executor:
    """The executor that a configuration asks for, started.

    Args:
        config: says where the work is done.
        shards: how many there are to do; None if that is not known.
    """
    if config.executor == "serial" and config.cluster is None:
        from goldilocks_batch.execution.serial import SerialExecutor

        return SerialExecutor()
    if forked() and config.executor == "local" and config.cluster is None:
        from goldilocks_batch.execution.places import Sharing
        from goldilocks_batch.execution.processes import ProcessExecutor

        sharing = Sharing.of(config, here=True)
        return ProcessExecutor(config.workers or cores(), config.task_timeout, config.memory_bytes, sharing)
    from goldilocks_batch.execution.select import dask_executor

    return dask_executor(config, shards=shards)
