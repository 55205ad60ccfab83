"""What lies before studies: their structures, the longest study first, and what lacks a pseudopotential."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goldilocks_batch.config.convergence import ConvergeConfig
from goldilocks_batch.convergence.calculators import calculator_class, mesh_parameters
from goldilocks_batch.convergence.espresso import elements_of
from goldilocks_batch.convergence.pseudos import Family
from goldilocks_batch.core.errors import ConfigError, ErrorCode, GoldilocksError
from goldilocks_batch.kpoints.mesh import irreducible_count, mesh
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.read import load
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.symmetry import find_symmetry

__all__ = ["Plan", "cost", "planned"]

_log = logging.getLogger(__name__)
#: k-distance at which studies are compared, 1/Å: about where labels at 1 meV end.
_TYPICAL = 0.25
#: Cutoff that codes without a table are compared at, Ry.
_USUAL_CUTOFF = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Studies in the order in which they are begun.

    Attributes:
        references: the structures, the longest study first; those that cannot be read come last.
        costs: of each, in no unit.
        missing: elements without a pseudopotential, with the structures that hold them.
    """

    references: tuple[Reference, ...]
    costs: tuple[float, ...]
    missing: dict[str, int]


def planned(references: Sequence[Reference], config: ConvergeConfig, family: Family) -> Plan:
    """Read all structures, and see what can be said before anything runs.

    Args:
        references: the structures.
        config: the configuration.
        family: its pseudopotentials.

    Raises:
        ConfigError: ASE has no such calculator, or it is not known how it is told a mesh; an element that
            occurs has no cutoff; or no structure at all has its pseudopotentials (PSEUDOPOTENTIAL_MISSING).
    """
    calculator_class(config.code.calculator)
    mesh_parameters(config.code)
    missing: Counter[str] = Counter()
    costs, without = [], 0
    for reference in references:
        try:
            crystal = load(reference, max_sites=config.run.max_sites)
            if config.code.calculator == "espresso":
                lacking = [e for e in elements_of(crystal) if e not in family.of]
                missing.update(lacking)
                without += bool(lacking)
                _check_cutoffs(crystal, config, family)
            costs.append(cost(crystal, config, family))
        except ConfigError:
            raise
        except GoldilocksError:  # its row will say so
            costs.append(0.0)
    if missing:
        _tell(missing, without, len(references), config)
    order = sorted(range(len(references)), key=lambda i: (-costs[i], i))
    return Plan(tuple(references[i] for i in order), tuple(costs[i] for i in order), dict(missing))


def cost(crystal: Crystal, config: ConvergeConfig, family: Family) -> float:
    """What a study costs beside others, in no unit.

    A step of self-consistency applies the Hamiltonian to each band at each irreducible k-point, in time
    proportional to bands × plane waves, and makes bands orthogonal in bands² × plane waves.

    Args:
        crystal: the structure.
        config: the configuration.
        family: its pseudopotentials; without one all electrons count.
    """
    pseudos = [family.of.get(element) for element in elements_of(crystal)]
    valence = {e: p.valence for e, p in zip(elements_of(crystal), pseudos, strict=True) if p and p.valence}
    electrons = sum(valence.get(SYMBOLS[z], float(z)) for z in crystal.numbers)
    cutoffs = [p.cutoff for p in pseudos if p and p.cutoff]
    chosen = config.code.parameters.get("ecutwfc") or max(cutoffs, default=_USUAL_CUTOFF)
    waves = crystal.volume * float(chosen) ** 1.5
    divisions = mesh(np.array([_TYPICAL]), crystal.lattice[None], crystal.pbc[None])[0]
    points = irreducible_count(divisions, find_symmetry(crystal).rotations)
    bands = electrons / 2 + 4
    return float(points * waves * bands * (1.0 + 0.02 * bands))


def _check_cutoffs(crystal: Crystal, config: ConvergeConfig, family: Family) -> None:
    if "ecutwfc" in config.code.parameters:
        return
    lacking = [e for e in elements_of(crystal) if e in family.of and family.of[e].cutoff is None]
    if lacking:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"no cutoff for {', '.join(lacking)}: name a table that has it (code.cutoffs), or one cutoff for "
            "all (code.parameters: {ecutwfc: 60})",
        )


def _tell(missing: Counter[str], without: int, count: int, config: ConvergeConfig) -> None:
    named = ", ".join(f"{element} ({n})" for element, n in sorted(missing.items()))
    said = f"no pseudopotential in {config.code.pseudo_dir} for {named}, by number of structures"
    if without == count:
        raise ConfigError(
            ErrorCode.PSEUDOPOTENTIAL_MISSING, f"{said}: none of the {count} could be calculated"
        )
    _log.warning("%s: %d of %d structures will have rows that say so", said, without, count)
