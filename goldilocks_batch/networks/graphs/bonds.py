"""The graph of a crystal that ALIGNN works on: bonds, and pairs of bonds that share an atom, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.networks.graphs.neighbours import Bonds, find_bonds
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["CrystalGraph", "crystal_graph", "sort_by_key"]

#: Added to the product of two lengths (Å²) under a cosine, as in the published graphs.
EPSILON = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class CrystalGraph:
    """Atoms, bonds and line graph of one crystal; bonds into an atom lie side by side.

    The nodes of the line graph are the bonds.  An edge leads from bond a→b to bond b→d where d is not the
    site a.

    Attributes:
        numbers: ``(n_atoms,)`` int32, atomic numbers.
        into: ``(n_atoms + 1,)`` int32, where the bonds into each atom start.
        source: ``(n_bonds,)`` int32, the atom each bond comes from.
        distance: ``(n_bonds,)`` float32, Å.
        line_into: ``(n_bonds + 1,)`` int32, where the line-graph edges into each bond start.
        line_source: ``(n_line_edges,)`` int32, the bond each of them comes from.
        cosine: ``(n_line_edges,)`` float32, of the angle at the shared atom.
    """

    numbers: NDArray[np.int32]
    into: NDArray[np.int32]
    source: NDArray[np.int32]
    distance: NDArray[np.float32]
    line_into: NDArray[np.int32]
    line_source: NDArray[np.int32]
    cosine: NDArray[np.float32]

    @property
    def n_bonds(self) -> int:
        """Bonds, the nodes of the line graph."""
        return len(self.source)

    @property
    def n_line_edges(self) -> int:
        """Edges of the line graph: what a forward pass costs grows with them."""
        return len(self.cosine)


def crystal_graph(crystal: Crystal) -> CrystalGraph:
    """Build the graph of a crystal.

    Raises:
        FeatureError: NO_NEIGHBOURS, see :func:`~goldilocks_batch.networks.graphs.neighbours.find_bonds`.
    """
    return graph_of_bonds(crystal.numbers, find_bonds(crystal))


def graph_of_bonds(numbers: NDArray[np.int64], bonds: Bonds) -> CrystalGraph:
    """The same from bonds that are known already."""
    arrays = _graph(bonds.n_atoms, bonds.source, bonds.target, bonds.distance, bonds.vector)
    return CrystalGraph(numbers.astype(np.int32), *arrays)


@kernel()
def sort_by_key(keys: NDArray[np.int64], n_keys: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stable counting sort: where each key's run starts, ``(n_keys + 1,)``, and the order, ``(n,)``."""
    starts = np.zeros(n_keys + 1, dtype=np.int64)
    for key in keys:
        starts[key + 1] += 1
    for key in range(n_keys):
        starts[key + 1] += starts[key]
    place = starts[:-1].copy()
    order = np.empty(len(keys), dtype=np.int64)
    for i in range(len(keys)):
        order[place[keys[i]]] = i
        place[keys[i]] += 1
    return starts, order


@kernel(error_model="numpy")
def _graph(
    n_atoms: int,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    distance: NDArray[np.float64],
    vector: NDArray[np.float64],
) -> tuple[
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.float32],
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.float32],
]:
    """`CrystalGraph.into` and what follows it, from bonds in any order."""
    n = len(source)
    into, order = sort_by_key(target, n_atoms)
    sources, distances = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.float32)
    for e in range(n):
        sources[e], distances[e] = source[order[e]], distance[order[e]]
    starts = np.zeros(n + 1, dtype=np.int32)
    for e in range(n):
        start, stop, own = into[sources[e]], into[sources[e] + 1], target[order[e]]
        starts[e + 1] = starts[e]
        for f in range(start, stop):
            if sources[f] != own:
                starts[e + 1] += 1
    line_source = np.empty(starts[n], dtype=np.int32)
    cosine = np.empty(starts[n], dtype=np.float32)
    place = 0
    for e in range(n):
        second = order[e]
        for f in range(into[sources[e]], into[sources[e] + 1]):
            if sources[f] != target[second]:
                first = order[f]
                dot = (
                    vector[first, 0] * vector[second, 0]
                    + vector[first, 1] * vector[second, 1]
                    + vector[first, 2] * vector[second, 2]
                )
                line_source[place] = f
                cosine[place] = -dot / (distance[first] * distance[second] + EPSILON)
                place += 1
    return into.astype(np.int32), sources, distances, starts, line_source, cosine
