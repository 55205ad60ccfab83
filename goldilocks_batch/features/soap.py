"""SOAP block: power spectrum of the atomic density around each atom, averaged over the atoms (252 columns).

The numbers are those of dscribe's ``SOAP(species=["X"], r_cut=10, n_max=8, l_max=6, sigma=1.0,
periodic=True)`` with every element renamed X.  Definitions: the Gaussian-type radial basis and its Löwdin
orthonormalisation, Himanen et al., Comput. Phys. Commun. 247 (2020) 106949; the power spectrum, De et al.,
PCCP 18 (2016) 13754.  All three axes count as periodic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, FeatureError, Stage
from goldilocks_batch.features._orbits import distinct_atoms
from goldilocks_batch.features._soap_kernel import N_GAUSSIANS, average_power
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import Symmetry

__all__ = ["NEIGHBOUR_RADIUS", "Zeros", "soap", "soap_labels"]

#: What stands for entries that vanish by symmetry; see :func:`soap`.
Zeros = Literal["library", "exact"]

R_CUT = 10.0  # Å, where the outermost radial function has decayed
SIGMA = 1.0  # Å, width of the Gaussian that smears an atom
L_MAX = 6
#: Value to which radial functions decay at their own cutoffs and smeared atoms at the neighbour radius.
DECAY = 1e-3
#: Atoms count up to this distance, Å: r_cut plus what a smeared atom still reaches.
NEIGHBOUR_RADIUS = R_CUT + SIGMA * math.sqrt(-2.0 * math.log(DECAY))
#: Entries of a degree l that are all below this share of the largest entry are zero by symmetry: over MC3D
#: the share is either below 1e-28, the rounding of a vanishing sum squared, or above 1e-15.
FORCED_ZERO = 1e-22
#: Neighbours of one atom beyond which a cell is refused: 10 atoms per Å³, far denser than any crystal.
MAX_NEIGHBOURS = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class _Basis:
    """Constants of the expansion, as `average_power` takes them; `prefactor` is ``(l_max+1,)``."""

    rates: NDArray[np.float64]
    mixing: NDArray[np.float64]
    recurrence: NDArray[np.float64]
    prefactor: NDArray[np.float64]


@lru_cache(maxsize=1)
def _basis() -> _Basis:
    from scipy.linalg import inv, sqrtm
    from scipy.special import gamma

    degrees = np.arange(L_MAX + 1)
    cutoffs = np.linspace(1.0, R_CUT, N_GAUSSIANS)
    spread = 2.0 * SIGMA**2
    rates, mixing = [], []
    for deg in degrees:
        alpha = -np.log(DECAY / cutoffs**deg) / cutoffs**2
        overlap = 0.5 * gamma(deg + 1.5) * (alpha[:, None] + alpha[None, :]) ** (-deg - 1.5)
        orthonormal = np.asarray(sqrtm(inv(overlap)))
        # a Gaussian basis function times a smeared atom integrates to a Gaussian of the distance
        shrink = 1.0 / (1.0 + spread * alpha)
        rates.append(-alpha * shrink)
        mixing.append(math.pi**1.5 * spread**1.5 * orthonormal * shrink ** (deg + 1.5))
    return _Basis(
        rates=np.concatenate(rates),
        mixing=np.array(mixing),
        recurrence=_harmonic_recurrence(),
        prefactor=math.pi * np.sqrt(8.0 / (2.0 * degrees + 1.0)),
    )


def _harmonic_recurrence() -> NDArray[np.float64]:
    """``(l_max+1, l_max+1, 2)`` factors of the recurrences of normalised solid harmonics.

    At [l, m] those of z and r² in the step to degree l; at [m, m] that of x ± iy.
    """
    factors = np.zeros((L_MAX + 1, L_MAX + 1, 2))
    factors[0, 0, 0] = 1.0 / math.sqrt(4.0 * math.pi)
    for m in range(1, L_MAX + 1):
        factors[m, m, 0] = math.sqrt((2 * m + 1) / (2 * m)) * (math.sqrt(2.0) if m == 1 else 1.0)
    for deg in range(1, L_MAX + 1):
        for m in range(deg):
            factors[deg, m, 0] = math.sqrt((4 * deg * deg - 1) / (deg * deg - m * m))
            if deg - m > 1:
                lower = (2 * deg + 1) * ((deg - 1) ** 2 - m * m) / ((2 * deg - 3) * (deg * deg - m * m))
                factors[deg, m, 1] = math.sqrt(lower)
    return factors


def _triangular(lattice: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Lower triangular form of a lattice, shortest vector first, and the order of axes that it has."""
    order = np.argsort(np.linalg.norm(lattice, axis=1), kind="stable")
    lower = np.ascontiguousarray(np.linalg.qr(lattice[order].T)[1].T)
    lower *= np.where(np.diag(lower) < 0.0, -1.0, 1.0)[None, :]
    return lower, order


def soap(crystal: Crystal, symmetry: Symmetry | None = None, zeros: Zeros = "library") -> NDArray[np.float64]:
    """Averaged SOAP power spectrum of one crystal.

    Where the sites are so symmetric that whole degrees vanish, what a program computes instead of zero is
    the rounding of its own sums.  The published forests were grown until every leaf was pure, on numbers
    from dscribe, and split on that rounding (thresholds of some 1e-26).  Only dscribe's own rounding then
    leads a structure to the leaf its authors' program would reach, so for those structures, an eighth of
    MC3D and small cells all of them, dscribe computes the block.

    Args:
        crystal: the crystal; elements play no part.
        symmetry: its symmetry, which lets the average run over distinct atoms only; all atoms otherwise.
        zeros: what stands for entries that vanish by symmetry: ``library``, the rounding of dscribe, for
            models trained on it; ``exact``, zeros, which every machine agrees on.

    Returns:
        ``(252,)``, ordered by l, n, n' ≥ n.

    Raises:
        FeatureError: the cell is so dense that an atom has more than 100,000 neighbours.
    """
    volume = crystal.volume
    expected = 4.0 / 3.0 * math.pi * NEIGHBOUR_RADIUS**3 * len(crystal) / volume if volume > 0.0 else math.inf
    if not expected <= MAX_NEIGHBOURS:
        raise FeatureError(
            ErrorCode.FEATURES_FAILED,
            f"{len(crystal)} sites in {volume:.3g} Å³ give some {expected:.3g} neighbours within "
            f"{NEIGHBOUR_RADIUS:.1f} Å of an atom, at most {MAX_NEIGHBOURS} are expected; check the lattice",
            stage=Stage.FEATURES,
        )
    basis = _basis()
    lower, order = _triangular(crystal.lattice)
    centers, counts = distinct_atoms(crystal, symmetry)
    power = np.zeros_like(basis.mixing)
    average_power(
        lower,
        np.ascontiguousarray(crystal.frac[:, order]),
        centers,
        counts / len(crystal),
        NEIGHBOUR_RADIUS,
        basis.rates,
        basis.mixing,
        basis.recurrence,
        power,
    )
    power *= basis.prefactor[:, None, None]
    vanishing = np.abs(power).max(axis=(1, 2)) < FORCED_ZERO * np.abs(power).max()
    if vanishing.any():
        if zeros == "library":
            return _library_soap(crystal)
        power[vanishing] = 0.0
    upper = np.triu_indices(N_GAUSSIANS)
    return power[:, upper[0], upper[1]].ravel()


def _library_soap(crystal: Crystal) -> NDArray[np.float64]:
    """The same block by dscribe, over all atoms in their order."""
    from ase import Atoms

    atoms = Atoms("X" * len(crystal), positions=crystal.cart, cell=crystal.lattice, pbc=True)
    mean: NDArray[np.float64] = _library().create(atoms).mean(axis=0)
    return mean


@lru_cache(maxsize=1)
def _library() -> Any:
    from dscribe.descriptors import SOAP

    return SOAP(species=["X"], r_cut=R_CUT, n_max=N_GAUSSIANS, l_max=L_MAX, sigma=SIGMA, periodic=True)


def soap_labels() -> tuple[str, ...]:
    """Labels of the 252 columns: degree l, radial functions n and n'."""
    pairs = [(n, m) for n in range(N_GAUSSIANS) for m in range(n, N_GAUSSIANS)]
    return tuple(f"l{deg}_n{n}_n{m}" for deg in range(L_MAX + 1) for n, m in pairs)
