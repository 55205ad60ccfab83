"""How many bands a calculation of Quantum ESPRESSO needs, as its eigenvalues on an earlier mesh tell.

With smearing pw.x calculates a fifth more bands than electrons fill, and four at least.  In small cells many
of these are empty at every k-point and change nothing, but the highest bands take longest to diagonalise.
One empty band is enough, for it shows that there are enough: where it lies above all that is occupied, so do
the bands above it.

Fewer bands may still change the energy.  Occupations by cold or Methfessel-Paxton smearing pass 1 or 0 before
they come to rest there, so more than one Fermi energy can give the right number of electrons (Dos Santos and
Marzari, Phys. Rev. B 107, 195122 (2023)), and which one pw.x finds by bisection, as version 6.7 does, depends
on the highest eigenvalue.  Where that is so, the number of bands stays pw.x's own, unless the Fermi energy
lies in a gap so wide that no state is filled in part: that one is right.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

__all__ = ["bands_needed", "occupation"]

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


def bands_needed(folder: Path) -> int | None:
    """The number of bands that the next mesh needs, by the eigenvalues of the one that is done.

    Args:
        folder: where pw.x has worked.

    Returns:
        Those that are occupied at some k-point, and one; None if that is not known or not safe: no file tells
        it, the states are not counted singly (spin, occupations other than smearing), the highest band is not
        empty, or there is more than one Fermi energy and this one is not in a wide gap.
    """
    try:
        (path,) = folder.glob("*/*.save/data-file-schema.xml")
        found = ElementTree.parse(path).find("output/band_structure")  # noqa: S314 - pw.x has just written it
        return None if found is None else _needed(found)
    except (OSError, ValueError, TypeError, ElementTree.ParseError):  # another version's, or half written
        return None


def _needed(found: ElementTree.Element) -> int | None:
    smearing = found.find("smearing")
    kind = smearing.text if smearing is not None else None
    spin = any(found.findtext(name) != "false" for name in ("lsda", "noncolin"))
    if smearing is None or kind not in _REACH or spin or found.findtext("occupations_kind") != "smearing":
        return None
    width, fermi = float(smearing.get("degauss", "")), float(found.findtext("fermi_energy", ""))
    states = found.findall("ks_energies")
    energies = np.array([state.findtext("eigenvalues", "").split() for state in states], dtype=np.float64)
    weights = np.array([point.get("weight") for point in found.iter("k_point")], dtype=np.float64)
    weights *= 2 / weights.sum()
    energies = (energies - fermi) / width
    above, below = _REACH[kind]
    occupied = int((energies.min(axis=0) < above).sum())
    if occupied == energies.shape[1]:
        return None
    if kind in _PASSING and ((energies > -below) & (energies < above)).any():
        electrons = float(found.findtext("nelec", ""))
        if not _one_fermi_energy(energies, weights, electrons, kind):
            return None
    return occupied + 1


def _one_fermi_energy(energies: Array, weights: Array, electrons: float, kind: str) -> bool:
    """Whether the number of electrons passes the right one only once as the Fermi energy rises.

    Args:
        energies: ``(k, n)`` eigenvalues, in widths of the smearing.
        weights: ``(k,)`` of the k-points, 2 in all.
        electrons: their right number.
        kind: of smearing.
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
    return bool((np.diff(signs) >= 0).all())
