"""What a SLURM job asks for: options that end up in job scripts, and therefore take no free text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["JobRequest", "MemoryLimit", "SlurmOptions", "bytes_of", "seconds_of"]

_SHORTEST = 60
_WALLTIME = re.compile(r"(?:(\d+)-)?(\d+)(?::([0-5]?\d))?(?::([0-5]?\d))?")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(i?)B?", re.IGNORECASE)
_NO_SHELL = re.compile(r"[\w./+@:=,-]+")
_PLACE = re.compile(r"(?:[\w./+@:=,-]|\$(?:SLURM_JOB_ID|USER|TMPDIR)\b)+")
_DIRECTIVE = re.compile(r"--[a-z][a-z-]*(=[\w./+@:=,*%-]+)?")
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def seconds_of(walltime: str) -> int:
    """A walltime in seconds.

    Args:
        walltime: as SLURM writes it: ``MM``, ``MM:SS``, ``HH:MM:SS``, ``D-HH``, ``D-HH:MM``, ``D-HH:MM:SS``.

    Raises:
        ValueError: it is none of these.
    """
    match = _WALLTIME.fullmatch(walltime)
    if match is None:
        raise ValueError(f"'{walltime}' is no walltime; write HH:MM:SS or D-HH:MM:SS")
    days, *rest = match.groups()
    numbers = [int(number) for number in rest if number is not None]
    if days is not None or len(numbers) == 3:
        hours, minutes, seconds = numbers + [0] * (3 - len(numbers))
    else:
        hours, (minutes, seconds) = 0, numbers + [0] * (2 - len(numbers))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def bytes_of(memory: str) -> int:
    """An amount of memory in bytes: ``4GB`` (10⁹) or ``4GiB`` (2³⁰), ``K`` to ``T``.

    Raises:
        ValueError: it is no such amount.
    """
    match = _MEMORY.fullmatch(memory.strip())
    if match is None:
        raise ValueError(f"'{memory}' is no amount of memory; write e.g. 4GB or 512MiB")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** ("KMGT".index(unit.upper()) + 1))


def _quoted_in_yaml(value: object) -> object:
    if isinstance(value, int):  # YAML 1.1 reads 01:30:00 as the number 5400
        raise ValueError('put it in quotation marks, e.g. "01:30:00"')
    return value


def _walltime(value: str) -> str:
    if seconds_of(value) < _SHORTEST:
        raise ValueError(f"a job of less than {_SHORTEST} s does nothing but start")
    return value


def _memory(value: str) -> str:
    bytes_of(value)
    return value


def _memory_or_auto(value: str) -> str:
    return value if value == "auto" else _memory(value)


def _plain(value: str) -> str:
    if not _NO_SHELL.fullmatch(value):
        raise ValueError("letters, digits and . / _ + @ : = , - only: it becomes part of a job script")
    return value


def _place(value: str) -> str:
    if not _PLACE.fullmatch(value):
        raise ValueError(
            "letters, digits and . / _ + @ : = , - and $SLURM_JOB_ID, $USER, $TMPDIR only: it becomes part "
            "of a job script"
        )
    return value


def _directive(value: str) -> str:
    if not _DIRECTIVE.fullmatch(value):
        raise ValueError("expected a directive such as '--exclusive' or '--reservation=name'")
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError("expected the name of an environment variable")
    return value


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("expected a single line of text")
    return value


Plain = Annotated[str, AfterValidator(_plain)]
Place = Annotated[str, AfterValidator(_place)]
Walltime = Annotated[str, BeforeValidator(_quoted_in_yaml), AfterValidator(_walltime)]
Memory = Annotated[str, AfterValidator(_memory)]
MemoryLimit = Annotated[str, AfterValidator(_memory_or_auto)]
Directive = Annotated[str, AfterValidator(_directive)]
Variable = Annotated[str, AfterValidator(_variable)]
Line = Annotated[str, AfterValidator(_one_line)]


class JobRequest(BaseModel):
    """What a job asks for: a node's part for a time.  Each of its processes does whole shards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: Plain | None = Field(None, description="where it runs; null: the cluster's default")
    account: Plain | None = Field(None, description="whom it is charged to")
    qos: Plain | None = Field(None, description="quality of service")
    walltime: Walltime = Field("01:00:00", description="workers leave before its end and are replaced")
    jobs: int | None = Field(None, ge=1, description="how many; null: as many as --jobs says")
    cores: int = Field(1, ge=1, description="cores of a job")
    memory: Memory = Field("4GB", description="memory of a job, shared by its processes")
    processes: int | None = Field(None, ge=1, description="shards at a time; null: one a core")
    gpus: int = Field(0, ge=0, description="GPUs of a job, shared by its processes")
    directives: tuple[Directive, ...] = Field((), description="further #SBATCH directives")

    @property
    def seats(self) -> int:
        """Shards that a job works on at a time."""
        return self.processes or self.cores

    @property
    def has_gpus(self) -> bool:
        """Whether its jobs get GPUs: by ``gpus``, by a directive, or with the whole node."""
        return self.gpus > 0 or any("gpu" in line or line == "--exclusive" for line in self.directives)


def _in_a_list(request: object) -> object:
    return (request,) if isinstance(request, Mapping | JobRequest) else request


def _at_least_one(requests: tuple[JobRequest, ...]) -> tuple[JobRequest, ...]:
    if not requests:
        raise ValueError("no job could be submitted: say what a job asks for, or leave the option out")
    return requests


def _as_request(old: object) -> str:
    """What to write in place of one of the two kinds that jobs once were of."""
    if old is None:
        return "leave it out: slurm.requests names the only jobs that there are"
    item = yaml.safe_dump(old, default_flow_style=True, sort_keys=False, width=1000).strip()
    return f"write slurm.requests: [{item}], an item for each kind of node; each job does whole shards"


class SlurmOptions(BaseModel):
    """The jobs of a run, and what is common to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Options that are no more, and what is said of each, given its value.
    gone: ClassVar[Mapping[str, Callable[[object], str]]] = {"cpu": _as_request, "gpu": _as_request}

    requests: Annotated[
        tuple[JobRequest, ...], BeforeValidator(_in_a_list), AfterValidator(_at_least_one)
    ] = Field(
        (JobRequest(),),
        description="what a job asks for: one such mapping, or a list of them, for nodes with GPUs beside "
        "nodes without",
    )
    interface: Plain | None = Field(None, description="network interface that the nodes share, e.g. ib0")
    scratch: Place | None = Field(
        None, description="node-local folder, e.g. /scratch/$SLURM_JOB_ID; null: the node's $TMPDIR or /tmp"
    )
    python: Plain | None = Field(None, description="interpreter on the nodes; null: the one that submits")
    modules: tuple[Plain, ...] = Field((), description="environment modules to load")
    environment: dict[Variable, Line] = Field({}, description="environment variables to set")

    @property
    def numbered(self) -> dict[str, JobRequest]:
        """The requests by their numbers, from 1."""
        return {str(number): request for number, request in enumerate(self.requests, 1)}

    def expect_gpus(self) -> None:
        """Refuse jobs without GPUs for processes that must have one.

        Raises:
            ValueError: a request asks for none; with what to write.
        """
        without = [number for number, request in self.numbered.items() if not request.has_gpus]
        if without:
            which = "" if len(self.requests) == 1 else f" (of its items {', '.join(without)})"
            raise ValueError(
                f"device is cuda, with which every process uses a GPU; slurm.requests{which} asks for none: "
                "write gpus: 1 there, or device: auto, which uses the GPUs that a job has, else its cores"
            )
