"""A code that is quick and real: ASE calculators of tight-binding bands, which tests study and disturb.

The energy is that of one band, ``-2 t Σ cos(2π k_i)`` filled where it is negative, averaged over a Γ-centred
mesh: it converges slowly and not steadily, as a metal's does.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

__all__ = ["Outside", "TightBinding", "energy_per_atom"]


def energy_per_atom(mesh: tuple[int, int, int], hopping: float = 0.05) -> float:
    """The energy that :class:`TightBinding` gives, eV per atom."""
    axes = [np.cos(2 * np.pi * np.arange(n) / n) for n in mesh]
    band = -2 * hopping * (axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :])
    return float(np.minimum(band, 0.0).mean())


class TightBinding(Calculator):  # type: ignore[misc]
    """The bands' energy; every calculation leaves a line in a log.

    Args:
        kpts: divisions of the mesh.
        hopping: eV.
        log: a file that each calculation adds its mesh to.
        trouble: what happens at a mesh of ``at`` divisions: ``raise``, ``nan``, ``hang``, ``kill`` or
            ``once``, a kill that leaves a mark beside the log and happens no second time.
        at: divisions.
        pause: s that a calculation takes.
    """

    implemented_properties: ClassVar[list[str]] = ["energy"]

    def __init__(
        self,
        kpts: tuple[int, int, int],
        hopping: float = 0.05,
        log: str = "",
        trouble: str = "",
        at: int = 5,
        pause: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.mesh: tuple[int, int, int] = (kpts[0], kpts[1], kpts[2])
        self.hopping, self.log, self.pause = hopping, log, pause
        self.trouble = trouble if max(self.mesh) >= at else ""

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        time.sleep(self.pause)
        if self.log:
            with Path(self.log).open("a") as stream:
                stream.write(f"{atoms.symbols} {'x'.join(map(str, self.mesh))}\n")
        energy = len(atoms) * energy_per_atom(self.mesh, self.hopping)
        match self.trouble:
            case "raise":
                Path(self.directory, "output.txt").write_text("all went well\nuntil it did not\n")
                raise RuntimeError("the bands have come apart")
            case "nan":
                energy = float("nan")
            case "hang":
                time.sleep(3600)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "once":
                mark = Path(self.log + ".killed")
                if not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
        self.results = {"energy": energy}


class Outside(TightBinding):
    """The same, after a program has ended well.

    Args:
        command: of the program.
        options: of :class:`TightBinding`.
    """

    def __init__(self, command: str, **options: Any) -> None:
        super().__init__(**options)
        self.program = command

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        subprocess.run(shlex.split(self.program), cwd=self.directory, check=True)
        super().calculate(atoms, properties, system_changes)
