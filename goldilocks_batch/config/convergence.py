"""What convergence studies are asked to do: the code, the ladder, the budget, and how the work is done."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from goldilocks_batch.config.checking import Options, read_yaml
from goldilocks_batch.config.run import RunConfig

__all__ = [
    "BudgetOptions",
    "CodeOptions",
    "ConvergeConfig",
    "LadderOptions",
    "digest_of",
    "load_converge_config",
]

#: Options of a run that studies take too, under the same names.
OF_RUN = (
    *("inputs", "output", "max_sites", "allow_outside", "allow_missing_hydrogens", "executor", "workers"),
    *("cluster", "plain_tcp", "jobs", "max_jobs", "slurm", "memory_limit", "dashboard", "overwrite", "quiet"),
)
#: Seconds that a study's process has beyond the study's own limit, to end by itself.
_GRACE = 600.0
#: Share of the smallest tolerance to which a total energy is self-consistent, where nothing else is said.
_SELF_CONSISTENT = 0.05
#: Largest share of the smallest tolerance that a threshold may be.
_TELLING = 0.25
#: A Rydberg, in meV (CODATA 2018).
_RYDBERG = 13605.693122994
#: Seconds after which a process is ended if studies have no limit: ten days.
_ENDLESS = 864_000.0


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CodeOptions(_Section):
    """The code that computes energies, as ASE calls it."""

    calculator: str = Field(
        "espresso",
        description="ASE's name of the calculator: espresso, vasp, abinit, castep, gpaw, dftb …; or "
        "module.Class of another one",
    )
    command: str | None = Field(
        None, description="what starts it; null: pw.x for espresso, the calculator's own default for others"
    )
    prefix: str = Field("", description="before the command, for MPI: mpirun -n 4, srun …")
    pseudo_dir: Path | None = Field(None, description="espresso: folder of pseudopotentials (UPF)")
    pseudopotentials: dict[str, str] = Field(
        {}, description="espresso: file of an element in that folder, where table and name do not tell it"
    )
    cutoffs: Path | None = Field(
        None,
        description="espresso: table of cutoffs: SSSP's JSON file, or a folder of PseudoDojo's .djrepo files",
    )
    stringency: str = Field(
        "normal", pattern="^(low|normal|high)$", description="which of PseudoDojo's hints is the cutoff"
    )
    smearing: str | None = Field(
        "cold", description="espresso: kind of smearing; null: what parameters say of occupations"
    )
    degauss: float = Field(0.01, gt=0, description="espresso: its width, Ry")
    conv_thr: float | None = Field(
        None,
        gt=0,
        description="espresso: threshold of self-consistency, Ry per atom; null: a twentieth of the smallest "
        "tolerance, at which one diagonalisation from the last mesh's density is often enough",
    )
    parameters: dict[str, Any] = Field(
        {}, description="further parameters of the calculator, as ASE takes them (espresso: input_data)"
    )
    kpoints: dict[str, Any] | None = Field(
        None,
        description="parameters by which the calculator is told the Γ-centred mesh, the word mesh in the "
        "place of the three divisions; null: known for espresso, vasp, abinit, castep, gpaw, dftb",
    )


class LadderOptions(_Section):
    """Which meshes are tried."""

    start: float = Field(1.0, gt=0, description="k-distance of the first mesh, 1/Å")
    floor: float = Field(0.03, gt=0, description="smallest k-distance of the ladder, 1/Å")
    tail: int = Field(3, ge=3, description="meshes that have to agree at the end, the label's own among them")


class BudgetOptions(_Section):
    """Where a study stops without a label; what is known by then is kept as a limit."""

    seconds: float | None = Field(None, gt=0, description="wall time of a study, s; null: none")
    kpoints: int | None = Field(None, ge=1, description="irreducible k-points of a mesh; null: any number")
    divisions: int | None = Field(None, ge=1, description="of a mesh along an axis; null: any number")


class ConvergeConfig(Options):
    """Every option of ``goldilocks-batch converge``; those about the work itself are a run's own.

    Raises:
        ConfigError: CONFIG_INVALID, an option is unknown, or a value is none that the option takes.
    """

    code: CodeOptions = Field(CodeOptions(), description="the code that computes energies")
    ladder: LadderOptions = Field(LadderOptions(), description="which meshes are tried")
    tolerances: tuple[float, ...] = Field(
        (5.0, 3.0, 1.0), min_length=1, description="of labels, meV per atom; the smallest ends a study"
    )
    budget: BudgetOptions = Field(BudgetOptions(), description="where a study stops without a label")
    keep: bool = Field(False, description="keep inputs and outputs of every rung, not of failures alone")
    retry: bool = Field(False, description="take up again what an earlier attempt left without a label")
    run: RunConfig = Field(
        RunConfig(output=Path("studies")), description="inputs, output, executor, workers … of a run"
    )

    if TYPE_CHECKING:  # options of a run stand beside these

        def __init__(self, **options: Any) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _run_options_may_stand_beside_the_others(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        given = {name: values[name] for name in OF_RUN if name in values}
        own = {name: value for name, value in values.items() if name not in OF_RUN}
        if given:
            before = own.get("run", {})
            known = before.model_dump(exclude_unset=True) if isinstance(before, RunConfig) else dict(before)
            own["run"] = RunConfig(**{"output": "studies", **known, **given})
        return own

    @field_validator("tolerances")
    @classmethod
    def _positive(cls, tolerances: tuple[float, ...]) -> tuple[float, ...]:
        if any(not t > 0 for t in tolerances) or len(set(tolerances)) < len(tolerances):
            raise ValueError("must be positive and different from each other")
        return tuple(sorted(tolerances, reverse=True))

    @model_validator(mode="after")
    def _energies_can_tell_the_tolerance(self) -> Self:
        most = _TELLING * min(self.tolerances) / _RYDBERG
        if self.code.conv_thr is not None and self.code.conv_thr > most:
            raise ValueError(
                f"code.conv_thr is {self.code.conv_thr:g} Ry per atom: energies that are self-consistent to "
                f"that cannot tell {min(self.tolerances):g} meV per atom; leave it out, or at most {most:.1g}"
            )
        return self

    def updated(self, **changes: object) -> Self:
        """A copy with some options changed, checked again."""
        return type(self)(**{**self.model_dump(exclude_unset=True), **changes})

    def science(self) -> dict[str, Any]:
        """The options that decide energies and labels, as plain JSON values; no path is among them."""
        found = self.model_dump(mode="json", include={"code", "ladder", "tolerances"})
        found["code"]["conv_thr"] = self.decided_code.conv_thr
        for name in ("command", "prefix", "pseudo_dir", "cutoffs"):  # what lies there counts, not where
            del found["code"][name]
        return found

    @property
    def decided_code(self) -> CodeOptions:
        """The code with what follows from other options: its threshold of self-consistency, Ry per atom."""
        if self.code.conv_thr is not None:
            return self.code
        threshold = _SELF_CONSISTENT * min(self.tolerances) / _RYDBERG
        return self.code.model_copy(update={"conv_thr": float(f"{threshold:.3g}")})

    @property
    def execution(self) -> RunConfig:
        """How the work is done: a study is a task."""
        seconds = self.budget.seconds
        limit = _ENDLESS if seconds is None else seconds + _GRACE
        return self.run.updated(shard_size=1, task_timeout=limit)


def load_converge_config(path: str | Path | None = None, **overrides: object) -> ConvergeConfig:
    """Read a YAML configuration and lay overrides over it; ``None`` overrides nothing.

    Paths in a file are relative to the working directory, as in a run's.

    Raises:
        ConfigError: the file is missing or no mapping, an option is unknown, or a value is none it takes.
    """
    values = read_yaml(Path(path)) if path is not None else {}
    values |= {key: value for key, value in overrides.items() if value is not None}
    return ConvergeConfig(**values)


def digest_of(values: object) -> str:
    """Sha256 over plain JSON values, as hexadecimal digits."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
