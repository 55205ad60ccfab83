"""What a run would be, before it begins (``--dry-run``): its shards, its cost, its jobs and their scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from goldilocks_batch.artifacts.find import find_model
from goldilocks_batch.artifacts.registry import Entry
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.slurm import JobRequest
from goldilocks_batch.core.errors import ConfigError, RunError
from goldilocks_batch.execution.slurm.scripts import array_script
from goldilocks_batch.execution.slurm.site import check_request, check_tasks, largest_array, partitions
from goldilocks_batch.results.shards import remaining_shards
from goldilocks_batch.runs.array import array_request
from goldilocks_batch.runs.attempt import prepared
from goldilocks_batch.runs.sizing import shard_size, typical_seconds

__all__ = ["Plan", "check_array", "check_requests", "numbers_of_jobs", "plan", "scripts"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it begins.

    Attributes:
        rows: rows of the inputs.
        shards: tasks that are left to do.
        left: rows that are left to do.
        jobs: pilot jobs by the number of their request, or tasks of an array; none without SLURM.
        core_seconds: a structure's, that the estimate is made with.
        measured: whether that was measured in this very run, or is typical of the model.
        fetches: model files and folders of them that the run would fetch.
        ignored: files of the inputs that are no structures, by ending.
    """

    rows: int
    shards: int
    left: int
    jobs: dict[str, int]
    core_seconds: float
    measured: bool
    fetches: tuple[str, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)

    @property
    def core_hours(self) -> float:
        """Estimated."""
        return self.left * self.core_seconds / 3600


def plan(config: RunConfig, *, array: bool = False) -> Plan:
    """Plan a run, or a job array; nothing is written, started or asked of a scheduler.

    Raises:
        ConfigError, InputError, ModelError: as :func:`goldilocks_batch.run`.
    """
    lacking: list[Entry] = []
    assignment, _ = prepared(config, lambda choice: find_model(choice, lacking=lacking.append), ask=False)
    found = assignment.parts.scan()
    kind = assignment.work.model.kind
    size = shard_size(config, kind, assignment.sources.rows, array=array)
    left = remaining_shards(assignment.shards(size), found.shards)
    done = found.report
    typical = typical_seconds(config, kind, array=array)
    rate = sum(done.seconds.values()) / done.rows if done.rows else typical
    fetches = tuple(dict.fromkeys(f"{entry.repository}/{entry.path}" for entry in lacking))
    return Plan(
        rows=assignment.sources.rows,
        shards=len(left),
        left=sum(map(len, left)),
        jobs=numbers_of_jobs(config, len(left), array=array),
        core_seconds=rate,
        measured=bool(done.rows),
        fetches=fetches,
        ignored=assignment.sources.ignored,
    )


def numbers_of_jobs(config: RunConfig, shards: int, *, array: bool) -> dict[str, int]:
    """Jobs for so many shards: pilot jobs by the number of their request, or tasks of an array.

    Raises:
        ConfigError: the tasks of an array cannot be asked for so.
    """
    if array:
        return {"array": config.jobs_of(array_request(config), shards)[0]}
    if not config.submits_jobs:
        return {}
    return {name: config.jobs_of(request, shards)[0] for name, request in config.slurm.numbered.items()}


def check_requests(config: RunConfig) -> None:
    """Hold the requests of jobs to the partitions of this site, if it is one that answers.

    Raises:
        ConfigError: a job could never start.
    """
    try:
        known = partitions()
    except (ConfigError, RunError):  # no SLURM here, or it is away: the submission will tell
        return
    for request in config.slurm.requests:
        check_request(request, known)


def check_array(tasks: int) -> None:
    """Hold a number of tasks to what this site allows, if it is one that answers.

    Raises:
        ConfigError: an array of so many is not taken.
    """
    try:
        allowed = largest_array()
    except (ConfigError, RunError):  # the same
        return
    check_tasks(tasks, allowed)


def scripts(config: RunConfig, numbers: Mapping[str, int], *, array: bool) -> dict[str, str]:
    """The job scripts of a run, by what they are for; nothing is submitted.

    Args:
        config: of the run; without SLURM there are none.
        numbers: of jobs, as planned.
        array: of a job array, instead of pilot jobs.
    """
    if array:
        request, (tasks,) = array_request(config), numbers.values()
        return {f"array, {_counted(tasks, config, request, 'tasks')}": array_script(config, request, tasks)}
    if not numbers:
        return {}
    from goldilocks_batch.execution.slurm.pilots import pilot_scripts

    requests = config.slurm.numbered
    return {
        f"request {name}, {_counted(numbers[name], config, requests[name], 'jobs')}": script
        for name, script in pilot_scripts(config).items()
    }


def _counted(number: int, config: RunConfig, request: JobRequest, what: str) -> str:
    asked, _ = config.jobs_of(request)
    return f"{what}: {number}" + (f" of {asked}, there is no work for more" if number < asked else "")
