"""What a run is asked to do: one frozen object, from a YAML file, from flags, or from Python.

Options are of two kinds.  *Scientific* ones decide the numbers in the result table; a run resumes only
if none of them has changed.  *Execution* ones (workers, shard size, executor …) decide how the work is
done and may differ between the attempts of one run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from goldilocks_batch.config.checking import Options, read_yaml
from goldilocks_batch.config.choices import Device, DialectName, ExecutorName, Grid, SingleSite
from goldilocks_batch.config.flags import INPUTS, MESSAGES, MODEL, WORK, Flag
from goldilocks_batch.config.model import ModelChoice
from goldilocks_batch.config.slurm import JobRequest, MemoryLimit, SlurmOptions, bytes_of

__all__ = ["SCIENTIFIC", "RunConfig", "load_config"]

#: Where a dashboard listens that nobody gave an address: this machine, any free port.
ANY_PORT = "127.0.0.1:0"


def _no_precision(_value: object) -> str:
    return (
        "leave it out; networks' matrix products are in float32 (on an H200 tf32 was 1.01 times as "
        "fast, bf16 0.8 times)"
    )


class RunConfig(Options):
    """Every option of ``goldilocks-batch run``.

    Paths are kept as given; relative ones are relative to the working directory.

    Raises:
        ConfigError: CONFIG_INVALID, an option is unknown, or a value is none that the option takes.
    """

    inputs: Annotated[tuple[Path, ...], Flag()] = Field(
        (),
        description="directories, .zip or .tar.gz archives, structure files, Parquet manifests, JSON of "
        "databases; mixed as you like",
    )
    output: Annotated[Path, Flag(short="-o")] = Field(
        Path("goldilocks-run"), description="folder for the results"
    )

    #: Options that are no more, and what is said of each, given its value.
    gone: ClassVar[Mapping[str, Callable[[object], str]]] = {"precision": _no_precision}

    # scientific options
    model: Annotated[str, Flag(MODEL, short="-m")] = Field(
        "mc3d",
        description="mc3d: trees in the package, need no files; rf: published forest; alignn: published "
        "networks; k_index: published forest of rungs; baseline: constants; psdi:RECORD, published on PSDI; "
        "or a trained model's folder",
    )
    confidence: Annotated[float, Flag(MODEL)] = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="one-sided confidence: 0.95, 0.90 or 0.85 of published models; any between 0.5 and 1 of "
        "mc3d and trained models",
    )
    tolerance: Annotated[float | None, Flag(MODEL, default="1")] = Field(
        None,
        gt=0,
        description="energy that counts as converged, meV per atom: 1, 3 or 5 of mc3d; other models have one",
    )
    grid: Annotated[Grid, Flag(MODEL)] = Field(
        "lower", description="bound that the recommended mesh is made from"
    )
    equal_axes: Annotated[bool, Flag(MODEL, negatable=True)] = Field(
        False, description="equal counts along axes of equal length"
    )
    symprec: Annotated[float, Flag(MODEL)] = Field(
        0.01, gt=0, le=0.5, description="distance tolerance of the table's space group and primitive cell, Å"
    )
    single_site: Annotated[SingleSite, Flag(MODEL)] = Field(
        "skip",
        description="one-atom cells, which have no bond angles (alignn): skip the layers that use them, or "
        "double the cell along its periodic axes",
    )
    max_sites: Annotated[int, Flag(MODEL)] = Field(
        1000, ge=1, description="refuse cells with more sites than this, as supplied"
    )
    allow_missing_hydrogens: Annotated[bool, Flag(MODEL, negatable=True)] = Field(
        False, description="go on, flagged, where a file says that there are hydrogens without positions"
    )
    allow_outside: Annotated[bool, Flag(INPUTS, negatable=True)] = Field(
        False, description="let a manifest name files outside its own folder"
    )
    dialect: Annotated[DialectName | None, Flag(INPUTS, default="found from the columns")] = Field(
        None, description="how manifests hold structures, where their columns make several dialects"
    )
    id_column: Annotated[
        str | None,
        Flag(INPUTS, default="id, immutable_id or material_id; jid and others in JSON", metavar="NAME"),
    ] = Field(None, description="column of manifests, or name in entries of JSON, that holds the ids")
    strict_ids: Annotated[bool, Flag(INPUTS, negatable=True)] = Field(
        False,
        description="refuse files that would share an id, such as Si.cif beside Si.vasp; else they are "
        "called by more of their paths",
    )
    registry: Annotated[Path | None, Flag(MODEL, default="")] = Field(
        None, description="registry file (TOML) in place of the package's"
    )

    # execution options
    device: Annotated[Device, Flag(WORK)] = Field(
        "auto",
        description="where networks run; auto: on GPUs, in as many processes as these have memory for; cuda: "
        "on GPUs, in every process",
    )
    artifacts: Annotated[Path | None, Flag(MODEL, default="")] = Field(
        None,
        description="folder of model files, ORGANISATION/REPOSITORY/FILE; what is not there is looked for in "
        "the project's cache",
    )
    offline: Annotated[bool, Flag(MODEL)] = Field(
        False, description="fetch nothing: model files are those in artifacts and in the project's cache"
    )
    executor: Annotated[ExecutorName, Flag(WORK)] = Field(
        "local", description="local: a process a core (Dask); serial: this process; slurm: pilot jobs"
    )
    workers: Annotated[int | None, Flag(WORK, default="one per core")] = Field(
        None, ge=1, description="worker processes"
    )
    gpus: Annotated[int | None, Flag(WORK, default="all, if the model has networks")] = Field(
        None, ge=0, description="GPUs to use on this machine, shared by its processes"
    )
    gpu_processes: Annotated[int | None, Flag(WORK, default="as many as its free memory has room for")] = (
        Field(None, ge=1, description="processes that share a GPU; the others run networks on their cores")
    )
    cluster: Annotated[str | None, Flag(WORK, default="", metavar="ADDRESS|FILE")] = Field(
        None, description="join a Dask cluster: tls://host:port or a scheduler file"
    )
    plain_tcp: Annotated[bool, Flag(WORK, negatable=True)] = Field(
        False, description="join a cluster beyond this machine although it has no TLS"
    )
    jobs: Annotated[int, Flag(WORK)] = Field(
        1, ge=1, description="pilot jobs of each request, or tasks of a job array (SLURM)"
    )
    max_jobs: Annotated[int | None, Flag(WORK, default="fixed")] = Field(
        None, ge=1, description="adapt the number of pilot jobs up to this"
    )
    slurm: SlurmOptions = Field(SlurmOptions(), description="what a job asks for")
    shard_size: Annotated[int | None, Flag(WORK, default="up to 20 s of work")] = Field(
        None, ge=1, description="structures in one task and one result file"
    )
    memory_limit: Annotated[MemoryLimit, Flag(WORK, default="its share of the whole", metavar="SIZE")] = (
        Field("auto", description="memory of a process before it is ended, e.g. 4GB")
    )
    task_timeout: Annotated[float, Flag(WORK, metavar="SECONDS")] = Field(
        1800.0, gt=0, description="time for one shard, s, before it is split"
    )
    compact_above: Annotated[int, Flag(WORK)] = Field(
        1000, ge=1, description="compact a finished run that has more result files than this"
    )
    dashboard: Annotated[str | None, Flag(WORK, negatable=True, switch=True)] = Field(
        None,
        description="show Dask's dashboard, which answers every user of this machine; in files an address "
        "such as 127.0.0.1:8787, or true for any free port",
    )
    overwrite: Annotated[bool, Flag(WORK)] = Field(
        False, description="discard results in the output folder that are not this run's"
    )
    quiet: Annotated[bool, Flag(MESSAGES, short="-q")] = Field(
        False, description="no progress, only warnings and the summary"
    )

    @field_validator("inputs", mode="before")
    @classmethod
    def _one_input_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str | Path) else value

    @field_validator("dashboard", mode="before")
    @classmethod
    def _a_dashboard_may_lie_anywhere(cls, value: object) -> object:
        return {True: ANY_PORT, False: None}[value] if isinstance(value, bool) else value

    def science(self) -> dict[str, Any]:
        """The options that decide the numbers, as plain JSON values."""
        chosen = self.model_dump(mode="json", include=set(SCIENTIFIC))
        return {key: chosen[key] for key in SCIENTIFIC}

    @property
    def reading(self) -> dict[str, Any]:
        """How inputs are opened, as keywords of the function that does it."""
        names = ("allow_outside", "dialect", "id_column", "strict_ids")
        return {name: getattr(self, name) for name in names}

    @property
    def choice(self) -> ModelChoice:
        """The model that is asked."""
        return ModelChoice(
            self.model, self.confidence, self.artifacts, self.registry, self.offline, self.tolerance
        )

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes; None for a process's share of its machine or job."""
        return None if self.memory_limit == "auto" else bytes_of(self.memory_limit)

    @property
    def submits_jobs(self) -> bool:
        """Whether a run has pilot jobs of its own."""
        return self.executor == "slurm" and self.cluster is None

    @model_validator(mode="after")
    def _adapts_upwards(self) -> Self:
        if self.max_jobs is None:
            return self
        if len(self.slurm.requests) > 1:
            raise ValueError(
                f"max_jobs adapts the number of one request's jobs; slurm.requests has "
                f"{len(self.slurm.requests)}: say jobs in each"
            )
        (request,) = self.slurm.requests
        least, _ = self.jobs_of(request)
        if self.max_jobs < least:
            raise ValueError(f"max_jobs is {self.max_jobs}, less than jobs, {least}")
        return self

    @model_validator(mode="after")
    def _every_process_or_some(self) -> Self:
        if self.gpu_processes is not None and self.device == "cuda":
            raise ValueError(
                f"gpu_processes is {self.gpu_processes}, which leaves other processes to their cores, and "
                "device is cuda, with which every process uses a GPU: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _jobs_have_gpus(self) -> Self:
        if self.submits_jobs and self.device == "cuda":
            self.slurm.expect_gpus()
        return self

    def jobs_of(self, request: JobRequest, shards: int | None = None) -> tuple[int, int]:
        """The least and the largest number of pilot jobs of a request, or of tasks of an array.

        Args:
            request: what each asks for.
            shards: how many there are to do; a job that could have none of them is not counted.
        """
        least = request.jobs or self.jobs
        most = self.max_jobs or least
        if shards is None:
            return least, most
        useful = max(1, -(-shards // request.seats))
        return min(least, useful), min(most, useful)

    def updated(self, **changes: object) -> Self:
        """A copy with some options changed, checked again.

        Raises:
            ConfigError: an unknown option, or a value it does not take.
        """
        return type(self)(**{**self.model_dump(exclude_unset=True), **changes})


#: Options that enter a run's identity (model and registry do so by the digests of the model's files).
SCIENTIFIC = (
    "confidence",
    "grid",
    "equal_axes",
    "symprec",
    "single_site",
    "max_sites",
    "allow_outside",
    "allow_missing_hydrogens",
    "dialect",
    "id_column",
    "strict_ids",
)


def load_config(path: str | Path | None = None, **overrides: object) -> RunConfig:
    """Read a YAML configuration and lay overrides over it; ``None`` overrides nothing.

    Raises:
        ConfigError: the file is missing or not a mapping, an option is unknown (the message names the
            nearest known one), or a value is not one the option takes.
    """
    values = read_yaml(Path(path)) if path is not None else {}
    values |= {key: value for key, value in overrides.items() if value is not None}
    return RunConfig(**values)
