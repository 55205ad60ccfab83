"""Convergence studies as plain job arrays, without a Dask cluster."""

from __future__ import annotations

from pathlib import Path

from goldilocks_batch.config.convergence import ConvergeConfig
from goldilocks_batch.convergence.attempt import begun, prepared, recorded_studies
from goldilocks_batch.convergence.work import Converging
from goldilocks_batch.execution.slurm.scripts import run_name
from goldilocks_batch.execution.slurm.site import cancel_named
from goldilocks_batch.results.record import RunRecord
from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.array import LEAVING, Recorded, possible_request, run_task, submitted
from goldilocks_batch.runs.attempt import expect_inputs
from goldilocks_batch.runs.run import Observer

__all__ = ["run_study_task", "submit_studies"]

#: A study is a task.
_ONE = 1


def submit_studies(config: ConvergeConfig) -> tuple[str, int]:
    """Submit studies as one job array of ``config.run.jobs`` tasks, or fewer if there are fewer studies.

    Returns:
        The array's job id and its number of tasks; an empty id and none if nothing is left to do.

    Raises:
        GoldilocksError: as :func:`goldilocks_batch.converge`, or SLURM does not take the array.
    """
    execution = config.execution
    expect_inputs(execution)
    request = possible_request(execution)
    name = run_name(execution.output)
    with begun(config, clear=lambda: cancel_named(name), patience=LEAVING) as (found, record):
        return submitted(execution, request, found.assignment, record, _ONE)


def run_study_task(output: Path, index: int, count: int, observer: Observer) -> Report:
    """Do every ``count``-th study of a folder, from the ``index``-th on, that has not ended.

    Args:
        output: the folder.
        index: this task's number, from 0.
        count: number of tasks.
        observer: told of progress.

    Returns:
        Counts over the studies that ended here.

    Raises:
        GoldilocksError: this machine sees other inputs, pseudopotentials or versions than the one that
            submitted the array; or another process is writing to the folder.
        KeyboardInterrupt: the job has been told to end.
    """
    return run_task(output, index, count, observer, _recorded_work)


def _recorded_work(output: Path, _record: RunRecord) -> Recorded[Converging]:
    config = recorded_studies(output)
    found = prepared(config)
    return Recorded(config.execution, found.assignment, found.identity, _ONE)
