"""Batches of graphs: packed by a declared cost, atoms and bonds of all structures behind each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.networks.graphs.bonds import CrystalGraph, sort_by_key
from goldilocks_batch.networks.graphs.classes import BondClasses
from goldilocks_batch.networks.graphs.neighbours import Bonds

__all__ = ["BondBatch", "GraphBatch", "collate", "collate_bonds", "pack", "pool"]


def pack(costs: NDArray[np.int64], limit: int) -> list[NDArray[np.int64]]:
    """Split structures into batches of similar structures whose costs add up to a limit at most.

    Args:
        costs: ``(n,)`` cost of each structure.
        limit: largest sum of a batch; a structure that costs more is a batch of its own.

    Returns:
        Indices of each batch's structures; every index occurs once.
    """
    batches: list[NDArray[np.int64]] = []
    order = np.argsort(costs, kind="stable")
    start, total = 0, 0
    for position, cost in enumerate(costs[order].tolist()):
        if position > start and total + cost > limit:
            batches.append(order[start:position])
            start, total = position, 0
        total += cost
    if len(order):
        batches.append(order[start:])
    return batches


@dataclass(frozen=True, slots=True, eq=False)
class BondBatch:
    """Bonds of several structures, those into an atom side by side.

    Attributes:
        first_atom: ``(n_structures + 1,)`` int32, where each structure's atoms start.
        into: ``(n_atoms + 1,)`` int32, where the bonds into each atom start.
        source: ``(n_bonds,)`` int32, the atom each bond comes from.
        distance: ``(n_bonds,)`` float32 or float64, Å.
    """

    first_atom: NDArray[np.int32]
    into: NDArray[np.int32]
    source: NDArray[np.int32]
    distance: NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class GraphBatch:
    """Graphs of several structures; numbers are int32 and float32.

    Attributes:
        numbers: ``(n_atoms,)`` atomic numbers.
        bonds: the bonds.
        line_into: ``(n_bonds + 1,)`` where the line-graph edges into each bond start.
        line_source: ``(n_line_edges,)`` the bond each of them comes from.
        kind: ``(depth + 1, n_bonds)`` kinds of bonds before each layer on the line graph and after the last.
        example: for each row of `kind`, ``(n_kinds,)`` a bond of each kind.
        angle_kind: ``(n_line_edges,)`` kind of the angle of each line-graph edge.
        cosine: ``(n_angle_kinds,)`` of the angles of each kind.
    """

    numbers: NDArray[np.int32]
    bonds: BondBatch
    line_into: NDArray[np.int32]
    line_source: NDArray[np.int32]
    kind: NDArray[np.int32]
    example: tuple[NDArray[np.int32], ...]
    angle_kind: NDArray[np.int32]
    cosine: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.bonds.first_atom) - 1


def _offsets(sizes: Sequence[int]) -> NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)


def collate_bonds(graphs: Sequence[Bonds]) -> BondBatch:
    """Put the bonds of some structures behind each other and sort them by the atom they lead to."""
    first_atom = _offsets([graph.n_atoms for graph in graphs])
    shift = np.repeat(first_atom[:-1], [len(graph) for graph in graphs])
    source = np.concatenate([graph.source for graph in graphs]) + shift
    target = np.concatenate([graph.target for graph in graphs]) + shift
    distance = np.concatenate([graph.distance for graph in graphs])
    into, order = sort_by_key(target, int(first_atom[-1]))
    return BondBatch(first_atom, into.astype(np.int32), source[order].astype(np.int32), distance[order])


def collate(graphs: Sequence[tuple[CrystalGraph, BondClasses]]) -> GraphBatch:
    """Put the graphs of some structures behind each other, with their kinds of bonds."""
    plain, classes = [graph for graph, _ in graphs], [kinds for _, kinds in graphs]
    atoms = _offsets([len(graph.numbers) for graph in plain])
    bonds = _offsets([graph.n_bonds for graph in plain])
    lines = _offsets([graph.n_line_edges for graph in plain])
    angles = _offsets([len(kinds.cosine) for kinds in classes])
    rows = [
        _offsets([len(kinds.example[level]) for kinds in classes]) for level in range(len(classes[0].example))
    ]
    kind = np.concatenate([kinds.kind for kinds in classes], axis=1)
    for level, at in enumerate(rows):
        _raise_runs(kind[level], bonds, at)
    return GraphBatch(
        numbers=np.concatenate([graph.numbers for graph in plain]),
        bonds=BondBatch(
            first_atom=atoms,
            into=_pointers([graph.into for graph in plain], atoms, bonds),
            source=_shifted([graph.source for graph in plain], bonds, atoms),
            distance=np.concatenate([graph.distance for graph in plain]),
        ),
        line_into=_pointers([graph.line_into for graph in plain], bonds, lines),
        line_source=_shifted([graph.line_source for graph in plain], lines, bonds),
        kind=kind,
        example=tuple(
            _shifted([kinds.example[level] for kinds in classes], at, bonds) for level, at in enumerate(rows)
        ),
        angle_kind=_shifted([kinds.angle_kind for kinds in classes], lines, angles),
        cosine=np.concatenate([kinds.cosine for kinds in classes]),
    )


def _shifted(
    arrays: Sequence[NDArray[np.int32]], starts: NDArray[np.int32], shifts: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Indices of several structures behind each other, each structure's raised by its shift."""
    joined = np.concatenate(arrays)
    _raise_runs(joined, starts, shifts)
    return joined


def _pointers(
    arrays: Sequence[NDArray[np.int32]], starts: NDArray[np.int32], shifts: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Pointers of several structures behind each other: where one's end, the next one's begin."""
    joined = np.concatenate([*(array[:-1] for array in arrays), shifts[-1:]])
    _raise_runs(joined, starts, shifts)
    return joined


@kernel()
def _raise_runs(values: NDArray[np.int32], starts: NDArray[np.int32], shifts: NDArray[np.int32]) -> None:
    """Raise, in place, what lies between two starts by the shift of the first."""
    for i in range(len(starts) - 1):
        for k in range(starts[i], starts[i + 1]):
            values[k] += shifts[i]


@kernel()
def pool(x: NDArray[np.float32], first_atom: NDArray[np.int32]) -> NDArray[np.float32]:
    """``(n_structures, width)`` means over each structure's atoms."""
    out = np.zeros((len(first_atom) - 1, x.shape[1]), dtype=np.float32)
    for i in range(len(out)):
        for t in range(first_atom[i], first_atom[i + 1]):
            for c in range(x.shape[1]):
                out[i, c] += x[t, c]
        for c in range(x.shape[1]):
            out[i, c] /= np.float32(first_atom[i + 1] - first_atom[i])
    return out
