"""Runs as plain job arrays, without a Dask cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from goldilocks_batch.artifacts.resolved import ResolvedModel
from goldilocks_batch.config.checking import checked
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.slurm import JobRequest
from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError, RunError
from goldilocks_batch.core.versions import check_versions
from goldilocks_batch.execution.places import Sharing
from goldilocks_batch.execution.processes import ProcessExecutor
from goldilocks_batch.execution.slurm.scripts import array_script, check_path, run_name
from goldilocks_batch.execution.slurm.site import (
    cancel_named,
    check_request,
    check_tasks,
    largest_array,
    partitions,
    slurm,
)
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.record import RunRecord
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Identity, remaining_shards
from goldilocks_batch.runs.attempt import Assignment, W, begun, expect_inputs, prepared
from goldilocks_batch.runs.run import Observer, drain, outstanding
from goldilocks_batch.runs.sizing import shard_size
from goldilocks_batch.screening.pipeline import Screening

__all__ = [
    "LEAVING",
    "Recorded",
    "array_request",
    "possible_request",
    "recorded_config",
    "recorded_model",
    "run_array_task",
    "run_task",
    "submit_array",
    "submitted",
]

#: Seconds that tasks which were cancelled have to end, and a submission has before its tasks begin.
LEAVING = 120.0


def submit_array(config: RunConfig) -> tuple[str, int]:
    """Submit a run as one job array of ``config.jobs`` tasks, or fewer if there is not work for as many.

    Returns:
        The array's job id and its number of tasks; an empty id and none if nothing is left to do.

    Raises:
        GoldilocksError: as :func:`goldilocks_batch.run`, or SLURM does not take the array.
    """
    expect_inputs(config)
    request = possible_request(config)
    with begun(config, clear=lambda: cancel_named(run_name(config.output)), patience=LEAVING) as (
        assignment,
        record,
    ):
        return submitted(config, request, assignment, record, _shard_size(config, assignment))


def possible_request(config: RunConfig) -> JobRequest:
    """What each task of an array asks for, once it is known that a job can be had so.

    Raises:
        ConfigError: a job could never start here, or the configuration has several requests.
        RunError: CLUSTER_FAILED, SLURM does not answer.
    """
    request = array_request(config)
    check_request(request, partitions())
    check_path(config.output)
    return request


def submitted(
    config: RunConfig, request: JobRequest, assignment: Assignment[W], record: RunRecord, size: int
) -> tuple[str, int]:
    """Submit what is left of an assignment, and say so in the record, whose folder is this process's alone.

    Args:
        config: how the work is done.
        request: what each task asks for.
        assignment: what to do.
        record: of this attempt, which ends with the submission.
        size: the largest shard, in rows; every task must find the same.

    Returns:
        As :func:`submit_array`.
    """
    job, tasks, state = "", 0, "failed"
    try:
        queue = outstanding(assignment, size)
        if queue:
            tasks, _ = config.jobs_of(request, len(queue))
            check_tasks(tasks, largest_array())
            (config.output / "logs").mkdir(mode=0o750, exist_ok=True)
            script = array_script(config, request, tasks)
            job = slurm("sbatch", "--parsable", script=script).strip().partition(";")[0]
        state = "submitted" if queue else "completed"
    finally:
        record.end(state, assignment.parts.scan().report)
    return job, tasks


def _shard_size(config: RunConfig, assignment: Assignment[Screening]) -> int:
    """The same for the submission and every task."""
    return shard_size(config, assignment.work.model.kind, assignment.sources.rows, array=True)


def array_request(config: RunConfig) -> JobRequest:
    """What each task of an array asks for.

    Raises:
        ConfigError: the configuration has several requests, or asks for no GPU where its device is one.
    """
    requests = config.slurm.requests
    if len(requests) > 1:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"the tasks of an array all ask for the same: slurm.requests has {len(requests)}, keep one",
        )
    if config.device == "cuda":
        try:
            config.slurm.expect_gpus()
        except ValueError as error:
            raise ConfigError(ErrorCode.CONFIG_INVALID, str(error)) from error
    return requests[0]


def recorded_config(output: Path) -> RunConfig:
    """The configuration that a run's folder was begun with.

    Raises:
        RunError: it is not the folder of a run.
    """
    record = RunFolder.of(output).record
    try:
        inputs = [entry["path"] for entry in record.values["inputs"]]  # absolute
        found = {**record.values["config"], "inputs": inputs, "output": output, "overwrite": False}
    except (KeyError, TypeError) as error:
        message = f"{record.path} names no inputs or no configuration: give the command of the run again"
        raise RunError(ErrorCode.RESUME_REFUSED, message) from error
    return RunConfig.model_validate(checked(RunConfig, found))


def recorded_model(record: RunRecord) -> ResolvedModel:
    """The model that a run was begun with: no host is asked, nothing is converted, no lock is taken.

    Raises:
        ModelError: a file of it has changed since, or is not seen here.
        RunError: the record names no files.
    """
    try:
        model = ResolvedModel.from_json(record.values.get("resolved"))
    except ModelError as error:
        message = f"{record.path} holds {error.message}; submit the run again with this version"
        raise RunError(ErrorCode.RESUME_REFUSED, message) from error
    model.check_again()
    return model


def run_array_task(output: Path, index: int, count: int, observer: Observer) -> Report:
    """Do every ``count``-th shard of a run, from the ``index``-th on, that has not been done.

    Args:
        output: the run's folder.
        index: this task's number, from 0.
        count: number of tasks.
        observer: told of progress.

    Returns:
        Counts over the rows done here.

    Raises:
        RunError: this machine sees other inputs or versions than the one that submitted the array.
            Or a run is writing to the folder.
        ModelError: a model file has changed since, or is not seen here.
        KeyboardInterrupt: the job has been told to end.
    """
    return run_task(output, index, count, observer, _recorded_work)


def _recorded_work(output: Path, record: RunRecord) -> Recorded[Screening]:
    config = recorded_config(output)
    # the submission has checked the ids of the same digest, and found the model
    assignment, identity = prepared(config, lambda _: recorded_model(record), check_ids=False)
    return Recorded(config, assignment, identity, _shard_size(config, assignment))


@dataclass(frozen=True, slots=True)
class Recorded(Generic[W]):
    """What a folder was begun with, as a task of an array finds it.

    Attributes:
        config: how the work is done.
        assignment: what to do.
        identity: of the run.
        size: the largest shard, in rows.
    """

    config: RunConfig
    assignment: Assignment[W]
    identity: Identity
    size: int


def run_task(
    output: Path,
    index: int,
    count: int,
    observer: Observer,
    find: Callable[[Path, RunRecord], Recorded[W]],
) -> Report:
    """One task's shards of whatever was submitted.

    Args:
        output: the folder.
        index: this task's number, from 0.
        count: number of tasks.
        observer: told of progress.
        find: what is recorded in the folder.

    Returns:
        Counts over the rows done here.

    Raises:
        GoldilocksError: as :func:`run_array_task`.
    """
    with RunFolder(output).shared(LEAVING):
        record = RunFolder.of(output).record
        check_versions(record.values.get("shared_versions", {}).items())
        found = find(output, record)
        config, assignment = found.config, found.assignment
        found.identity.check_resumable(record.values["identity"])
        planned = assignment.shards(found.size)
        queue = deque(remaining_shards(planned[index::count], assignment.parts.scan().shards))
        tally = Tally(observer)
        observer.started(sum(map(len, queue)), 0, None)
        seats, sharing = array_request(config).seats, Sharing.of(config, here=False)
        with ProcessExecutor(seats, config.task_timeout, config.memory_bytes, sharing) as executor:
            drain(queue, assignment, executor, tally)
        assignment.sources.check_unchanged()
        return tally.report


class Tally:
    """Adds up what it passes on."""

    def __init__(self, observer: Observer) -> None:
        self.report = Report()
        self._observer = observer
        self.started = observer.started

    def advanced(self, report: Report) -> None:
        """Count a shard."""
        self.report += report
        self._observer.advanced(report)
