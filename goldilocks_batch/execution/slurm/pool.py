"""Pilot jobs on SLURM: kept at their number, whatever happens to them."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from pathlib import Path

import dask
from dask_jobqueue.slurm import SLURMCluster
from distributed import Status

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.slurm import JobRequest, seconds_of
from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.execution.dask.leaving import Leave, Leaving
from goldilocks_batch.execution.dask.pool import SETTINGS, dashboard_options, local_dashboard
from goldilocks_batch.execution.dask.private import job_keywords, reach_specification
from goldilocks_batch.execution.slurm.pilots import PilotJob, job_options, private_folder
from goldilocks_batch.execution.slurm.scripts import lifetime, run_name
from goldilocks_batch.execution.slurm.security import issue_certificate
from goldilocks_batch.execution.slurm.site import cancel_named, check_request, jobs_named, partitions

__all__ = ["SlurmPool"]

_log = logging.getLogger(__name__)

#: Seconds between two questions to SLURM about the jobs; after one that failed, up to so many.
_ASK_EVERY, _ASK_SELDOM = 30.0, 600.0
#: Seconds without an answer of SLURM and without a worker that end a run.
_PATIENCE = 3600.0
#: So many jobs in one place may end, one after the other, before a worker of theirs has reported.
_LARGEST_LOSS = 3


class SlurmPool:
    """A scheduler in this process, and one supervising worker a job.

    Args:
        config: of the run.
        shards: how many there are to do, None if that is not known; no job is submitted without a share.

    Raises:
        ConfigError: a job could never start here.
        RunError: CLUSTER_FAILED, SLURM takes no jobs.
    """

    def __init__(self, config: RunConfig, shards: int | None = None) -> None:
        requests = config.slurm.numbered
        known = partitions()
        for request in requests.values():
            check_request(request, known)
        self._name = run_name(config.output)
        cancel_named(self._name)
        self._logs = config.output / "logs"
        self._logs.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._private = private_folder(config)
        self.security = issue_certificate(self._private)
        options = dashboard_options(config.dashboard)
        self.target = self._cluster(config, config.slurm.requests[0], options)
        self.dashboard = local_dashboard(self.target, options)
        leave = {
            name: Leave(*lifetime(seconds_of(request.walltime))[:2]) for name, request in requests.items()
        }
        self.plugins = (Leaving({**leave, "": next(iter(leave.values()))}),)
        numbers = {name: config.jobs_of(request, shards) for name, request in requests.items()}
        self.seats = sum(request.seats * numbers[name][0] for name, request in requests.items())
        self._least = sum(least for least, _ in numbers.values())
        self._places = sum(most for _, most in numbers.values())
        self._adapts = config.max_jobs is not None
        self._told = ""  # of jobs that are awaited
        asked = sum(config.jobs_of(request)[0] for request in requests.values())
        if self._least < asked:
            _log.info(
                "%d jobs of %d are submitted: %d shards are left, no work for more",
                self._least,
                asked,
                shards,
            )
        self._lost: Counter[str] = Counter()  # jobs that ended before their worker reported, by its name
        self._reported: set[str] = set()  # workers whose present job has been seen at work
        self._served = False
        self._next, self._pause = time.monotonic() + _ASK_EVERY, _ASK_EVERY
        self._trouble: float | None = None
        self._seen = time.monotonic()
        try:
            self._start(config, {name: least for name, (least, _) in numbers.items()})
        except BaseException:
            self.close()
            raise

    def _cluster(self, config: RunConfig, request: JobRequest, dashboard: dict[str, object]) -> SLURMCluster:
        # for good: the time is looked up whenever a worker is lost
        dask.config.set(SETTINGS | {"distributed.deploy.lost-worker-timeout": "2s"})
        return SLURMCluster(
            job_cls=PilotJob,
            security=self.security,
            interface=config.slurm.interface,
            scheduler_options=dashboard,
            silence_logs=logging.CRITICAL,
            name=self._name,
            **job_options(config, request),
        )

    def _start(self, config: RunConfig, numbers: dict[str, int]) -> None:
        if self._adapts:
            for _ in range(self._least):  # at once, so that a refusal is heard
                self.target.worker_spec.update(self.target.new_worker_spec())
            self._submit_missing()
            self.target.adapt(minimum_jobs=self._least, maximum_jobs=self._places)
            return
        common = job_keywords(self.target)
        for name, request in config.slurm.numbered.items():
            options = {**job_options(config, request), **common}
            for number in range(numbers[name]):
                self.target.worker_spec[f"{name}-{number}"] = {"cls": PilotJob, "options": options}
        self._submit_missing()

    def _submit_missing(self) -> None:
        """Submit the jobs that should be there and are not."""
        try:
            reach_specification(self.target)
        except RunError as error:
            for name in [name for name, job in self.target.workers.items() if job.job_id is None]:
                self._forget(name)
            raise RunError(error.code, f"SLURM took no job: {error.message}") from error

    def tend(self, workers: int) -> None:
        """Replace jobs that have ended.

        Now that SLURM has taken jobs, it may be away for a while, or refuse others: it is asked again later.

        Raises:
            RunError: CLUSTER_FAILED, jobs end again and again before a worker of theirs has reported, or
                there is no worker and SLURM takes no jobs.
        """
        now = time.monotonic()
        present = {worker["name"] for worker in self.target.scheduler_info["workers"].values()}
        for name in present:
            del self._lost[name]
        self._reported |= present
        if workers:
            self._served, self._seen = True, now
        if now < self._next:
            return
        try:
            self._replace(present)
        except RunError as error:
            self._put_off(error, now, present)
        else:
            self._trouble, self._pause = None, _ASK_EVERY
            self._check_lost(present)
        self._next = time.monotonic() + self._pause

    def _replace(self, present: set[str]) -> None:
        """Submit a job for each that has ended; one that never came to work has so many chances."""
        missing = set(self.target.workers) - present
        alive = jobs_named(self._name) if missing else {}
        self._tell_of_waiting({} if present else alive)
        for name in sorted(missing, key=str):
            job = self.target.workers.get(name)
            if job is None or job.job_id in alive:
                continue
            self._forget(name)
            if job.job_id is not None and name not in self._reported:
                self._count_lost(name, job.job_id)
            self._reported.discard(name)
        self._submit_missing()

    def _count_lost(self, name: str, job: str) -> None:
        """A job has ended in vain; after the third in one place there is no fourth."""
        self._lost[name] += 1
        hopeless = self._lost[name] == _LARGEST_LOSS
        _log.warning(
            "job %s has ended before its worker reported: %s%s",
            job,
            _last_words(self._logs, job),
            "; no other takes its place" if hopeless else "",
        )
        if not hopeless:
            return
        self.target.worker_spec.pop(name, None)
        self._places -= 1
        if self._adapts and self._places:
            self.target.adapt(minimum_jobs=min(self._least, self._places), maximum_jobs=self._places)

    def _tell_of_waiting(self, jobs: dict[str, str]) -> None:
        """Say what there is instead of workers, whenever it has changed."""
        states = Counter(jobs.values()).most_common()
        waiting = ", ".join(f"{number} {state}" for state, number in states)
        if waiting and waiting != self._told:
            _log.info("no worker yet; jobs: %s", waiting)
        self._told = waiting

    def _put_off(self, error: RunError, now: float, present: set[str]) -> None:
        """Ask SLURM again later, unless there is no worker and has been none for long."""
        if self._trouble is None:
            self._trouble = now
            _log.warning(
                "%s. Workers go on; jobs that end are replaced when SLURM takes new ones", error.message
            )
        elif not present and now - max(self._trouble, self._seen) > _PATIENCE:
            raise error
        else:
            self._pause = min(2 * self._pause, _ASK_SELDOM)

    def _check_lost(self, present: set[str]) -> None:
        """End the run if no job ever comes to work, or no place is left for one."""
        hopeless = not self._places and not present
        if hopeless or (not self._served and self._lost.total() >= _LARGEST_LOSS):
            raise RunError(
                ErrorCode.CLUSTER_FAILED,
                f"{self._lost.total()} jobs have ended before their worker reported: "
                f"{_last_words(self._logs)}",
            )

    def _forget(self, name: str) -> None:
        """A job is not there any more: let another take its place."""
        self.target.workers.pop(name).status = Status.closed

    def close(self) -> None:
        """Cancel the jobs, stop the scheduler, and remove the key, which opens nothing any more."""
        self.target.close(timeout=30)
        shutil.rmtree(self._private, ignore_errors=True)


def _last_words(logs: Path, job: str = "*") -> str:
    """The last line of the newest log, of one job or of any, that has one, and where it is."""
    found = sorted(logs.glob(f"worker-{job}.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    for log in found:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        if said:
            return f"'{said[-1][:300]}' ({log})"
    return f"it said nothing in {found[0]}" if len(found) == 1 else f"they said nothing in {logs}"
