"""Structures as PyTorch Geometric data, in the order and the units of the published graphs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, FeatureError, Stage
from goldilocks_batch.networks.devices import needing_geometric
from goldilocks_batch.networks.graphs.bonds import graph_of_bonds, sort_by_key
from goldilocks_batch.networks.graphs.neighbours import find_bonds
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.read import load
from goldilocks_batch.structures.sources.memory import reference_of

if TYPE_CHECKING:
    from torch_geometric.data import Data

__all__ = ["to_pyg"]


def to_pyg(structure: Any, *, elements: NDArray[np.float32] | None = None) -> tuple[Data, Data]:
    """The graph and the line graph of a structure, in the cell that is given.

    The published networks were trained on primitive cells.  Several structures become a batch with
    ``torch_geometric.data.Batch.from_data_list``, once for the graphs and once for the line graphs.

    Args:
        structure: a pymatgen ``Structure``, ASE ``Atoms`` or
            :class:`~goldilocks_batch.structures.crystal.Crystal`.
        elements: ``(119, k)`` float32, numbers of each element by atomic number, such as
            :func:`~goldilocks_batch.networks.checkpoint.read_element_table` reads; they become `x`.

    Returns:
        graph: the nodes are the n atoms.

            - ``z``: ``(n,)`` int64, atomic numbers.
            - ``pos``: ``(n, 3)`` float32, Cartesian positions, Å.
            - ``cell``: ``(1, 3, 3)`` float32, rows are the lattice vectors, Å.
            - ``edge_index``: ``(2, n_bonds)`` int64, from each atom to its 12 nearest neighbours within
              10 Å, by distance.
            - ``edge_attr``: ``(n_bonds,)`` float32, the distances, Å.
            - ``edge_vec``: ``(n_bonds, 3)`` float32, from the atom to the neighbour's image, Å.
            - ``x``: ``(n, k)`` float32, if there are `elements`.

        line_graph: the nodes are the bonds.

            - ``edge_index``: ``(2, n_pairs)`` int64, from bond a→b to bond b→d for every d that is not the
              site a, ordered by the first bond, then the second.
            - ``edge_attr``: ``(n_pairs,)`` float32, the cosine of the angle at b.

    Raises:
        ConfigError: CONFIG_INVALID, the object is no structure, or PyTorch Geometric is not installed.
        StructureError: the structure is disordered or broken.
        FeatureError: an atom has no neighbour, the cell has no volume, or an element is not in the table.
    """
    with needing_geometric("to_pyg"):
        import torch
        from torch_geometric.data import Data

    crystal = load(reference_of(0, structure), max_sites=sys.maxsize)
    bonds = find_bonds(crystal)
    compact = graph_of_bonds(crystal.numbers, bonds)
    # the compact graph sorts bonds by target; back to the order of the published graphs
    _, place = sort_by_key(bonds.target, bonds.n_atoms)
    sent = place[compact.line_source]
    received = np.repeat(place, np.diff(compact.line_into))
    order = np.lexsort((received, sent))
    graph = Data(
        z=torch.from_numpy(crystal.numbers),
        pos=torch.from_numpy(crystal.cart.astype(np.float32)),
        cell=torch.from_numpy(crystal.lattice.astype(np.float32))[None],
        edge_index=torch.from_numpy(np.stack([bonds.source, bonds.target])),
        edge_attr=torch.from_numpy(bonds.distance.astype(np.float32)),
        edge_vec=torch.from_numpy(bonds.vector.astype(np.float32)),
    )
    line_graph = Data(
        num_nodes=len(bonds),
        edge_index=torch.from_numpy(np.stack([sent[order], received[order]])),
        edge_attr=torch.from_numpy(compact.cosine[order]),
    )
    if elements is not None:
        graph.x = torch.from_numpy(_rows(elements, crystal.numbers))
    return graph, line_graph


def _rows(elements: NDArray[np.float32], numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """``(n, k)`` rows of a table by atomic number."""
    unknown = np.unique(numbers[np.isnan(elements[numbers]).any(axis=1)])
    if len(unknown):
        raise FeatureError(
            ErrorCode.ELEMENT_NOT_TABULATED,
            f"found {', '.join(SYMBOLS[z] for z in unknown)}, which the table of elements does not hold; "
            "expected elements that it has numbers for",
            stage=Stage.GRAPH,
        )
    return elements[numbers]
