"""The line graph, kinds of bonds, and batches of graphs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.networks.graphs.bonds import CrystalGraph, crystal_graph, sort_by_key
from goldilocks_batch.networks.graphs.classes import bond_classes
from goldilocks_batch.networks.graphs.collate import collate, collate_bonds, pack, pool
from goldilocks_batch.networks.graphs.neighbours import find_bonds
from goldilocks_batch.networks.radial import RadialBasis
from goldilocks_batch.structures.crystal import Crystal
from tests.random_networks import random_crystal

ROCK_SALT = Crystal(
    2.82 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]),
    np.array([11, 17]),
)
PEROVSKITE = Crystal(
    3.9 * np.eye(3),
    np.array([[0.0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
    np.array([38, 22, 8, 8, 8]),
)
CRYSTALS = [ROCK_SALT, PEROVSKITE, random_crystal(0), random_crystal(1, n_atoms=3)]


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_line_graph_is_every_pair_that_shares_an_atom(crystal: Crystal) -> None:
    bonds, graph = find_bonds(crystal), crystal_graph(crystal)
    order = np.argsort(bonds.target, kind="stable")
    np.testing.assert_array_equal(graph.source, bonds.source[order])
    target = bonds.target[order]
    np.testing.assert_array_equal(np.repeat(np.arange(len(crystal)), np.diff(graph.into)), target)
    expected = []
    for e in range(graph.n_bonds):
        for f in range(graph.n_bonds):
            if target[f] == graph.source[e] and graph.source[f] != target[e]:
                first, second = -bonds.vector[order[f]], bonds.vector[order[e]]
                cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
                expected.append((f, e, cosine))
    found_target = np.repeat(np.arange(graph.n_bonds), np.diff(graph.line_into))
    np.testing.assert_array_equal(graph.line_source, [f for f, _, _ in expected])
    np.testing.assert_array_equal(found_target, [e for _, e, _ in expected])
    np.testing.assert_allclose(graph.cosine, [c for _, _, c in expected], atol=1e-6)


def test_one_atom_has_no_line_graph() -> None:
    graph = crystal_graph(Crystal(3.0 * np.eye(3), np.zeros((1, 3)), np.array([84])))
    assert (graph.n_bonds, graph.n_line_edges) == (12, 0)


@given(st.lists(st.integers(0, 6), max_size=30))
def test_counting_sort_is_a_stable_sort(keys: list[int]) -> None:
    array = np.array(keys, dtype=np.int64)
    starts, order = sort_by_key(array, 7)
    np.testing.assert_array_equal(order, np.argsort(array, kind="stable"))
    np.testing.assert_array_equal(starts, np.searchsorted(np.sort(array), np.arange(8)))


def numbered(keys: Sequence[Hashable]) -> NDArray[np.int64]:
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys])


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_kinds_are_those_of_colour_refinement(crystal: Crystal) -> None:
    graph = crystal_graph(crystal)
    classes = bond_classes(graph, 3)
    kind = numbered([round(float(d) * 1e5) for d in graph.distance])
    cosine = [round(float(c) * 1e5) for c in graph.cosine]
    for level in range(4):
        np.testing.assert_array_equal(classes.kind[level], kind)
        example = classes.example[level]
        np.testing.assert_array_equal(kind[example], np.arange(len(example)))
        edges = [range(*graph.line_into[e : e + 2]) for e in range(graph.n_bonds)]
        kind = numbered(
            [
                (kind[e], *sorted((kind[graph.line_source[k]], cosine[k]) for k in edges[e]))
                for e in range(graph.n_bonds)
            ]
        )
    np.testing.assert_allclose(classes.cosine[classes.angle_kind], graph.cosine, atol=1e-6)


def test_symmetry_makes_few_kinds() -> None:
    # every bond of rock salt is alike, in each of the two shells
    classes = bond_classes(crystal_graph(ROCK_SALT), 2)
    assert len(classes.example[0]) == 2
    assert len(classes.cosine) < 10


def graphs(crystals: Sequence[Crystal]) -> list[CrystalGraph]:
    return [crystal_graph(crystal) for crystal in crystals]


def test_a_batch_is_its_graphs_behind_each_other() -> None:
    parts = [(graph, bond_classes(graph, 2)) for graph in graphs(CRYSTALS)]
    whole = collate(parts)
    assert len(whole) == len(CRYSTALS)
    bond = line = 0
    for index, (graph, classes) in enumerate(parts):
        first, last = whole.bonds.first_atom[index : index + 2]
        bonds, lines = slice(bond, bond + graph.n_bonds), slice(line, line + graph.n_line_edges)
        np.testing.assert_array_equal(whole.numbers[first:last], graph.numbers)
        np.testing.assert_array_equal(whole.bonds.into[first : last + 1] - bond, graph.into)
        np.testing.assert_array_equal(whole.bonds.source[bonds] - first, graph.source)
        np.testing.assert_array_equal(whole.bonds.distance[bonds], graph.distance)
        np.testing.assert_array_equal(whole.line_into[bond : bonds.stop + 1] - line, graph.line_into)
        np.testing.assert_array_equal(whole.line_source[lines] - bond, graph.line_source)
        np.testing.assert_array_equal(
            whole.cosine[whole.angle_kind[lines]], classes.cosine[classes.angle_kind]
        )
        for level in range(3):
            found = whole.example[level][whole.kind[level][bonds]] - bond
            np.testing.assert_array_equal(found, classes.example[level][classes.kind[level]])
        bond, line = bonds.stop, lines.stop
    assert (bond, line) == (len(whole.bonds.source), len(whole.line_source))


def test_bonds_alone_collate_like_graphs() -> None:
    alone = collate_bonds([find_bonds(crystal) for crystal in CRYSTALS])
    whole = collate([(graph, bond_classes(graph, 0)) for graph in graphs(CRYSTALS)]).bonds
    np.testing.assert_array_equal(alone.into, whole.into)
    np.testing.assert_array_equal(alone.source, whole.source)
    np.testing.assert_array_equal(alone.distance.astype(np.float32), whole.distance)


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 60))
def test_packing_uses_every_structure_once_within_the_limit(costs: list[int], limit: int) -> None:
    array = np.array(costs, dtype=np.int64)
    batches = pack(array, limit)
    assert sorted(np.concatenate([[], *batches]).tolist()) == list(range(len(costs)))
    assert all(len(batch) == 1 or array[batch].sum() <= limit for batch in batches)
    assert all(len(batch) for batch in batches)
    # no two neighbouring batches would have fitted in one
    sums = [int(array[batch].sum()) for batch in batches]
    assert all(a + b > limit for a, b in pairwise(sums))


def test_pooling_is_a_mean_over_atoms() -> None:
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    np.testing.assert_allclose(pool(x, np.array([0, 1, 6])), [x[0], x[1:].mean(axis=0)])


def test_near_gaussians_are_all_that_matter() -> None:
    basis = RadialBasis(np.linspace(0, 8, 64, dtype=np.float32))
    values = np.concatenate([np.linspace(0.3, 10.0, 500), [0.0, 8.0]])
    first, near = basis.near(values)
    rebuilt = np.zeros((len(values), 64), dtype=np.float32)
    rebuilt[np.arange(len(values))[:, None], first[:, None] + np.arange(near.shape[1])] = near
    np.testing.assert_allclose(rebuilt, basis(values), atol=1e-5)
    few = RadialBasis(np.linspace(0, 8, 5, dtype=np.float32))
    np.testing.assert_allclose(few.near(values)[1], few(values), atol=1e-5)
