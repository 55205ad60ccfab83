"""What a SLURM job asks for: options that end up in job scripts, and therefore take no free text."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["JobKind", "MemoryLimit", "SlurmOptions", "bytes_of", "seconds_of"]

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


class JobKind(BaseModel):
    """One kind of job: a node's part for a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: Plain | None = Field(None, description="where it runs; null: the cluster's default")
    account: Plain | None = Field(None, description="whom it is charged to")
    qos: Plain | None = Field(None, description="quality of service")
    walltime: Walltime = Field("01:00:00", description="workers leave before its end and are replaced")
    jobs: int | None = Field(None, ge=1, description="how many; null: as many as --jobs says")
    cores: int = Field(1, ge=1, description="cores of a job")
    memory: Memory = Field("4GB", description="memory of a job, shared by its processes")
    processes: int | None = Field(None, ge=1, description="shards at a time; null: one a core, one a GPU")
    gpus: int = Field(0, ge=0, description="GPUs of a job")
    directives: tuple[Directive, ...] = Field((), description="further #SBATCH directives")

    @property
    def seats(self) -> int:
        """Shards that a job works on at a time."""
        return self.processes or self.gpus or self.cores


class SlurmOptions(BaseModel):
    """The job kinds of a run, and what is common to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: JobKind | None = Field(JobKind(), description="jobs without a GPU; null: none")
    gpu: JobKind | None = Field(None, description="jobs with GPUs; null: none")
    interface: Plain | None = Field(None, description="network interface that the nodes share, e.g. ib0")
    scratch: Place | None = Field(
        None, description="node-local folder, e.g. /scratch/$SLURM_JOB_ID; null: the node's $TMPDIR or /tmp"
    )
    python: Plain | None = Field(None, description="interpreter on the nodes; null: the one that submits")
    modules: tuple[Plain, ...] = Field((), description="environment modules to load")
    environment: dict[Variable, Line] = Field({}, description="environment variables to set")

    @model_validator(mode="after")
    def _some_kind(self) -> Self:
        if not self.kinds:
            raise ValueError("both cpu and gpu are null: no job could be submitted")
        if self.gpu is not None and self.gpu.gpus == 0:
            raise ValueError("gpu.gpus is 0: say how many GPUs a job asks for, or put the kind under cpu")
        return self

    @property
    def kinds(self) -> dict[str, JobKind]:
        """The kinds asked for, by name."""
        return {name: kind for name, kind in (("cpu", self.cpu), ("gpu", self.gpu)) if kind is not None}
