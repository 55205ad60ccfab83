"""What SLURM tells of a site: its partitions, and whether a job can run there at all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from goldilocks_batch.config.slurm import JobRequest, bytes_of, seconds_of
from goldilocks_batch.core.errors import ConfigError, ErrorCode, RunError

__all__ = [
    "Partition",
    "cancel_named",
    "check_request",
    "check_tasks",
    "jobs_named",
    "largest_array",
    "partitions",
    "slurm",
]

_NO_LIMIT = ("infinite", "n/a", "unlimited")
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition, with the largest of its nodes.

    Attributes:
        name: its name.
        default: whether jobs without a partition go there.
        up: whether it takes jobs.
        walltime: its limit, s, None for none.
        nodes: number of nodes.
        cores: of a node.
        memory: of a node, bytes.
        gpus: of a node.
    """

    name: str
    default: bool
    up: bool
    walltime: int | None
    nodes: int
    cores: int
    memory: int
    gpus: int


def slurm(*command: str, script: str | None = None) -> str:
    """Run one of SLURM's commands, without a shell.

    Args:
        command: the command and its arguments.
        script: what it reads from standard input.

    Returns:
        What it printed.

    Raises:
        ConfigError: there is no such command on this machine.
        RunError: CLUSTER_FAILED, with what it complained of.
    """
    program = shutil.which(command[0])
    if program is None:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"'{command[0]}' was not found: is this a login node of a SLURM cluster? "
            "Use --executor local on a machine without SLURM",
        )
    try:
        done = subprocess.run(  # noqa: S603 - a list of checked words, no shell
            [program, *command[1:]],
            env=_outside_of_jobs(os.environ),
            umask=0o027,  # a job's log is made with the umask of its submission
            input=script or "",
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(
            ErrorCode.CLUSTER_FAILED, f"{command[0]} did not answer within {_PATIENCE:g} s"
        ) from error
    if done.returncode:
        said = done.stderr.strip().splitlines()  # the last line is what it comes to
        complaint = said[-1] if said else f"{command[0]}: exit status {done.returncode}"
        raise RunError(ErrorCode.CLUSTER_FAILED, complaint)
    return done.stdout


def _outside_of_jobs(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what tells of a job that this process is part of: new jobs inherit it."""
    of_a_job = "SLURM_JOB_ID" in environment
    return {
        name: value
        for name, value in environment.items()
        if not of_a_job or name == "SLURM_CONF" or not name.startswith(("SLURM_", "SBATCH_"))
    }


def partitions() -> list[Partition]:
    """The partitions of this site, the default one first.

    Raises:
        ConfigError, RunError: as :func:`slurm`.
    """
    found: dict[str, Partition] = {}
    # one line for every set of equal nodes of a partition
    for line in slurm("sinfo", "--noheader", "--format", "%P|%a|%l|%D|%c|%m|%G").splitlines():
        name, up, limit, nodes, cores, memory, gres = line.strip().split("|")
        here = Partition(
            name.removesuffix("*"),
            name.endswith("*"),
            up == "up",
            None if limit in _NO_LIMIT else seconds_of(limit),
            int(nodes),
            int(cores.removesuffix("+")),
            int(memory.removesuffix("+")) * 2**20,
            sum(int(count) for count in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", gres)),
        )
        found[here.name] = _joined(found[here.name], here) if here.name in found else here
    return sorted(found.values(), key=lambda partition: not partition.default)


def _joined(a: Partition, b: Partition) -> Partition:
    largest = {name: max(getattr(a, name), getattr(b, name)) for name in ("cores", "memory", "gpus")}
    return Partition(a.name, a.default, a.up or b.up, a.walltime, a.nodes + b.nodes, **largest)


def check_request(request: JobRequest, known: list[Partition]) -> None:
    """Refuse a job that could never start.

    Raises:
        ConfigError: the partition is unknown or down, or has no node as large, or no walltime as long.
    """
    names = [partition.name for partition in known]
    if request.partition is None:
        chosen = [partition for partition in known if partition.default]
        if not chosen:
            raise _impossible(f"no default partition; name one of {', '.join(names)}")
    else:
        wanted = request.partition.split(",")
        unknown = sorted(set(wanted) - set(names))
        if unknown:
            raise _impossible(f"no partition '{unknown[0]}' here; there are {', '.join(names)}")
        chosen = [partition for partition in known if partition.name in wanted]
    complaints = [_complaint(request, partition) for partition in chosen]
    if all(complaints):
        raise _impossible("; ".join(filter(None, complaints)))


def _complaint(request: JobRequest, partition: Partition) -> str | None:
    where = f"partition '{partition.name}'"
    if not partition.up:
        return f"{where} takes no jobs now"
    if partition.walltime is not None and seconds_of(request.walltime) > partition.walltime:
        return (
            f"walltime {request.walltime} is above the limit of {where}, {partition.walltime // 60} minutes"
        )
    if request.cores > partition.cores:
        return f"{request.cores} cores asked for; a node of {where} has {partition.cores}"
    if bytes_of(request.memory) > partition.memory:
        return f"{request.memory} of memory asked for; a node of {where} has {partition.memory / 1e9:.1f} GB"
    if request.gpus > partition.gpus:
        return f"{request.gpus} GPUs asked for; a node of {where} has {partition.gpus}"
    return None


def _impossible(message: str) -> ConfigError:
    return ConfigError(ErrorCode.CONFIG_INVALID, f"SLURM: {message}")


def largest_array() -> int | None:
    """Number of tasks that a job array may have here; None if SLURM does not tell.

    Raises:
        ConfigError, RunError: as :func:`slurm`.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", slurm("scontrol", "show", "config"), re.MULTILINE)
    return int(found[1]) if found else None


def check_tasks(tasks: int, allowed: int | None) -> None:
    """Refuse an array that SLURM would not take.

    Raises:
        ConfigError: it has more tasks than are allowed.
    """
    if allowed is not None and tasks > allowed:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"SLURM: {tasks} tasks asked for; an array may have {allowed} here (MaxArraySize): fewer --jobs",
        )


def jobs_named(name: str) -> dict[str, str]:
    """State by id of the jobs with this name that are queued or running, such as ``pending (Resources)``."""
    lines = slurm("squeue", "--noheader", "--name", name, "--format", "%A|%T|%r").splitlines()
    parts = (line.strip().split("|", maxsplit=2) for line in lines)
    return {
        job: state.lower() if reason == "None" else f"{state.lower()} ({reason})"
        for job, state, reason in parts
    }


def cancel_named(name: str) -> None:
    """Cancel what an earlier attempt may have left in the queue."""
    left = jobs_named(name)
    if left:
        slurm("scancel", *left)
