"""What pilot jobs and job arrays have in common: names, paths and lines of their scripts."""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
from pathlib import Path

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.slurm import JobRequest, SlurmOptions, bytes_of
from goldilocks_batch.core.errors import ConfigError, ErrorCode

__all__ = ["array_script", "check_path", "extra_directives", "lifetime", "mebibytes", "prologue", "run_name"]

#: What may stand in a job script without quotation marks.
_SAFE_PATH = re.compile(r"[\w./+@=:,-]+")


def lifetime(walltime: int) -> tuple[int, int, int]:
    """When a worker begins to leave, counted from its start, the spread around that, and when it is gone, s.

    Between a job's start and its worker's the node loads Python and the libraries, and a shard in hand is
    finished: a tenth of the walltime is kept for both, but one minute at least and ten at most (a third of
    the time of a very short job).  A quarter of that is left when a worker goes whatever it has in hand.
    """
    kept = min(max(60, walltime // 10), 600, walltime // 3)
    stagger = kept // 4
    return walltime - kept - stagger, stagger, walltime - stagger


def run_name(output: Path) -> str:
    """The name of all jobs of the run in a folder: an attempt finds the jobs of an earlier one by it."""
    return "goldilocks-" + hashlib.sha256(str(output.absolute()).encode()).hexdigest()[:10]


def prologue(options: SlurmOptions) -> list[str]:
    """Lines of a job script before the program starts."""
    return [
        "umask 027",
        *(f"module load {module}" for module in options.modules),
        *(f"export {name}={shlex.quote(value)}" for name, value in options.environment.items()),
        *([_scratch(options.scratch)] if options.scratch else []),
    ]


def _scratch(folder: str) -> str:
    """Make a node's scratch folder the place for temporary files, or say that it is not there."""
    complaint = f"scratch folder {folder} is not there on"
    return (
        f'test -d "{folder}" || {{ echo "{complaint} $(hostname)" >&2; exit 1; }}; export TMPDIR="{folder}"'
    )


def check_path(path: Path) -> Path:
    """The absolute path, if it can stand in a job script.

    Raises:
        ConfigError: it has blanks or characters that mean something to a shell or to SLURM.
    """
    if not _SAFE_PATH.fullmatch(str(path.absolute())):
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"{path.absolute()} becomes part of job scripts: letters, digits and . / _ + @ = : , - only",
        )
    return path.absolute()


def extra_directives(request: JobRequest) -> list[str]:
    """Directives beyond those for partition, account, cores, memory and walltime."""
    found = [*request.directives]
    if request.gpus:
        found.append(f"--gres=gpu:{request.gpus}")
    if request.qos is not None:
        found.append(f"--qos={request.qos}")
    return found


def mebibytes(request: JobRequest) -> str:
    """A job's memory as SLURM takes it, rounded down: a whole node's must not become too much."""
    return f"{max(1, bytes_of(request.memory) // 2**20)}M"


def array_script(config: RunConfig, request: JobRequest, tasks: int) -> str:
    """The script of a job array whose tasks share the shards of a run among them."""
    output = check_path(config.output)
    python = config.slurm.python or check_path(Path(sys.executable))
    directives = [
        f"--job-name={run_name(output)}",
        f"--array=0-{tasks - 1}",
        f"--output={output}/logs/array-%A-%a.log",
        "--ntasks=1",
        f"--cpus-per-task={request.cores}",
        f"--mem={mebibytes(request)}",
        f"--time={request.walltime}",
        *([f"--partition={request.partition}"] if request.partition else []),
        *([f"--account={request.account}"] if request.account else []),
        *extra_directives(request),
    ]
    lines = [
        "#!/usr/bin/env bash",
        *(f"#SBATCH {directive}" for directive in directives),
        *prologue(config.slurm),
        f"exec {python} -m goldilocks_batch.cli.app array-task {output}",
    ]
    return "\n".join(lines) + "\n"
