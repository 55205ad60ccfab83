"""Pilot jobs: what a job asks SLURM for, its script, and its submission, by dask-jobqueue."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from dask_jobqueue.slurm import SLURMJob
from distributed.deploy.spec import ProcessInterface

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.slurm import JobRequest, bytes_of, seconds_of
from goldilocks_batch.execution.slurm.scripts import (
    check_path,
    extra_directives,
    lifetime,
    mebibytes,
    prologue,
    run_name,
)
from goldilocks_batch.execution.slurm.security import credentials
from goldilocks_batch.execution.slurm.site import slurm

__all__ = ["PilotJob", "job_options", "pilot_scripts", "private_folder"]


def job_options(config: RunConfig, request: JobRequest) -> dict[str, Any]:
    """Keywords of dask-jobqueue's job class; all of them, so that no site-wide Dask file adds its own."""
    output, options = check_path(config.output), config.slurm
    *_, gone = lifetime(seconds_of(request.walltime))
    return {
        "job_name": run_name(output),
        "queue": request.partition,
        "account": request.account,
        "walltime": request.walltime,
        "cores": request.seats,
        "job_cpu": request.cores,
        "memory": bytes_of(request.memory),
        "job_mem": mebibytes(request),
        "processes": 1,  # one supervising worker a job, a thread for each of its child processes
        "nanny": False,
        # exec: the worker is the job's own process, which SLURM stops for certain
        "python": f"exec {options.python or check_path(Path(sys.executable))}",
        "worker_command": "distributed.cli.dask_worker",
        "worker_extra_args": [
            *("--lifetime", f"{gone}s"),
            *("--dashboard-address", "127.0.0.1:0"),
        ],
        "local_directory": '"${TMPDIR:-/tmp}"',  # the prologue makes scratch that
        "log_directory": None,  # it would be made even for a dry run
        "death_timeout": 120,
        "job_directives_skip": [],
        "job_extra_directives": [f"--output={output}/logs/worker-%j.log", *extra_directives(request)],
        "job_script_prologue": prologue(options),
        "shebang": "#!/usr/bin/env bash",
    }


class PilotJob(SLURMJob):
    """A job whose script goes to ``sbatch`` directly: no copy of it lies anywhere, its log is private."""

    async def start(self) -> None:
        """Submit the job.

        Raises:
            RunError: CLUSTER_FAILED, SLURM does not take it.
        """
        told = await asyncio.to_thread(slurm, "sbatch", "--parsable", script=self.job_script())
        self.job_id = told.strip().partition(";")[0]
        await ProcessInterface.start(self)


def pilot_scripts(config: RunConfig) -> dict[str, str]:
    """The job script of each request, by its number, as it would be submitted; nothing is submitted."""
    address = "tls://<address of the scheduler>"
    common = {
        "interface": config.slurm.interface,
        "protocol": "tls://",
        "security": credentials(private_folder(config)),
    }
    return {
        name: PilotJob(address, name=f"{name}-0", **job_options(config, request), **common).job_script()
        for name, request in config.slurm.numbered.items()
    }


def private_folder(config: RunConfig) -> Path:
    """The folder of the run's key and certificate."""
    return check_path(config.output) / ".private"
