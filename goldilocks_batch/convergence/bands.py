"""How many bands a calculation of Quantum ESPRESSO needs, as its eigenvalues on an earlier mesh tell.

With smearing pw.x calculates a fifth more bands than electrons fill, and four at least.  In small cells many
of these are empty at every k-point and change nothing, but the highest bands take longest to diagonalise.
One empty band is enough, for it shows that there are enough: where it lies above all that is occupied, so do
the bands above it.

Fewer bands may still change the energy.  Occupations by cold or Methfessel-Paxton smearing pass 1 or 0 before
they come to rest there, so more than one Fermi energy can give the right number of electrons (Dos Santos and
Marzari, Phys. Rev. B 107, 195122 (2023)), and which one pw.x finds by bisection, as version 6.7 does, depends
on the highest eigenvalue.  Where that is so, the number of bands stays pw.x's own, unless the Fermi energy
lies in a gap so wide that no state is filled in part: that one is right.  Other meshes may still be given
another one, by a highest eigenvalue that is a little different; so it is told, and which one it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "Bands", "bands_of", "occupation"]

Array = NDArray[np.float64]

#: How many widths above the Fermi energy each kind of smearing leaves less than 1e-8 of an occupation, and
#: how many below it less than 1e-8 of a hole.
_REACH = {"gaussian": (4.0, 4.0), "mp": (4.5, 4.5), "mv": (3.6, 5.0), "fd": (19.0, 19.0)}
#: Kinds whose occupations pass 1 or 0.
_PASSING = ("mp", "mv")
#: Electrons by which a Fermi energy may miss their number and be found all the same; pw.x allows 1e-10.
_COUNTED = 1e-7
#: Energies a width at which electrons are counted.
_FINE = 10
#: How far a Fermi energy must lie below the one that was found to be another one, in widths.
_NEAR = 0.3


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
            one; None if that is not known or not safe.
        several_fermi_energies: whether more than one Fermi energy gives the right number of electrons.
        passed: how often the number of electrons comes to be right or ceases to be below the Fermi energy
            that was found: which of several it is; None if that is not known.
    """

    needed: int | None = None
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
        than smearing), the highest band is not empty, or there is more than one Fermi energy and this one is
        not in a wide gap.
    """
    try:
        (path,) = folder.glob("*/*.save/data-file-schema.xml")
        found = ElementTree.parse(path).find("output/band_structure")  # noqa: S314 - pw.x has just written it
        return UNKNOWN if found is None else _told(found)
    except (OSError, ValueError, TypeError, ElementTree.ParseError):  # another version's, or half written
        return UNKNOWN


def _told(found: ElementTree.Element) -> Bands:
    smearing = found.find("smearing")
    kind = smearing.text if smearing is not None else None
    spin = any(found.findtext(name) != "false" for name in ("lsda", "noncolin"))
    if smearing is None or kind not in _REACH or spin or found.findtext("occupations_kind") != "smearing":
        return UNKNOWN
    width, fermi = float(smearing.get("degauss", "")), float(found.findtext("fermi_energy", ""))
    states = found.findall("ks_energies")
    energies = np.array([state.findtext("eigenvalues", "").split() for state in states], dtype=np.float64)
    weights = np.array([point.get("weight") for point in found.iter("k_point")], dtype=np.float64)
    weights *= 2 / weights.sum()
    energies = (energies - fermi) / width
    above, below = _REACH[kind]
    several, passed = False, 0
    if kind in _PASSING:
        several, passed = _fermi_energies(energies, weights, float(found.findtext("nelec", "")), kind)
    occupied = int((energies.min(axis=0) < above).sum())
    in_part = ((energies > -below) & (energies < above)).any()
    safe = occupied < energies.shape[1] and not (several and in_part)
    return Bands(occupied + 1 if safe else None, several, passed)


def _fermi_energies(energies: Array, weights: Array, electrons: float, kind: str) -> tuple[bool, int]:
    """Whether several Fermi energies give the right number of electrons, and what lies below the found one.

    Args:
        energies: ``(k, n)`` eigenvalues from the Fermi energy that was found, in widths of the smearing.
        weights: ``(k,)`` of the k-points, 2 in all.
        electrons: their right number.
        kind: of smearing.

    Returns:
        Whether the number falls anywhere on its way through the right one, and how often it comes to be
        right, or ceases to be, below the Fermi energy that was found.
    """
    far = max(_REACH[kind]) + 1.0
    order = np.argsort(energies, axis=None)
    levels = energies.ravel()[order]
    held = np.repeat(weights, energies.shape[1])[order]
    below = np.concatenate(([0.0], np.cumsum(held)))
    tried = np.arange(levels[0] - 2.0, levels[-1] + 2.0, 1 / _FINE)
    first, last = np.searchsorted(levels, tried - far), np.searchsorted(levels, tried + far)
    counted = np.array(
        [
            below[i] + held[i:j] @ occupation(kind, energy - levels[i:j])
            for energy, i, j in zip(tried, first, last, strict=True)
        ]
    )
    excess = counted - electrons
    signs = np.sign(np.where(np.abs(excess) < _COUNTED, 0.0, excess))
    changes = np.diff(signs)
    return bool((changes < 0).any()), int((changes[tried[1:] < -_NEAR] != 0).sum())
