"""What a run is asked to do: one frozen object, from a YAML file, from flags, or from Python.

Options are of two kinds.  *Scientific* ones decide the numbers in the result table; a run resumes only
if none of them has changed.  *Execution* ones (workers, shard size, executor …) decide how the work is
done and may differ between the attempts of one run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from goldilocks_batch.config.checking import checked, read_yaml
from goldilocks_batch.config.choices import Device, ExecutorName, Grid, Precision, SingleSite
from goldilocks_batch.config.model import ModelChoice
from goldilocks_batch.config.slurm import JobKind, MemoryLimit, SlurmOptions, bytes_of

__all__ = [
    "SCIENTIFIC",
    "RunConfig",
    "load_config",
]


class RunConfig(BaseModel):
    """Every option of ``goldilocks-batch run``.

    Paths are kept as given; relative ones are relative to the working directory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[Path, ...] = Field(
        (), description="directories, archives, structure files, Parquet manifests"
    )
    output: Path = Field(Path("goldilocks-run"), description="folder of the results")

    # scientific options
    model: str = Field("rf", description="name of a model in the registry")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="one-sided; a level that the model has")
    grid: Grid = Field("lower", description="which kdist the recommended mesh is made from")
    equal_axes: bool = Field(False, description="equal counts along axes of equal length")
    single_site: SingleSite = Field("skip", description="one-atom cells without a line graph (ALIGNN)")
    max_sites: int = Field(1000, ge=1, description="largest cell that is worked on, in sites as supplied")
    allow_outside: bool = Field(False, description="let a manifest name files outside its own folder")
    registry: Path | None = Field(None, description="a registry file in place of the package's")

    # execution options
    device: Device = Field("auto", description="where networks run: a GPU if there is one, or as named")
    precision: Precision = Field("float32", description="of networks' matrix products on a GPU")
    artifacts: Path | None = Field(None, description="folder of model files, <org>/<repository>/<file>")
    offline: bool = Field(False, description="fetch no model files; the project's cache is still used")
    executor: ExecutorName = Field("local", description="a local Dask cluster, or this process alone")
    workers: int | None = Field(None, ge=1, description="worker processes; default one per core")
    gpus: int | None = Field(None, ge=0, description="GPUs to use here; null: all, if the model has networks")
    cluster: str | None = Field(
        None, description="a Dask cluster to join: tls://host:port or a scheduler file"
    )
    plain_tcp: bool = Field(False, description="join a cluster beyond this machine although it has no TLS")
    jobs: int = Field(1, ge=1, description="pilot jobs of each kind, or tasks of a job array (SLURM)")
    max_jobs: int | None = Field(None, ge=1, description="adapt between jobs and this many; null: fixed")
    slurm: SlurmOptions = Field(SlurmOptions(), description="what a job asks for")
    shard_size: int | None = Field(
        None, ge=1, description="structures in one task and one result file; null: 10 to 20 s of work"
    )
    memory_limit: MemoryLimit = Field("auto", description="memory of a process before it is ended, e.g. 4GB")
    task_timeout: float = Field(1800.0, gt=0, description="time for one shard, s, before it is split")
    compact_above: int = Field(1000, ge=1, description="compact a finished run with more parts than this")
    dashboard: str | None = Field(
        "127.0.0.1:0", description="address of the Dask dashboard, or null for none"
    )
    overwrite: bool = Field(False, description="discard results in the output folder that are not this run's")
    quiet: bool = Field(False, description="no progress, only the summary")

    @field_validator("inputs", mode="before")
    @classmethod
    def _one_input_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str | Path) else value

    def science(self) -> dict[str, Any]:
        """The options that decide the numbers, as plain JSON values."""
        chosen = self.model_dump(mode="json", include=set(SCIENTIFIC))
        return {key: chosen[key] for key in SCIENTIFIC}

    @property
    def choice(self) -> ModelChoice:
        """The model that is asked."""
        return ModelChoice(self.model, self.confidence, self.artifacts, self.registry, self.offline)

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
        if len(self.slurm.kinds) > 1:
            raise ValueError(
                "max_jobs adapts the number of one kind of jobs; slurm.cpu and slurm.gpu are two"
            )
        (kind,) = self.slurm.kinds.values()
        least, _ = self.jobs_of(kind)
        if self.max_jobs < least:
            raise ValueError(f"max_jobs is {self.max_jobs}, less than jobs, {least}")
        return self

    def jobs_of(self, kind: JobKind, shards: int | None = None) -> tuple[int, int]:
        """The least and the largest number of pilot jobs of a kind, or of tasks of an array.

        Args:
            kind: of job.
            shards: how many there are to do; a job that could have none of them is not counted.
        """
        least = kind.jobs or self.jobs
        most = self.max_jobs or least
        if shards is None:
            return least, most
        useful = max(1, -(-shards // kind.seats))
        return min(least, useful), min(most, useful)

    def updated(self, **changes: object) -> Self:
        """A copy with some options changed, checked again.

        Raises:
            ConfigError: an unknown option, or a value it does not take.
        """
        return type(self)(**checked(type(self), {**self.model_dump(exclude_unset=True), **changes}))


#: Options that enter a run's identity (model and registry do so by the digests of the model's files).
SCIENTIFIC = ("confidence", "grid", "equal_axes", "single_site", "precision", "max_sites", "allow_outside")


def load_config(path: str | Path | None = None, **overrides: object) -> RunConfig:
    """Read a YAML configuration and lay overrides over it; ``None`` overrides nothing.

    Raises:
        ConfigError: the file is missing or not a mapping, an option is unknown (the message names the
            nearest known one), or a value is not one the option takes.
    """
    values = read_yaml(Path(path)) if path is not None else {}
    values |= {key: value for key, value in overrides.items() if value is not None}
    return RunConfig(**checked(RunConfig, values))
