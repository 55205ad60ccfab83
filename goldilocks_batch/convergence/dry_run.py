"""What convergence studies would be, before they begin (``--dry-run``)."""

from __future__ import annotations

from dataclasses import dataclass

from goldilocks_batch.config.convergence import ConvergeConfig
from goldilocks_batch.convergence.attempt import prepared
from goldilocks_batch.results.shards import remaining_shards
from goldilocks_batch.runs.dry_run import check_array, check_requests, numbers_of_jobs, scripts

__all__ = ["StudyPlan", "plan_studies"]


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """Studies before they begin.

    Attributes:
        rows: structures of the inputs.
        left: studies that have not ended.
        scripts: of the jobs that would be submitted, by what they are for.
    """

    rows: int
    left: int
    scripts: dict[str, str]


def plan_studies(config: ConvergeConfig, *, array: bool = False) -> StudyPlan:
    """Plan studies; nothing is written, started or submitted, and no code is called.

    Args:
        config: of the studies.
        array: as a job array, instead of pilot jobs.

    Raises:
        GoldilocksError: as :func:`goldilocks_batch.converge`, or a job could never start.
    """
    execution = config.execution
    if array or execution.submits_jobs:
        check_requests(execution)
    assignment = prepared(config).assignment
    parts = assignment.parts.scan().parts
    ended = [part.shard for part in parts if not (config.retry and part.report.failed)]
    left = len(remaining_shards(assignment.shards(1), ended))
    numbers = numbers_of_jobs(execution, left, array=array)
    if array:
        check_array(sum(numbers.values()))
    return StudyPlan(assignment.sources.rows, left, scripts(execution, numbers, array=array))
