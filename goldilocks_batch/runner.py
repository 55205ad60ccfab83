"""``run(config)``: plan, evaluate what is missing, check that every row is there, say what came of it."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from goldilocks_batch.cluster.executor import Done, Executor, Lost
from goldilocks_batch.cluster.worker import Job, Work
from goldilocks_batch.config import RunConfig
from goldilocks_batch.errors import ConfigError, ErrorCode, RunError
from goldilocks_batch.plan import Identity, Shard, cut_shards, remaining_shards
from goldilocks_batch.provenance import RunRecord, versions
from goldilocks_batch.report import Report, total
from goldilocks_batch.schema import RESULT_SCHEMA_ID
from goldilocks_batch.shard import Screening
from goldilocks_batch.sink import scan_parts, sweep, write_part
from goldilocks_batch.sources import SourceSet, open_sources

__all__ = ["Assignment", "Observer", "RunSummary", "executor_for", "process", "run"]


class Observer(Protocol):
    """Told of a run's progress; the command line draws it, a script may log it."""

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """``done`` of ``rows`` rows are there from an earlier attempt."""

    def advanced(self, report: Report) -> None:
        """A part has been written."""

    def warned(self, message: str) -> None:
        """Something the user should know has happened."""


class Silent:
    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """Say nothing."""

    def advanced(self, report: Report) -> None:
        """Say nothing."""

    def warned(self, message: str) -> None:
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

    @property
    def rate(self) -> float:
        """Rows computed a second in this attempt."""
        return self.computed / self.seconds if self.seconds else 0.0


def run(config: RunConfig, *, observer: Observer | None = None) -> RunSummary:
    """Screen the inputs of a configuration; begin, resume or confirm the run in its output folder.

    With the ``local`` executor this starts worker processes: a script that calls it must do so under
    ``if __name__ == "__main__":``.

    Args:
        config: what to do; see :class:`~goldilocks_batch.config.RunConfig`.
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
    if not config.inputs:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, "no inputs: name at least one directory, file or manifest"
        )
    work = Screening.from_config(config)
    sources = open_sources(config.inputs, allow_outside=config.allow_outside)
    identity = Identity(
        {
            "inputs": [_identity_of(entry) for entry in sources.describe()],
            "options": config.science(),
            "model": work.identity(),
            "schema": RESULT_SCHEMA_ID,
            "version": versions()["goldilocks-batch"],
        }
    )
    folder = config.output
    with _locked(folder, config.overwrite):
        record = _opened_record(folder, identity, config.overwrite)
        before = _total(folder / "results", identity.fingerprint)
        record.begin(
            fingerprint=identity.fingerprint,
            identity=dict(identity.parts),
            config=config.model_dump(mode="json"),
            inputs=sources.describe(),
            rows=sources.rows,
            model=work.describe(),
            versions=versions(),
        )
        began = time.monotonic()
        state = "failed"
        try:
            with executor_for(config) as executor:
                assignment = Assignment(work, sources, folder / "results", identity.fingerprint)
                state = process(assignment, executor, config.shard_size, observer)
        finally:
            seconds = time.monotonic() - began
            report = _total(folder / "results", identity.fingerprint)
            computed = report.rows - before.rows
            record.end(state, report, rows=computed, seconds=round(seconds, 3))
    return RunSummary(
        state,
        folder,
        report,
        sources.rows,
        computed,
        seconds,
        config.model,
        config.confidence,
        work.remarks,
    )


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to be done to which rows, and where the parts go.

    Attributes:
        work: what to do with each row.
        sources: the rows.
        folder: where the parts are written.
        fingerprint: the identity that makes a part in that folder trusted.
    """

    work: Work
    sources: SourceSet
    folder: Path
    fingerprint: str

    def job(self, shard: Shard) -> Job:
        """The work order for some rows."""
        pieces = self.sources.pieces(shard.start, shard.stop)
        return Job(self.work, shard, pieces, self.folder, self.fingerprint)

    def give_up(self, lost: Lost) -> Report:
        """Write the failed rows of structures that no worker survived."""
        job = self.job(lost.shard)
        references = [reference for piece in job.pieces for reference in piece.read()]
        table, report = self.work.failed(references, lost.shard.start, lost.code, lost.message)
        write_part(self.folder, lost.shard, table, report, self.fingerprint)
        return report


def process(assignment: Assignment, executor: Executor, shard_size: int, observer: Observer) -> str:
    """Compute the rows that no trusted part holds; ``completed`` or ``interrupted``.

    Args:
        assignment: what to do.
        executor: runs the shards.
        shard_size: the largest shard, in rows.
        observer: told of progress.

    Raises:
        RunError: rows are missing although every shard has been done.
    """
    folder, rows = assignment.folder, assignment.sources.rows
    folder.mkdir(parents=True, exist_ok=True)
    parts, bad = scan_parts(folder, assignment.fingerprint)
    sweep(folder, bad)
    if bad:
        observer.warned(
            f"{len(bad)} result files are damaged or of another run; their rows are computed again"
        )
    planned = cut_shards(rows, shard_size, assignment.sources.boundaries)
    queue = deque(remaining_shards(planned, (part.shard for part in parts)))
    observer.started(rows, rows - sum(map(len, queue)), executor.dashboard)
    try:
        _drain(queue, assignment, executor, observer)
    except KeyboardInterrupt:
        return "interrupted"
    parts, bad = scan_parts(folder, assignment.fingerprint)
    sweep(folder, bad)
    found = sum(len(part.shard) for part in parts)
    if found != rows:
        raise RunError(
            ErrorCode.ROWS_LOST,
            f"{found} result rows for {rows} input rows: result files were removed or damaged while "
            "the run was going on. Run the same command again to compute what is missing",
        )
    return "completed"


def _drain(queue: deque[Shard], assignment: Assignment, executor: Executor, observer: Observer) -> None:
    """Keep the executor busy until the queue is empty; lost shards come back as halves or as a failed row."""
    under_way = 0
    while queue or under_way:
        while queue and under_way < executor.slots:
            executor.submit(assignment.job(queue.popleft()))
            under_way += 1
        outcome = executor.wait()
        under_way -= 1
        if isinstance(outcome, Done):
            observer.advanced(outcome.report)
        elif len(outcome.shard) > 1:
            where = f"rows {outcome.shard.start} to {outcome.shard.stop - 1}"
            observer.warned(f"{where}: {outcome.message}; tried again in halves")
            queue.extendleft(reversed(outcome.shard.halves()))
        else:
            observer.advanced(assignment.give_up(outcome))


def _total(folder: Path, fingerprint: str) -> Report:
    parts, _ = scan_parts(folder, fingerprint)
    return total(part.report for part in parts)


def _opened_record(folder: Path, identity: Identity, overwrite: bool) -> RunRecord:
    """The folder's record, empty or of this same run; another run's is refused, or discarded if so wished."""
    record = RunRecord(folder)
    try:
        if record.read():
            identity.check_resumable(record.values["identity"])
    except RunError:
        if not overwrite:
            raise
        _discard(folder)
        record = RunRecord(folder)
    return record


def executor_for(config: RunConfig) -> Executor:
    """The executor that a configuration asks for, started."""
    if config.executor == "serial":
        from goldilocks_batch.cluster.serial import SerialExecutor

        return SerialExecutor()
    from goldilocks_batch.cluster.dask import DaskExecutor, local_cluster

    return DaskExecutor(local_cluster(config.workers, config.memory_limit, config.dashboard))


def _identity_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Of an input's description, what makes it the same input: its content, not where it lies."""
    return {key: entry[key] for key in ("rows", "digest")}


def _discard(folder: Path) -> None:
    """Remove a run's results and record, and nothing else that may lie in the folder."""
    for path in (folder / "results").glob("part-*.parquet"):
        path.unlink()
    (folder / "run.json").unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path, overwrite: bool) -> Iterator[None]:
    """Make the folder, refuse one that is not a run's, and keep a second run out of it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = [
            path.name for path in folder.iterdir() if path.name not in ("run.json", "results", ".lock")
        ]
        if foreign and not (folder / "run.json").exists() and not overwrite:
            raise RunError(
                ErrorCode.OUTPUT_EXISTS,
                f"{folder} holds {', '.join(sorted(foreign)[:3])} and no run.json; choose an empty "
                "or new folder, or name it once more with --overwrite to write beside what is there",
            )
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot use {folder} as output: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(ErrorCode.OUTPUT_EXISTS, f"another run is writing to {folder}") from error
        except OSError:
            pass  # some shared file systems have no locks; parts are written atomically all the same
        yield
