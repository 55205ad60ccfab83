"""Pilot jobs on SLURM, through dask-jobqueue."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import dask
from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed import Status

from goldilocks_batch.cluster.dask import SETTINGS, local_dashboard
from goldilocks_batch.cluster.scripts import (
    check_path,
    extra_directives,
    lifetime,
    mebibytes,
    prologue,
    run_name,
)
from goldilocks_batch.cluster.security import issue_certificate
from goldilocks_batch.cluster.site import cancel_named, check_kind, jobs_named, partitions
from goldilocks_batch.config import RunConfig
from goldilocks_batch.errors import ConfigError, ErrorCode, RunError
from goldilocks_batch.jobs import JobKind, bytes_of, seconds_of

__all__ = ["SlurmPool", "pilot_scripts"]

#: Seconds between two questions to SLURM about the jobs.
_ASK_EVERY = 30.0
#: Jobs that may end before a worker of theirs has reported.
_BARREN_JOBS = 3


def job_options(config: RunConfig, kind: JobKind) -> dict[str, Any]:
    """Keywords of dask-jobqueue's job class; all of them, so that no site-wide Dask file adds its own."""
    output, options = check_path(config.output), config.slurm
    age, stagger = lifetime(seconds_of(kind.walltime))
    return {
        "job_name": run_name(output),
        "queue": kind.partition,
        "account": kind.account,
        "walltime": kind.walltime,
        "cores": kind.seats,
        "job_cpu": kind.cores,
        "memory": bytes_of(kind.memory),
        "job_mem": mebibytes(kind),
        "processes": 1,  # one supervising worker a job, a thread for each of its child processes
        "nanny": False,
        # exec: the worker is the job's own process, which SLURM stops for certain
        "python": f"exec {options.python or check_path(Path(sys.executable))}",
        "worker_command": "distributed.cli.dask_worker",
        "worker_extra_args": [
            *("--lifetime", f"{age}s", "--lifetime-stagger", f"{stagger}s"),
            *("--dashboard-address", "127.0.0.1:0"),
            *("--resources", f"{'GPU' if kind.gpus else 'CPU'}={kind.seats}"),
        ],
        "local_directory": options.scratch or '"${TMPDIR:-/tmp}"',
        "log_directory": None,  # it would be made even for a dry run
        "death_timeout": 120,
        "job_directives_skip": [],
        "job_extra_directives": [f"--output={output}/logs/worker-%j.log", *extra_directives(kind)],
        "job_script_prologue": prologue(options),
        "shebang": "#!/usr/bin/env bash",
    }


def pilot_scripts(config: RunConfig) -> dict[str, str]:
    """The job script of each kind, as it would be submitted; nothing is submitted."""
    address = "tls://<address of the scheduler>"
    return {
        name: SLURMJob(address, name=f"{name}-0", **job_options(config, kind)).job_script()
        for name, kind in config.slurm.kinds.items()
    }


class SlurmPool:
    """A scheduler in this process, and one supervising worker a job.

    Args:
        config: of the run.

    Raises:
        ConfigError: a job kind could never start here.
        RunError: CLUSTER_FAILED, SLURM takes no jobs.
    """

    def __init__(self, config: RunConfig) -> None:
        kinds = config.slurm.kinds
        if config.max_jobs is not None and len(kinds) > 1:
            raise ConfigError(
                ErrorCode.CONFIG_INVALID, "max_jobs adapts the number of one job kind; this run has two"
            )
        known = partitions()
        for kind in kinds.values():
            check_kind(kind, known)
        self._name = run_name(config.output)
        cancel_named(self._name)
        self._logs = config.output / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._private = check_path(config.output) / ".private"
        self.security = issue_certificate(self._private)
        self.target = self._cluster(config, next(iter(kinds.values())))
        self.dashboard = local_dashboard(self.target, config.dashboard)
        self.two_kinds = len({kind.gpus > 0 for kind in kinds.values()}) == 2
        self.seats = config.jobs * sum(kind.seats for kind in kinds.values())
        self._barren = 0
        self._asked = time.monotonic()
        try:
            self._start(config)
        except BaseException:
            self.close()
            raise

    def _cluster(self, config: RunConfig, kind: JobKind) -> SLURMCluster:
        # for good: the time is looked up whenever a worker is lost
        dask.config.set(SETTINGS | {"distributed.deploy.lost-worker-timeout": "2s"})
        return SLURMCluster(
            security=self.security,
            interface=config.slurm.interface,
            scheduler_options={
                "dashboard": config.dashboard is not None,
                "dashboard_address": config.dashboard or "127.0.0.1:0",
            },
            silence_logs=logging.CRITICAL,
            name=self._name,
            **job_options(config, kind),
        )

    def _start(self, config: RunConfig) -> None:
        kinds = config.slurm.kinds
        if config.max_jobs is not None:
            self.target.adapt(minimum_jobs=config.jobs, maximum_jobs=max(config.jobs, config.max_jobs))
            return
        common = {name: self.target._job_kwargs[name] for name in ("interface", "protocol", "security")}
        for name, kind in kinds.items():
            options = {**job_options(config, kind), **common}
            for number in range(config.jobs):
                self.target.worker_spec[f"{name}-{number}"] = {"cls": SLURMJob, "options": options}
        self._submit_missing()

    def _submit_missing(self) -> None:
        """Submit the jobs that should be there and are not."""
        try:
            # what scale() calls, too, but there its errors end in a log
            self.target.sync(self.target._correct_state)
        except RuntimeError as error:
            for name in [name for name, job in self.target.workers.items() if job.job_id is None]:
                self._forget(name)
            complaint = str(error).partition("stderr:")[2] or str(error)
            raise RunError(
                ErrorCode.CLUSTER_FAILED, f"SLURM took no job: {' '.join(complaint.split())}"
            ) from error

    def tend(self) -> None:
        """Replace jobs that have ended.

        Raises:
            RunError: CLUSTER_FAILED, jobs end again and again before a worker of theirs has reported.
        """
        present = {worker["name"] for worker in self.target.scheduler_info["workers"].values()}
        if present:
            self._barren = 0
        missing = set(self.target.workers) - present
        if missing and time.monotonic() - self._asked > _ASK_EVERY:
            self._asked = time.monotonic()
            alive = jobs_named(self._name)
            for name in missing:
                if name in self.target.workers and self.target.workers[name].job_id not in alive:
                    self._forget(name)
                    self._barren += 1
        if self._barren >= _BARREN_JOBS:
            raise RunError(
                ErrorCode.CLUSTER_FAILED,
                f"{self._barren} jobs have ended before their worker reported: {_last_words(self._logs)}",
            )
        self._submit_missing()

    def _forget(self, name: str) -> None:
        """A job is not there any more: let another take its place."""
        self.target.workers.pop(name).status = Status.closed

    def close(self) -> None:
        """Cancel the jobs, stop the scheduler, and remove the key, which opens nothing any more."""
        self.target.close(timeout=30)
        shutil.rmtree(self._private, ignore_errors=True)


def _last_words(logs: Path) -> str:
    """The last line of the newest log that has any, and where it is."""
    for log in sorted(logs.glob("worker-*.log"), key=lambda path: path.stat().st_mtime, reverse=True):
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        if said:
            return f"'{said[-1][:300]}' ({log})"
    return f"they said nothing in {logs}"
