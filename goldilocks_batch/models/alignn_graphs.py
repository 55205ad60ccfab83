"""Graphs of structures for ALIGNN, with what is done about cells of one atom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.choices import SingleSite
from goldilocks_batch.core.errors import ErrorCode, FeatureError, GoldilocksError, Stage
from goldilocks_batch.networks.graphs.bonds import CrystalGraph, crystal_graph
from goldilocks_batch.networks.graphs.classes import BondClasses, bond_classes
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal

__all__ = ["Graph", "PreparedGraphs", "build_graphs", "edges_of", "supercell"]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedGraphs:
    """Graphs of n structures: what can be made ahead, while a GPU works on other structures.

    Attributes:
        graphs: with their kinds of bonds; None where there is a failure.
        flags: remarks by row.
        failures: why a row has no graph.
    """

    graphs: list[Graph | None]
    flags: dict[int, tuple[str, ...]]
    failures: dict[int, GoldilocksError]


Graph = tuple[CrystalGraph, BondClasses]


def build_graphs(
    crystals: Sequence[Crystal], tabulated: NDArray[np.bool_], depth: int, single_site: SingleSite
) -> PreparedGraphs:
    """Graphs of primitive cells.

    Args:
        crystals: n.
        tabulated: ``(119,)`` elements that the networks know, by atomic number.
        depth: layers on the line graph.
        single_site: what to do with a cell of one atom.
    """
    prepared = PreparedGraphs([None] * len(crystals), {}, {})
    for row, crystal in enumerate(crystals):
        try:
            prepared.graphs[row], flags = _graph(crystal, tabulated, depth, single_site)
            if flags:
                prepared.flags[row] = flags
        except FeatureError as error:
            prepared.failures[row] = error
    return prepared


def _graph(
    crystal: Crystal, tabulated: NDArray[np.bool_], depth: int, single_site: SingleSite
) -> tuple[Graph, tuple[str, ...]]:
    unknown = np.unique(crystal.numbers[~tabulated[crystal.numbers]])
    if len(unknown):
        raise FeatureError(
            ErrorCode.ELEMENT_NOT_TABULATED,
            f"the ALIGNN networks do not know {', '.join(SYMBOLS[z] for z in unknown)};"
            f" their table holds {int(tabulated.sum())} elements",
            stage=Stage.GRAPH,
        )
    flags: tuple[str, ...] = ()
    if len(crystal) == 1 and single_site == "supercell":
        crystal, flags = supercell(crystal), ("single_site_supercell",)
    graph = crystal_graph(crystal)
    if graph.n_line_edges == 0:
        flags = (*flags, "single_site" if len(crystal) == 1 else "no_line_graph")
    return (graph, bond_classes(graph, depth if graph.n_line_edges else 0)), flags


def edges_of(graph: Graph) -> int:
    """What a structure costs: the edges of its line graph and its bonds."""
    return graph[0].n_line_edges + graph[0].n_bonds


def supercell(crystal: Crystal) -> Crystal:
    """The crystal doubled along every periodic axis, copies of a site in order of their cell (i, j, k).

    Coordinates are halved exactly.  pymatgen's supercell goes through Cartesian coordinates and back, and its
    last bits choose others among neighbours at the same distance: of 191 one-atom cells of MC3D 70 graphs
    differ, and outputs of untrained networks by up to 2e-3 1/Å.
    """
    repeats = np.where(crystal.pbc, 2, 1)
    cells = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), axis=-1).reshape(-1, 3)
    frac = (crystal.frac[:, None, :] + cells) / repeats
    return Crystal(
        lattice=crystal.lattice * repeats[:, None],
        frac=frac.reshape(-1, 3),
        numbers=np.repeat(crystal.numbers, len(cells)),
        pbc=crystal.pbc,
    )
