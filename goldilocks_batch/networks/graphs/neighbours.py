"""Bonds of a crystal: every atom to its nearest neighbours, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, FeatureError, Stage
from goldilocks_batch.networks.graphs._neighbour_kernel import CUTOFF, nearest
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal

__all__ = ["CUTOFF", "MAX_NEIGHBOURS", "Bonds", "find_bonds"]

#: Bonds that start at an atom, at most.
MAX_NEIGHBOURS = 12
#: Å³ an atom; the densest hydrogen has some 2.  In less the search would visit images without end.
SMALLEST_VOLUME = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Bonds:
    """Directed bonds, sorted by source atom, then by distance.

    Attributes:
        n_atoms: atoms of the cell.
        source: ``(n_bonds,)`` int64, the atom whose neighbour list a bond is of.
        target: ``(n_bonds,)`` int64, the neighbour's site.
        distance: ``(n_bonds,)`` float64, Å.
        vector: ``(n_bonds, 3)`` float64, from the source to the neighbour's image, Å.
    """

    n_atoms: int
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    distance: NDArray[np.float64]
    vector: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.source)


def find_bonds(crystal: Crystal) -> Bonds:
    """Bond every atom to its nearest neighbours: `MAX_NEIGHBOURS`, or as many as are within `CUTOFF` Å.

    The choice among equally distant neighbours is that of the published graphs: a stable sort by distance of
    pymatgen's ``get_neighbor_list``.

    Args:
        crystal: the cell; images are taken along its periodic axes.

    Raises:
        FeatureError: NO_NEIGHBOURS, an atom has no neighbour within the cutoff; GRAPH_FAILED, the cell has no
            volume to speak of or a number is not finite.
    """
    finite = np.isfinite(crystal.lattice).all() and np.isfinite(crystal.frac).all()
    if not finite or crystal.volume < SMALLEST_VOLUME * len(crystal):
        found = f"a cell of {crystal.volume:g} Å³" if finite else "coordinates that are not finite"
        raise FeatureError(
            ErrorCode.GRAPH_FAILED,
            f"found {found} for {len(crystal)} sites; expected at least {SMALLEST_VOLUME:g} Å³ an atom",
            stage=Stage.GRAPH,
        )
    counts, sites, distances, vectors = nearest(crystal.lattice, crystal.frac, crystal.pbc, MAX_NEIGHBOURS)
    lonely = np.flatnonzero(counts == 0)
    if len(lonely):
        raise FeatureError(
            ErrorCode.NO_NEIGHBOURS,
            f"site {lonely[0]} ({SYMBOLS[crystal.numbers[lonely[0]]]}) has no neighbour within {CUTOFF:g} Å"
            f" ({len(lonely)} of {len(crystal)} sites have none); the graph models need a bonded crystal",
            stage=Stage.GRAPH,
        )
    present = np.arange(MAX_NEIGHBOURS) < counts[:, None]
    return Bonds(
        n_atoms=len(crystal),
        source=np.repeat(np.arange(len(crystal)), counts),
        target=sites[present],
        distance=distances[present],
        vector=vectors[present],
    )
