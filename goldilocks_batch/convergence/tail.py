"""The tail rule: which rung of a ladder is converged, judged by the energies of all rungs after it.

A rung is converged within a tolerance if its energy and those of **all** further rungs, three at least with
its own, lie within the tolerance of each other.  The label is the first such rung.  This is the rule of
STFC's goldilocks-data; "three consecutive meshes that agree" would also take three that agree by chance
before the energy moves again, as odd and even meshes, or Γ alone, do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["TAIL", "first_converged", "first_possible", "spreads"]

#: Rungs that have to agree at least, the label's own among them.
TAIL = 3


def spreads(energies: Sequence[float]) -> NDArray[np.float64]:
    """Largest difference between the energies from each rung to the last one.

    Args:
        energies: ``(n,)`` of successive rungs, eV per atom.

    Returns:
        ``(n,)`` meV per atom, descending; the last one is 0.
    """
    backwards = np.asarray(energies, dtype=np.float64)[::-1]
    spread = np.maximum.accumulate(backwards) - np.minimum.accumulate(backwards)
    return 1000.0 * spread[::-1]


def first_converged(energies: Sequence[float], tolerance: float, tail: int = TAIL) -> int | None:
    """The place, from 0, of the first rung that is converged by the tail rule; None if there is none yet.

    Args:
        energies: ``(n,)`` of successive rungs, eV per atom.
        tolerance: meV per atom.
        tail: rungs that have to agree at least.
    """
    place = first_possible(energies, tolerance)
    return place if len(energies) - place >= tail else None


def first_possible(energies: Sequence[float], tolerance: float) -> int:
    """The place of the first rung that can still be the label, whatever further rungs give.

    A rung whose energy, or one after it, already lies further from another one after it than the tolerance
    never becomes the label.  So a study that stops early still gives a limit: the label is no coarser.

    Args:
        energies: ``(n,)`` of successive rungs, eV per atom.
        tolerance: meV per atom.
    """
    return int((spreads(energies) > tolerance).sum())
