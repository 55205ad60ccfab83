"""How many bands a calculation of Quantum ESPRESSO needs, as its eigenvalues on an earlier mesh tell.

With smearing pw.x calculates a fifth more bands than electrons fill, and four at least.  In small cells many
of these are empty at every k-point and change nothing, but the highest bands take longest to diagonalise.
One empty band is enough, for it shows that there are enough: where it lies above all that is occupied, so do
the bands above it.

Fewer bands may still change the energy.  Occupations by cold or Methfessel-Paxton smearing pass 1 or 0 before
they come to rest there, so more than one Fermi energy can give the right number of electrons (Dos Santos and
Marzari, Phys. Rev. B 107, 195122 (2023)): in a wide gap, and at the edge of the bands below it.  Which one
pw.x finds by bisection, as version 6.7 does, depends on the highest eigenvalue, and energies of two meshes
with different ones cannot be compared.  So a mesh is given the fewest bands by which bisection leads to the
same one as before, also if the highest eigenvalue is somewhat different; if there are none, pw.x's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.convergence.written import UNREADABLE, written_in

__all__ = ["UNKNOWN", "Bands", "bands_of", "occupation"]

Array = NDArray[np.float64]

#: How many widths above the Fermi energy each kind of smearing leaves less than 1e-8 of an occupation, and
#: how many below it less than 1e-8 of a hole.
_REACH = {"gaussian": (4.0, 4.0), "mp": (4.5, 4.5), "mv": (3.6, 5.0), "fd": (19.0, 19.0)}
#: Kinds whose occupations pass 1 or 0.
_PASSING = ("mp", "mv")
#: Electrons by which a Fermi energy may miss their number and be found all the same; pw.x allows 1e-10, so
#: this calls no Fermi energy the only one that is not.
_COUNTED = 1e-9
#: Electrons at which bisection ends (``efermig.f90``).
_ENDS = 1e-10
#: Energies a width at which electrons are counted.
_FINE = 10
#: How far a Fermi energy must lie below the one that was found to be another one, in widths.
_NEAR = 0.3
#: By how much the highest eigenvalue may differ on the next mesh, in widths.
_DIFFERENT = np.linspace(-2.0, 2.0, 9)


def occupation(kind: str, x: Array) -> Array:
    """Occupations of states by a kind of smearing, as ``wgauss`` of Quantum ESPRESSO defines them.

    Args:
        kind: its name in Quantum ESPRESSO's files: gaussian, mp, mv or fd.
        x: how far the states lie below the Fermi energy, in widths.

    Returns:
        Between 0 and 1, or a little beyond; of the shape of ``x``.
    """
    from scipy.special import erfc, expit

    if kind == "fd":
        filled: Array = expit(x)
    elif kind == "mv":
        shifted = x - 1 / np.sqrt(2)
        filled = 0.5 * erfc(-shifted) + np.exp(-(shifted**2)) / np.sqrt(2 * np.pi)
    else:
        filled = 0.5 * erfc(-x)
        if kind == "mp":
            filled += x * np.exp(-(x**2)) / (2 * np.sqrt(np.pi))
    return filled


@dataclass(frozen=True, slots=True)
class Bands:
    """What the eigenvalues of a mesh tell.

    Attributes:
        needed: the number of bands that the next mesh needs: those that are occupied at some k-point, and
            one or more; None if that is not known or not safe.
        highest_is_empty: whether there were enough.
        several_fermi_energies: whether more than one Fermi energy gives the right number of electrons.
        passed: how often the number of electrons comes to be right or ceases to be below the Fermi energy
            that was found: which of several it is; None if that is not known.
    """

    needed: int | None = None
    highest_is_empty: bool = False
    several_fermi_energies: bool = False
    passed: int | None = None

    def has_another_fermi_energy(self, last: Bands) -> bool:
        """Whether one of several Fermi energies was found that is not the one of the mesh before."""
        return self.several_fermi_energies and last.passed is not None and self.passed != last.passed


#: Of a mesh of which nothing is known.
UNKNOWN = Bands()


def bands_of(folder: Path) -> Bands:
    """What the eigenvalues of the mesh that is done tell.

    Args:
        folder: where pw.x has worked.

    Returns:
        ``needed`` is None if no file tells it, the states are not counted singly (spin, occupations other
        than smearing), the highest band is not empty, or there is more than one Fermi energy and no number of
        bands by which this one is found again.
    """
    try:
        written = written_in(folder)
        return _told(written.bands, own=written.own)
    except UNREADABLE:
        return UNKNOWN


def _told(found: ElementTree.Element, *, own: bool) -> Bands:
    smearing = found.find("smearing")
    kind = smearing.text if smearing is not None else None
    if smearing is None or kind not in _REACH or found.findtext("occupations_kind") != "smearing":
        return UNKNOWN
    width, fermi = float(smearing.get("degauss", "")), float(found.findtext("fermi_energy", ""))
    states = found.findall("ks_energies")
    energies = np.array([state.findtext("eigenvalues", "").split() for state in states], dtype=np.float64)
    weights = np.array([point.get("weight") for point in found.iter("k_point")], dtype=np.float64)
    weights *= 2 / weights.sum()
    energies = (energies - fermi) / width
    above, _ = _REACH[kind]
    occupied = int((energies.min(axis=0) < above).sum())
    empty = occupied < energies.shape[1]
    enough = range(occupied + 1, energies.shape[1] + (0 if own else 1))  # pw.x's own number is never told
    if kind not in _PASSING:
        return Bands(next(iter(enough), None), empty, passed=0)
    electrons = float(found.findtext("nelec", ""))
    tried = np.arange(energies.min() - 2.0, energies.max() + 2.0, 1 / _FINE)
    changes = np.diff(_Electrons.of(energies, weights, kind).signs(tried, electrons))

    def passed(energy: float) -> int:
        return int((changes[tried[1:] < energy - _NEAR] != 0).sum())

    several = bool((changes < 0).any())
    for bands in enough:
        fewer = _Electrons.of(energies[:, :bands], weights, kind)
        led = (fewer.bisected(electrons, different) for different in _DIFFERENT if several)
        if all(energy is not None and passed(energy) == passed(0.0) for energy in led):
            return Bands(bands, True, several, passed(0.0))
    return Bands(None, empty, several, passed(0.0))


@dataclass(frozen=True, slots=True)
class _Electrons:
    """Counts the electrons below a Fermi energy; energies are in widths of the smearing.

    Attributes:
        kind: of smearing.
        levels: eigenvalues of all k-points, sorted.
        held: electrons that each holds when it is full.
        below: electrons of all levels before each.
    """

    kind: str
    levels: Array
    held: Array
    below: Array

    @classmethod
    def of(cls, energies: Array, weights: Array, kind: str) -> _Electrons:
        """Those of ``(k, n)`` eigenvalues of k-points with ``(k,)`` weights, 2 in all."""
        order = np.argsort(energies, axis=None)
        held = np.repeat(weights, energies.shape[1])[order]
        return cls(kind, energies.ravel()[order], held, np.concatenate(([0.0], np.cumsum(held))))

    def counted(self, energy: float) -> float:
        """How many there are."""
        far = max(_REACH[self.kind]) + 2.0
        first, last = np.searchsorted(self.levels, (energy - far, energy + far))
        near = slice(first, last)
        filled = self.held[near] @ occupation(self.kind, energy - self.levels[near])
        return float(self.below[first] + filled)

    def signs(self, energies: Array, electrons: float) -> NDArray[np.float64]:
        """Whether there are fewer, as many or more than the right number at some Fermi energies: -1, 0, 1."""
        excess = np.array([self.counted(energy) for energy in energies]) - electrons
        signs: Array = np.sign(np.where(np.abs(excess) < _COUNTED, 0.0, excess))
        return signs

    def bisected(self, electrons: float, different: float) -> float | None:
        """The Fermi energy that pw.x finds, had the highest eigenvalue been different by so much."""
        lower, upper = self.levels[0] - 2.0, self.levels[-1] + 2.0 + different
        if self.counted(upper) < electrons - _ENDS:
            return None
        for _ in range(100):
            energy = float(lower + upper) / 2
            excess = self.counted(energy) - electrons
            if abs(excess) < _ENDS:
                return energy
            if excess < 0:
                lower = energy
            else:
                upper = energy
        return energy
