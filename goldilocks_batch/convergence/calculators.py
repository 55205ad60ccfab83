"""Codes as ASE calls them: one calculation on a mesh, or what went wrong."""

from __future__ import annotations

import importlib
import math
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.convergence import CodeOptions
from goldilocks_batch.convergence import guard
from goldilocks_batch.convergence.bands import UNKNOWN, Bands, bands_of
from goldilocks_batch.convergence.espresso import espresso_parameters, has_direction
from goldilocks_batch.convergence.outputs import last_lines
from goldilocks_batch.convergence.pseudos import Family
from goldilocks_batch.convergence.study import CalculationFailed
from goldilocks_batch.convergence.waves import carried_over
from goldilocks_batch.core.errors import ConfigError, ErrorCode, GoldilocksError, RunError
from goldilocks_batch.execution.ending import await_end
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.orientation import oriented

__all__ = ["GUARDED", "Code", "calculator_class", "filled", "mesh_parameters"]

#: Parameters by which calculators of ASE are told a Γ-centred mesh; ``mesh`` stands for its divisions.
_MESHES: dict[str, dict[str, Any]] = {
    "espresso": {"kpts": "mesh", "koffset": [0, 0, 0]},
    "vasp": {"kpts": "mesh", "gamma": True},
    # ASE shifts abinit's even meshes when it is told of them as kpts
    "abinit": {"kptopt": 1, "ngkpt": "mesh", "nshiftk": 1, "shiftk": [0.0, 0.0, 0.0]},
    "castep": {"kpts": {"size": "mesh", "gamma": True}},
    "gpaw": {"kpts": {"size": "mesh", "gamma": True}},
    "dftb": {"kpts": {"size": "mesh", "gamma": True}},
}
#: Files that the guard writes.
GUARDED = ("verdict", "lock")
#: Bytes free on a disk below which a code that failed has failed for that.
_FULL = 2_000_000


def filled(template: Any, mesh: tuple[int, int, int]) -> Any:
    """A template of parameters with the divisions in the place of the word ``mesh``."""
    if isinstance(template, Mapping):
        return {name: filled(value, mesh) for name, value in template.items()}
    return list(mesh) if template == "mesh" else template  # ABINIT's writer takes no tuples


def mesh_parameters(code: CodeOptions) -> dict[str, Any]:
    """The template of parameters by which the code is told a mesh.

    Raises:
        ConfigError: CONFIG_INVALID, it is not known for this calculator.
    """
    if code.kpoints is not None:
        return code.kpoints
    if code.calculator not in _MESHES:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"how '{code.calculator}' is told a Γ-centred mesh is not known here, only of "
            f"{', '.join(_MESHES)}: say it in code.kpoints, for example {{kpts: mesh}}",
        )
    return _MESHES[code.calculator]


def calculator_class(name: str) -> Any:
    """ASE's class of a calculator, or any other one by ``module.Class``.

    Raises:
        ConfigError: CONFIG_INVALID, there is none of that name, or what it needs is not installed.
    """
    from ase.calculators.calculator import get_calculator_class

    try:
        module, _, kind = name.rpartition(".")
        return getattr(importlib.import_module(module), kind) if module else get_calculator_class(name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"no calculator '{name}': {error}; expected a name that ASE knows, such as espresso or vasp, or "
            "module.Class, installed with this package",
        ) from error


@dataclass(frozen=True, slots=True)
class Code:
    """A code that is there.

    Attributes:
        options: how it is called.
        family: the pseudopotentials that it is given; empty for codes that have their own.
        version: as it says itself; empty if it does not.
    """

    options: CodeOptions
    family: Family
    version: str = ""

    @classmethod
    def found(cls, options: CodeOptions, family: Family) -> Code:
        """The code, after a look at whether it is installed here.

        Raises:
            RunError: CODE_MISSING.
            ConfigError: CONFIG_INVALID, ASE has no such calculator.
        """
        kind = calculator_class(options.calculator)
        command = _command(options)
        for part in (options.prefix, command or ""):
            program = shlex.split(part)[:1]
            if program and shutil.which(program[0]) is None:
                raise RunError(
                    ErrorCode.CODE_MISSING,
                    f"{program[0]} is not installed here, or not on the PATH; name the program with "
                    "code.command, or load its module (slurm.modules)",
                )
        profile = _profile(options, kind, shlex.join(_prefixed(options, command))) if command else None
        return cls(options, family, _version(profile))

    def energy(
        self,
        crystal: Crystal,
        mesh: tuple[int, int, int],
        folder: Path,
        seconds: float,
        *,
        go_on: bool,
        waves: bool = True,
        bands: int | None = None,
    ) -> float:
        """The total energy of a crystal on a mesh, eV per atom.

        Args:
            crystal: the structure.
            mesh: divisions, Γ-centred.
            folder: where the code works, alone.
            seconds: in which it must be done; may be infinite.
            go_on: start from the density that is there, where the code can.
            waves: then start from the wave functions that are there, too.
            bands: how many are calculated, as :meth:`bands` told; None, the code's own number.

        Raises:
            CalculationFailed: there is none.
            RunError: WRITE_FAILED, the disk is full.
        """
        from ase import Atoms

        atoms = Atoms(
            numbers=crystal.numbers,
            cell=self._lattice(crystal),
            scaled_positions=crystal.frac,
            pbc=crystal.pbc,
        )
        verdict = folder / GUARDED[0]
        verdict.unlink(missing_ok=True)
        try:
            atoms.calc = self._calculator(
                crystal, mesh, folder, seconds, go_on=go_on, waves=waves, bands=bands
            )
            energy = float(atoms.get_potential_energy()) / len(atoms)
        except (CalculationFailed, GoldilocksError):
            raise
        except Exception as error:  # calculators raise anything
            await_end()
            raise self._failed(error, folder, seconds) from error
        if getattr(atoms.calc, "converged", True) is False:
            raise CalculationFailed(
                ErrorCode.SCF_NOT_CONVERGED, "the code says that it is not converged", last_lines(folder)
            )
        if not math.isfinite(energy):
            raise CalculationFailed(
                ErrorCode.CODE_FAILED, f"the energy is {energy}, no finite number", last_lines(folder)
            )
        return energy

    def bands(self, folder: Path) -> Bands:
        """What the eigenvalues tell that the code has left behind: the bands that the next mesh needs."""
        chosen = {name.lower() for name in self.options.parameters}
        if self.options.calculator != "espresso" or not chosen.isdisjoint(("outdir", "prefix")):
            return UNKNOWN
        found = bands_of(folder)
        return replace(found, needed=None) if "nbnd" in chosen else found

    def _lattice(self, crystal: Crystal) -> NDArray[np.float64]:
        """Lattice vectors, for Quantum ESPRESSO in the orientation in which it finds all symmetries."""
        if self.options.calculator != "espresso" or has_direction(self.options.parameters):
            return crystal.lattice
        return oriented(crystal)

    def _calculator(
        self,
        crystal: Crystal,
        mesh: tuple[int, int, int],
        folder: Path,
        seconds: float,
        *,
        go_on: bool,
        waves: bool,
        bands: int | None,
    ) -> Any:
        options = self.options
        kind = calculator_class(options.calculator)
        parameters = filled(mesh_parameters(options), mesh)
        if options.calculator == "espresso":
            wanted = bands or options.parameters.get("nbnd")
            waves = waves and go_on and carried_over(folder, mesh, wanted)
            parameters |= espresso_parameters(
                options, self.family, crystal, go_on=go_on, waves=waves, bands=bands
            )
        else:
            parameters |= options.parameters
        command = _command(options)
        if command is None:
            return kind(directory=str(folder), **parameters)
        watched = _guarded(_prefixed(options, command), folder, seconds)
        profile = _profile(options, kind, watched)
        given = {"command": watched} if profile is None else {"profile": profile}
        return kind(directory=str(folder), **given, **parameters)

    def _failed(self, error: Exception, folder: Path, seconds: float) -> CalculationFailed:
        """What became of a calculation that has ended without an energy."""
        if shutil.disk_usage(folder).free < _FULL:
            raise RunError(
                ErrorCode.WRITE_FAILED,
                f"the disk of {folder} is full, and the code has failed there. Free space, then run the same "
                "command again: finished rungs are kept",
            ) from error
        output = last_lines(folder)
        verdict = folder / GUARDED[0]
        said, _, number = (verdict.read_text(encoding="utf-8") if verdict.exists() else "").partition(" ")
        if said == "timeout":
            message = f"not done within the {seconds:.0f} s that were left (budget.seconds)"
            return CalculationFailed(ErrorCode.BUDGET, message, output)
        if said == "missing":
            return CalculationFailed(ErrorCode.CODE_FAILED, "the program is not there any more", output)
        if said == "busy":
            message = f"another process is still calculating in {folder}; end it, then try again (--retry)"
            return CalculationFailed(ErrorCode.CODE_FAILED, message, output)
        if type(error).__name__ == "SCFError" or _not_self_consistent(folder):
            message = "self-consistency was not reached; mix less, or allow more steps (code.parameters)"
            return CalculationFailed(ErrorCode.SCF_NOT_CONVERGED, message, output)
        if said == "signal":
            return CalculationFailed(ErrorCode.CODE_FAILED, f"the code was ended by signal {number}", output)
        if said == "status" and number != "0":
            return CalculationFailed(ErrorCode.CODE_FAILED, f"the code ended with status {number}", output)
        message = f"no energy could be read: {type(error).__name__}: {str(error)[:300]}"
        return CalculationFailed(ErrorCode.CODE_FAILED, message, output)


def _not_self_consistent(folder: Path) -> bool:
    """Whether Quantum ESPRESSO's output says so."""
    path = folder / "espresso.pwo"
    return path.exists() and b"convergence NOT achieved" in path.read_bytes()


def _command(options: CodeOptions) -> str | None:
    return options.command or ("pw.x" if options.calculator == "espresso" else None)


def _prefixed(options: CodeOptions, command: str | None) -> list[str]:
    return [*shlex.split(options.prefix), *shlex.split(command or "")]


def _guarded(command: list[str], folder: Path, seconds: float) -> str:
    """The command under a guard; see :mod:`goldilocks_batch.convergence.guard`."""
    verdict, lock = (str(folder / name) for name in GUARDED)
    script = str(Path(guard.__file__).resolve())
    limits = [str(os.getpid()), str(seconds), "--"]
    return shlex.join([sys.executable, "-I", "-S", script, verdict, lock, *limits, *command])


def _profile(options: CodeOptions, kind: Any, command: str) -> Any:
    """The profile by which newer calculators of ASE are told the command; None for those that have none."""
    profile = getattr(sys.modules[kind.__module__], f"{kind.__name__}Profile", None)
    if profile is None:
        return None
    folders = {"pseudo_dir": options.pseudo_dir} if options.calculator == "espresso" else {}
    return profile(command=command, **folders)


def _version(profile: Any) -> str:
    try:
        return "" if profile is None else str(profile.version())
    except Exception:  # codes say it in many ways, and ASE reads it by assertions
        return ""
