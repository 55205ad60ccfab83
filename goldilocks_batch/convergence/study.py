"""The study of one structure: rungs of its ladder, coarse to dense, until a tail agrees.

Pure but for what it is given to call: the calculation of a rung is a function, and so is the clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from goldilocks_batch.convergence.tail import TAIL, first_converged
from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.kpoints.ladder import Ladder

__all__ = ["Budget", "CalculationFailed", "Point", "Rule", "Study", "carry_on"]


class CalculationFailed(Exception):  # noqa: N818 - it says what happened
    """A rung has no energy.

    Args:
        code: what kind of failure it is.
        message: what was found, and what to do.
        output: the last lines that the code wrote.
    """

    def __init__(self, code: ErrorCode, message: str, output: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.output = output


@dataclass(frozen=True, slots=True)
class Point:
    """A rung that has been calculated.

    Attributes:
        rung: its place in the structure's ladder, from 1, Γ alone.
        mesh: its divisions.
        energy: eV per atom.
        kpoints: irreducible points of the mesh.
        seconds: wall time, s.
        several_fermi_energies: whether more than one Fermi energy gives the right number of electrons.
    """

    rung: int
    mesh: tuple[int, int, int]
    energy: float
    kpoints: int
    seconds: float
    several_fermi_energies: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as converged.

    Attributes:
        tolerances: meV per atom.
        tail: rungs that have to agree at least.
    """

    tolerances: tuple[float, ...] = (5.0, 3.0, 1.0)
    tail: int = TAIL


@dataclass(frozen=True, slots=True)
class Budget:
    """Where a study stops without a label.

    Attributes:
        seconds: wall time of all its rungs, those of earlier attempts included, s.
        kpoints: irreducible points of a mesh.
        divisions: of a mesh, along any axis.
    """

    seconds: float = math.inf
    kpoints: float = math.inf
    divisions: float = math.inf


@dataclass(frozen=True, slots=True)
class Study:
    """How a study ended.

    Attributes:
        points: its rungs, in order, without a gap.
        converged: whether a tail agrees within the finest tolerance: only then there are labels.
        failure: why it stopped otherwise.
    """

    points: tuple[Point, ...]
    converged: bool
    failure: CalculationFailed | None = None

    @property
    def energies(self) -> list[float]:
        """Energy of each rung, eV per atom."""
        return [point.energy for point in self.points]


#: Share of the time which a mesh takes by its k-points that it takes at least: some need fewer steps of
#: self-consistency than the one before, and not all of the time goes by k-points.
_AT_LEAST = 0.4

#: Calculates a rung (its place from 1 and its mesh) within some seconds.
Calculate = Callable[[int, tuple[int, int, int], float], Point]


def carry_on(
    ladder: Ladder,
    start: int,
    rule: Rule,
    budget: Budget,
    calculate: Calculate,
    count: Callable[[tuple[int, int, int]], int],
    done: Sequence[Point] = (),
) -> Study:
    """Calculate rung after rung until the study is converged, or cannot or may not go on.

    Args:
        ladder: of the structure.
        start: the first rung of the study, from 1.
        rule: what counts as converged.
        budget: where it stops without a label.
        calculate: one rung; raises :class:`CalculationFailed`.
        count: irreducible k-points of a mesh.
        done: rungs that are there already, from ``start`` on without a gap; they are not calculated again.
    """
    points = list(done)
    finest = min(rule.tolerances)
    while True:
        if first_converged([point.energy for point in points], finest, rule.tail) is not None:
            return Study(tuple(points), converged=True)
        rung = start + len(points)
        spent = sum(point.seconds for point in points)
        try:
            mesh = _affordable(ladder, rung, budget, count, points)
            points.append(calculate(rung, mesh, budget.seconds - spent))
        except CalculationFailed as failure:
            return Study(tuple(points), converged=False, failure=failure)


def _affordable(
    ladder: Ladder,
    rung: int,
    budget: Budget,
    count: Callable[[tuple[int, int, int]], int],
    points: Sequence[Point],
) -> tuple[int, int, int]:
    """The mesh of a rung.

    Raises:
        CalculationFailed: BUDGET, also where the time that is left is less than a part of what the mesh takes
            by its k-points: it would be ended before it has an energy.
    """
    if rung > len(ladder):
        raise _over(f"the ladder ends at rung {len(ladder)}, {ladder.low[-1]:.3f} 1/Å (ladder.floor)")
    first, second, third = (int(n) for n in ladder.meshes[rung - 1])
    mesh = first, second, third
    said = f"rung {rung} is {first}×{second}×{third}"
    spent = sum(point.seconds for point in points)
    if max(mesh) > budget.divisions:
        raise _over(f"{said}, over {budget.divisions:g} divisions (budget.divisions)")
    if spent >= budget.seconds:
        raise _over(f"{spent:.0f} s spent, {budget.seconds:g} s allowed (budget.seconds)")
    if budget.kpoints < math.inf and count(mesh) > budget.kpoints:
        raise _over(
            f"{said} with {count(mesh)} irreducible k-points, over {budget.kpoints:g} (budget.kpoints)"
        )
    if budget.seconds < math.inf and len(points) > 1:  # the first one started from nothing
        expected = points[-1].seconds * count(mesh) / points[-1].kpoints
        left = budget.seconds - spent
        if left < _AT_LEAST * expected:
            raise _over(
                f"{said}, which takes about {expected:.0f} s by its k-points; {left:.0f} of "
                f"{budget.seconds:g} s are left (budget.seconds)"
            )
    return mesh


def _over(message: str) -> CalculationFailed:
    return CalculationFailed(ErrorCode.BUDGET, message)
