"""The CPU kernels and the torch path against the formulas written out, one edge at a time in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goldilocks_batch.models.alignn_graphs import supercell
from goldilocks_batch.networks.alignn.cpu import CpuEnsemble
from goldilocks_batch.networks.alignn.stacked import TorchEnsemble
from goldilocks_batch.networks.graphs.bonds import crystal_graph
from goldilocks_batch.networks.graphs.classes import bond_classes
from goldilocks_batch.networks.graphs.collate import GraphBatch, collate
from goldilocks_batch.structures.crystal import Crystal
from tests.random_networks import alignn_networks, random_crystal
from tests.written_out import WrittenOut

Array = NDArray[np.float64]


def batch_of(crystals: list[Crystal], depth: int) -> GraphBatch:
    graphs = [crystal_graph(crystal) for crystal in crystals]
    return collate([(graph, bond_classes(graph, depth)) for graph in graphs])


def features_of(crystals: list[Crystal]) -> Array:
    rng = np.random.default_rng(3)
    return np.asarray(rng.normal(size=(len(crystals), 231)) * rng.choice([1, 1e3], size=(len(crystals), 231)))


ROCK_SALT = Crystal(
    2.82 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]),
    np.array([11, 17]),
)
ONE_ATOM = Crystal(3.0 * np.eye(3), np.zeros((1, 3)), np.array([84]))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_features": 24, "alignn_layers": 1, "gcn_layers": 2},
        {"alignn_layers": 0},
        {"gcn_layers": 0, "edge_input_features": 12, "triplet_input_features": 7},
    ],
)
def test_cpu_and_torch_agree_with_the_formulas(tmp_path: Path, changes: dict[str, Any]) -> None:
    architecture, checkpoints, elements = alignn_networks(tmp_path, **changes)
    crystals = [random_crystal(0, n_atoms=4), ROCK_SALT, random_crystal(1, n_atoms=2)]
    features = features_of(crystals)
    wanted = np.array(
        [
            [WrittenOut(c, elements)(crystal, row) for c in checkpoints]
            for crystal, row in zip(crystals, features, strict=True)
        ]
    )
    batch = batch_of(crystals, architecture.alignn_layers)
    cpu = CpuEnsemble(architecture, checkpoints, elements)(batch, features)
    torch = TorchEnsemble(architecture, checkpoints, elements, "cpu")(batch, features)
    assert cpu.dtype == torch.dtype == np.float32
    np.testing.assert_allclose(cpu, wanted, atol=3e-6)
    np.testing.assert_allclose(torch, wanted, atol=3e-6)


def test_skipping_the_alignn_layers(tmp_path: Path) -> None:
    architecture, checkpoints, elements = alignn_networks(tmp_path)
    features = features_of([ONE_ATOM])
    wanted = [[WrittenOut(c, elements)(ONE_ATOM, features[0]) for c in checkpoints]]
    batch = batch_of([ONE_ATOM], 0)
    for ensemble in (
        CpuEnsemble(architecture, checkpoints, elements),
        TorchEnsemble(architecture, checkpoints, elements, "cpu"),
    ):
        np.testing.assert_allclose(ensemble(batch, features, skip_alignn=True), wanted, atol=3e-6)


def test_steep_angle_functions_get_finer_tables(tmp_path: Path) -> None:
    # 120 Gaussians make functions of the cosine that 256 cubics do not follow
    architecture, checkpoints, elements = alignn_networks(tmp_path, count=1, triplet_input_features=120)
    crystals = [random_crystal(5, n_atoms=5)]
    features, batch = features_of(crystals), batch_of(crystals, 2)
    np.testing.assert_allclose(
        CpuEnsemble(architecture, checkpoints, elements)(batch, features),
        TorchEnsemble(architecture, checkpoints, elements, "cpu")(batch, features),
        atol=3e-6,
    )


def test_a_cell_of_several_hundred_atoms(tmp_path: Path) -> None:
    architecture, checkpoints, elements = alignn_networks(tmp_path)
    crystal = supercell(supercell(random_crystal(2, n_atoms=6)))
    assert len(crystal) == 384
    features, batch = features_of([crystal]), batch_of([crystal], 2)
    found = CpuEnsemble(architecture, checkpoints, elements)(batch, features)
    np.testing.assert_allclose(
        found, TorchEnsemble(architecture, checkpoints, elements, "cpu")(batch, features), atol=3e-6
    )


def test_kinds_change_nothing(tmp_path: Path) -> None:
    # every bond and angle its own kind gives the same answer
    architecture, checkpoints, elements = alignn_networks(tmp_path)
    ensemble = CpuEnsemble(architecture, checkpoints, elements)
    graph = crystal_graph(ROCK_SALT)
    kinds = bond_classes(graph, 2)
    each = np.arange(graph.n_bonds, dtype=np.int32)
    apart = type(kinds)(
        kind=np.stack([each] * 3),
        example=(each,) * 3,
        angle_kind=np.arange(graph.n_line_edges, dtype=np.int32),
        cosine=graph.cosine,
    )
    features = features_of([ROCK_SALT])
    np.testing.assert_allclose(
        ensemble(collate([(graph, kinds)]), features),
        ensemble(collate([(graph, apart)]), features),
        atol=2e-6,
    )
