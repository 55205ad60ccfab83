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

from goldilocks_batch.features._cell_kernel import widest_gap
from goldilocks_batch.features._physics_kernel import contacts, electrons
from goldilocks_batch.features.chemistry import chemistry
from goldilocks_batch.features.lattice import bravais_id, lengths_and_angles
from goldilocks_batch.networks.graphs.neighbours import SMALLEST_VOLUME
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal, elements_of
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
    if not crystals:
        return values
    supplied = np.stack([crystal.lattice for crystal in crystals])
    volumes = np.abs(np.linalg.det(supplied))
    lattices = np.stack([reduced_lattice(lattice) for lattice in supplied])
    inverses = np.linalg.inv(lattices)
    lengths = np.linalg.norm(2.0 * math.pi * inverses.transpose(0, 2, 1), axis=2)
    b = np.sort(lengths, axis=1)[:, ::-1].copy()
    places = [crystal.cart @ inverse for crystal, inverse in zip(crystals, inverses, strict=True)]
    gaps = [widest_gap(frac, own) for frac, own in zip(places, lengths, strict=True)]
    values[:, : len(_CELL)] = _cell(crystals, symmetries, volumes, lattices, b, np.array(gaps))
    for crystal, volume, own, row in zip(crystals, volumes.tolist(), b, values, strict=True):
        _fill(crystal, volume, own, row[len(_CELL) :])
    return values


def _cell(
    crystals: Sequence[Crystal],
    symmetries: Sequence[Symmetry],
    volumes: NDArray[np.float64],
    lattices: NDArray[np.float64],
    b: NDArray[np.float64],
    gaps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The columns of cells, ``(n, 22)``.

    Args:
        crystals: n primitive cells.
        symmetries: theirs.
        volumes: ``(n,)``, Å³.
        lattices: ``(n, 3, 3)`` reduced, Å.
        b: ``(n, 3)`` lengths of the reciprocal vectors, descending, 1/Å.
        gaps: ``(n,)`` widest empty layers, Å.
    """
    sizes = np.array([len(crystal) for crystal in crystals])
    orbits = np.array([len(set(symmetry.equivalent_atoms.tolist())) for symmetry in symmetries])
    cubes = np.array(
        [np.take(chemistry().cubes, crystal.numbers, axis=1).sum(axis=1) for crystal in crystals]
    )
    # Python's logarithm and power: numpy's differ in last bits from one processor to another
    logarithms = [math.log(volume) for volume in volumes.tolist()]
    edges = [(8.0 * math.pi**3 / volume) ** (1.0 / 3.0) for volume in volumes.tolist()]
    return np.column_stack(
        [
            *(sizes, logarithms, volumes / sizes, b, b[:, 0] / b[:, 2], b[:, 0] / b[:, 1]),
            *(np.sort(np.linalg.norm(lattices, axis=2), axis=1), edges, lengths_and_angles(lattices)[:, 3:]),
            [bravais_id(symmetry) for symmetry in symmetries],
            *([len(symmetry.rotations) for symmetry in symmetries], orbits, orbits / sizes),
            *(4.0 / 3.0 * math.pi * cubes / volumes[:, None], gaps),
        ]
    )


def _fill(crystal: Crystal, volume: float, b: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """The columns of electrons and contacts of one crystal."""
    from goldilocks_batch.networks.graphs._neighbour_kernel import nearest

    known = chemistry()
    electrons(
        *(*elements_of(crystal.numbers), volume, b),
        *(known.numbers, known.common, known.lowest, known.highest, out[: len(_ELECTRONS)]),
    )
    if volume < SMALLEST_VOLUME * len(crystal):  # the search for neighbours would not end
        return
    found = nearest(crystal.lattice, crystal.frac, crystal.pbc, _NEIGHBOURS)
    contacts(crystal.numbers, *found, known.numbers, out[len(_ELECTRONS) :])
