"""Physics block: what decides how dense a k-mesh has to be, as far as it can be told without a calculation.

Reciprocal lengths and their ratios; valence electrons, their parity and the free-electron Fermi sphere beside
the reciprocal cell; electronegativities and what they say of a gap; electrons that anions want and metals
give, oxidation states; transition metals' d electrons; packing, contacts between neighbours by kind, the
widest empty layer.  All of it belongs to the crystal: lengths are those of the Niggli-reduced primitive cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.features._physics_kernel import contacts, electrons
from goldilocks_batch.features.chemistry import chemistry
from goldilocks_batch.features.lattice import bravais_id, lengths_and_angles
from goldilocks_batch.networks.graphs.neighbours import SMALLEST_VOLUME
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.symmetry import Symmetry, reduced_lattice

__all__ = ["ELEMENT_LABELS", "PHYSICS_LABELS", "elements_block", "physics_block"]

_CELL = (
    *("n_sites", "log_volume", "volume_per_atom", "b1", "b2", "b3", "b1_over_b3", "b1_over_b2"),
    *("a1", "a2", "a3", "reciprocal_edge", "alpha", "beta", "gamma", "bravais"),
    *("operations", "orbits", "orbit_share", "packing", "packing_atomic", "layer_gap"),
)
_ELECTRONS = (
    *("electrons", "electrons_per_atom", "electrons_mod_2", "electrons_mod_4", "electrons_mod_8"),
    *("fermi", "fermi_over_b1", "fermi_over_b2", "fermi_over_b3", "electron_radius"),
    *("chi_mean", "chi_deviation", "chi_range", "chi_pairs", "chi_geometric"),
    *("ionization_least", "ionization_mean", "affinity_most", "mulliken_gap"),
    *("metals", "alkali", "alkaline_earth", "d_elements", "f_elements", "p_metals", "metalloids"),
    *("hydrogen", "carbon", "nitrogen", "oxygen", "fluorine", "halogens", "chalcogens", "pnictogens"),
    *("wanted", "given", "excess", "excess_cell", "given_over_wanted", "electrons_per_anion"),
    *("excess_per_anion", "anions", "d_left", "d_group", "d_row"),
    *("least_charge", "charge_balanced", "common_lowest", "common_highest", "lowest", "highest"),
    *("n_elements", "largest_share", "entropy"),
)
_CONTACTS = (
    *("contact_least", "contact_mean", "contact_deviation"),
    *("coordination_mean", "coordination_most", "coordination_least", "coordination_deviation"),
    *("metal_metal", "metal_metal_least", "metal_other", "other_other", "other_other_least"),
    *("chi_contact", "chi_contact_most", "direction_least", "moment", "moment_metals"),
    *("d_d_least", "d_d_most", "like_contacts", "direction_spread"),
)
#: Neighbours that are looked for; those of the farthest shell, which may be cut, do not count.
_NEIGHBOURS = 16

PHYSICS_LABELS: tuple[str, ...] = (*_CELL, *_ELECTRONS, *_CONTACTS)
ELEMENT_LABELS: tuple[str, ...] = SYMBOLS[1:]


def elements_block(crystals: Sequence[Crystal]) -> NDArray[np.float64]:
    """Atomic fractions of the elements: ``(n, 118)``, H first."""
    values = np.zeros((len(crystals), len(ELEMENT_LABELS)))
    for row, crystal in enumerate(crystals):
        np.add.at(values[row], crystal.numbers - 1, 1.0 / len(crystal))
    return values


def physics_block(crystals: Sequence[Crystal], symmetries: Sequence[Symmetry]) -> NDArray[np.float64]:
    """Physics features of a batch.

    Args:
        crystals: primitive cells.
        symmetries: their symmetries.

    Returns:
        ``(n, k)`` in the order of `PHYSICS_LABELS`; lengths in Å and 1/Å with the 2π, energies in eV.
    """
    values = np.zeros((len(crystals), len(PHYSICS_LABELS)))
    for row, (crystal, symmetry) in enumerate(zip(crystals, symmetries, strict=True)):
        _fill(crystal, symmetry, values[row])
    return values


def _fill(crystal: Crystal, symmetry: Symmetry, out: NDArray[np.float64]) -> None:
    from goldilocks_batch.networks.graphs._neighbour_kernel import nearest

    known, n, volume = chemistry(), len(crystal), crystal.volume
    lattice = reduced_lattice(crystal.lattice)
    reciprocal = 2.0 * math.pi * np.linalg.inv(lattice).T
    lengths = np.linalg.norm(reciprocal, axis=1)
    b = np.sort(lengths)[::-1]
    edges = np.sort(np.linalg.norm(lattice, axis=1))
    orbits = len(np.unique(symmetry.equivalent_atoms))
    angles = lengths_and_angles(lattice[None])[0, 3:]
    spheres = 4.0 / 3.0 * math.pi * (known.numbers[crystal.numbers][:, [4, 8]] ** 3).sum(axis=0) / volume
    out[: len(_CELL)] = (
        *(n, math.log(volume), volume / n, *b, b[0] / b[2], b[0] / b[1], *edges),
        *((8.0 * math.pi**3 / volume) ** (1.0 / 3.0), *angles, bravais_id(symmetry)),
        *(len(symmetry.rotations), orbits, orbits / n, *spheres),
        _widest_gap(crystal.cart @ np.linalg.inv(lattice), lengths),
    )
    elements, counts = np.unique(crystal.numbers, return_counts=True)
    after = len(_CELL) + len(_ELECTRONS)
    electrons(
        *(elements, counts, volume, b, known.numbers, known.common, known.lowest, known.highest),
        out[len(_CELL) : after],
    )
    if volume < SMALLEST_VOLUME * n:  # the search for neighbours would not end
        return
    found = nearest(crystal.lattice, crystal.frac, crystal.pbc, _NEIGHBOURS)
    contacts(crystal.numbers, *found, known.numbers, out[after:])


def _widest_gap(frac: NDArray[np.float64], reciprocal: NDArray[np.float64]) -> float:
    """The widest distance between neighbouring lattice-parallel planes of atoms, Å.

    Args:
        frac: ``(n, 3)`` fractional coordinates.
        reciprocal: ``(3,)`` lengths of the reciprocal vectors, 1/Å with the 2π.
    """
    places = np.sort(frac % 1.0, axis=0)
    gaps = np.diff(places, axis=0, append=places[:1] + 1.0).max(axis=0)
    return float((gaps * 2.0 * math.pi / reciprocal).max())
