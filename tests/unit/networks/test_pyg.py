"""Structures as PyTorch Geometric data."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from pymatgen.core.structure import Structure
from torch_geometric.data import Batch, Data

from goldilocks_batch.core.errors import ConfigError, ErrorCode, FeatureError, StructureError
from goldilocks_batch.networks import to_pyg
from goldilocks_batch.networks.graphs.neighbours import find_bonds
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from tests.random_networks import random_crystal

CRYSTAL = random_crystal(3, n_atoms=5)
TABLE = np.random.default_rng(0).normal(size=(119, 6)).astype(np.float32)


def atoms_of(crystal: Crystal) -> Atoms:
    return Atoms(
        numbers=crystal.numbers, scaled_positions=crystal.frac, cell=crystal.lattice, pbc=crystal.pbc
    )


def test_attributes_and_their_shapes() -> None:
    graph, line_graph = to_pyg(CRYSTAL, elements=TABLE)
    bonds = find_bonds(CRYSTAL)
    assert graph.validate()
    assert line_graph.validate()
    assert graph.num_nodes == 5
    assert graph.z.tolist() == CRYSTAL.numbers.tolist()
    assert graph.pos.shape == (5, 3)
    assert graph.cell.shape == (1, 3, 3)
    np.testing.assert_array_equal(graph.edge_index, np.stack([bonds.source, bonds.target]))
    np.testing.assert_array_equal(graph.edge_attr, bonds.distance.astype(np.float32))
    np.testing.assert_array_equal(graph.x, TABLE[CRYSTAL.numbers])
    assert line_graph.num_nodes == graph.num_edges == len(bonds)
    for data in (graph, line_graph):
        assert data.edge_index.dtype == torch.int64
        assert data.edge_attr.dtype == torch.float32
    # a vector leads from an atom to an image of its neighbour
    step = graph.pos[graph.edge_index[0]] + graph.edge_vec - graph.pos[graph.edge_index[1]]
    images = step.numpy() @ np.linalg.inv(CRYSTAL.lattice)
    np.testing.assert_allclose(images, images.round(), atol=1e-4)
    np.testing.assert_allclose(graph.edge_vec.norm(dim=1), graph.edge_attr, rtol=1e-6)


def test_line_graph_is_every_pair_that_shares_an_atom() -> None:
    graph, line_graph = to_pyg(CRYSTAL)
    (source, target), vectors = graph.edge_index.numpy(), graph.edge_vec.numpy()
    pairs = [
        (i, j)
        for i in range(len(source))
        for j in range(len(source))
        if target[i] == source[j] and source[i] != target[j]
    ]
    assert line_graph.edge_index.T.tolist() == [list(pair) for pair in pairs]
    cosines = [
        -vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j]) for i, j in pairs
    ]
    np.testing.assert_allclose(line_graph.edge_attr, cosines, atol=1e-5)
    assert "x" not in graph


@pytest.mark.parametrize("convert", [Crystal.to_pymatgen, atoms_of], ids=["pymatgen", "ase"])
def test_structures_of_other_libraries(convert: Any) -> None:
    for found, wanted in zip(to_pyg(convert(CRYSTAL)), to_pyg(CRYSTAL), strict=True):
        np.testing.assert_array_equal(found.edge_index, wanted.edge_index)
        # rounding decides which of two images at one distance comes first
        np.testing.assert_allclose(np.sort(found.edge_attr), np.sort(wanted.edge_attr), atol=1e-5)


def test_graphs_and_line_graphs_batch_alike() -> None:
    parts = [to_pyg(crystal) for crystal in (CRYSTAL, random_crystal(1, n_atoms=2))]
    graphs, lines = (Batch.from_data_list([part[k] for part in parts]) for k in (0, 1))
    assert lines.num_nodes == graphs.num_edges
    (first, _), (_, second_lines) = parts[0], parts[1]
    ours: Data = lines.get_example(1)
    np.testing.assert_array_equal(ours.edge_index, second_lines.edge_index)
    later = lines.edge_index[:, -second_lines.num_edges :]
    np.testing.assert_array_equal(later, second_lines.edge_index + first.num_edges)


def test_a_cell_of_one_atom_has_no_pairs() -> None:
    graph, line_graph = to_pyg(Crystal(3.0 * np.eye(3), np.zeros((1, 3)), np.array([84])))
    assert graph.num_edges == line_graph.num_nodes == 12
    assert line_graph.edge_index.shape == (2, 0)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ConfigError, match="expected a pymatgen Structure, ASE Atoms or a Crystal"):
        to_pyg("POSCAR")
    disordered = Structure(4.0 * np.eye(3), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    with pytest.raises(StructureError) as refusal:
        to_pyg(disordered)
    assert refusal.value.code == ErrorCode.PARTIAL_OCCUPANCY
    gaps = TABLE.copy()
    gaps[CRYSTAL.numbers[0]] = np.nan
    with pytest.raises(FeatureError, match=rf"found {SYMBOLS[CRYSTAL.numbers[0]]}\b"):
        to_pyg(CRYSTAL, elements=gaps)


@pytest.mark.parametrize("missing", ["torch", "torch_geometric"])
def test_missing_libraries_are_named(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import numpy as np\n"
        "from goldilocks_batch.networks import to_pyg\n"
        "from goldilocks_batch.structures.crystal import Crystal\n"
        "to_pyg(Crystal(4.0 * np.eye(3), np.zeros((1, 3)), np.array([29])))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ConfigError" in done.stderr
    assert "pip install torch torch-geometric" in done.stderr
