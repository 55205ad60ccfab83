"""The PyTorch Geometric module: the formulas, the checkpoints' names, and what else is held to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_geometric.data import Batch, Data

from goldilocks_batch.core.errors import ModelError
from goldilocks_batch.networks import to_pyg
from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.alignn.cpu import CpuEnsemble
from goldilocks_batch.networks.alignn.module import Alignn
from goldilocks_batch.networks.alignn.stacked import TorchEnsemble
from goldilocks_batch.networks.graphs.bonds import crystal_graph
from goldilocks_batch.networks.graphs.classes import bond_classes
from goldilocks_batch.networks.graphs.collate import collate
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.training.alignn_files import checkpoint_bytes, initial_weights
from tests.random_networks import alignn_networks, random_crystal
from tests.written_out import WrittenOut

ROCK_SALT = Crystal(
    2.82 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]),
    np.array([11, 17]),
)
ONE_ATOM = Crystal(3.0 * np.eye(3), np.zeros((1, 3)), np.array([84]))
CRYSTALS = [random_crystal(0, n_atoms=4), ONE_ATOM, ROCK_SALT, random_crystal(1, n_atoms=2)]
SHAPES: list[dict[str, Any]] = [
    {},
    {"hidden_features": 24, "alignn_layers": 1, "gcn_layers": 2},
    {"alignn_layers": 0},
    {"gcn_layers": 0, "edge_input_features": 12, "triplet_input_features": 7},
]


def batch_of(crystals: list[Crystal], table: NDArray[np.float32]) -> tuple[Data, Data]:
    graphs, line_graphs = zip(*(to_pyg(crystal, elements=table) for crystal in crystals), strict=True)
    return Batch.from_data_list(list(graphs)), Batch.from_data_list(list(line_graphs))


def features_of(crystals: list[Crystal]) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(len(crystals), 231)).astype(np.float32)


@pytest.mark.parametrize("changes", SHAPES)
def test_a_batch_agrees_with_the_formulas(tmp_path: Path, changes: dict[str, Any]) -> None:
    architecture, checkpoints, table = alignn_networks(tmp_path, **changes)
    features = features_of(CRYSTALS)
    graphs = batch_of(CRYSTALS, table)
    together = Alignn.side_by_side(architecture, checkpoints)(*graphs, torch.from_numpy(features))
    assert together.shape == (len(CRYSTALS), len(checkpoints))
    for k, checkpoint in enumerate(checkpoints):
        network = Alignn.from_checkpoint(checkpoint.path)
        formulas = WrittenOut(checkpoint, table)
        wanted = [formulas(c, row.astype(np.float64)) for c, row in zip(CRYSTALS, features, strict=True)]
        with torch.no_grad():
            found = network(*graphs, torch.from_numpy(features))
            alone = [
                network(*to_pyg(crystal, elements=table), torch.from_numpy(row[None]))
                for crystal, row in zip(CRYSTALS, features, strict=True)
            ]
        assert found.shape == (len(CRYSTALS),)
        np.testing.assert_allclose(found, wanted, atol=3e-6)
        np.testing.assert_allclose(np.concatenate(alone), wanted, atol=3e-6)
        np.testing.assert_allclose(together[:, k].detach(), wanted, atol=3e-6)


def test_the_fast_paths_give_its_numbers(tmp_path: Path) -> None:
    architecture, checkpoints, table = alignn_networks(tmp_path, count=3)
    module = Alignn.side_by_side(architecture, checkpoints)
    lined, alone = [CRYSTALS[0], *CRYSTALS[2:]], [ONE_ATOM]
    for crystals, skip in ((lined, False), (alone, True)):
        features = features_of(crystals)
        with torch.no_grad():
            wanted = module(*batch_of(crystals, table), torch.from_numpy(features)).numpy()
        graphs = [crystal_graph(crystal) for crystal in crystals]
        depth = 0 if skip else architecture.alignn_layers
        batch = collate([(graph, bond_classes(graph, depth)) for graph in graphs])
        for ensemble in (
            CpuEnsemble(architecture, checkpoints, table),
            TorchEnsemble(architecture, checkpoints, table, "cpu"),
        ):
            found = ensemble(batch, features.astype(np.float64), skip_alignn=skip)
            np.testing.assert_allclose(found, wanted, atol=3e-6)


def test_training_follows_its_gradients(tmp_path: Path) -> None:
    """Gradients on compact batches of several networks are those of each network on whole graphs."""
    architecture, checkpoints, table = alignn_networks(tmp_path)
    crystals = [ROCK_SALT, random_crystal(1, n_atoms=3)]
    features = features_of(crystals)
    ensemble = TorchEnsemble(architecture, checkpoints, table, "cpu")
    graphs = [crystal_graph(crystal) for crystal in crystals]
    batch = collate([(graph, bond_classes(graph, architecture.alignn_layers)) for graph in graphs])
    weights = torch.tensor([[1.0], [-0.3]])
    outputs = ensemble.forward(batch, features.astype(np.float64))
    (weights * outputs).sum().backward()  # type: ignore[no-untyped-call]
    stacked = ensemble.parameters()
    for k, checkpoint in enumerate(checkpoints):
        network = Alignn.from_checkpoint(checkpoint.path)
        outputs = network(*batch_of(crystals, table), torch.from_numpy(features))
        (weights[:, 0] * outputs).sum().backward()
        for key, parameter in network.named_parameters():
            found = stacked[key].grad
            assert found is not None
            assert parameter.grad is not None
            scale = float(parameter.grad.abs().max())
            np.testing.assert_allclose(found[k], parameter.grad, atol=1e-5 * max(scale, 1e-3), err_msg=key)


@pytest.mark.parametrize("networks", [None, 3])
def test_parameters_have_the_names_and_shapes_of_checkpoints(networks: int | None) -> None:
    architecture = Architecture(5, 16, 2, 3, 40, 20, 231)
    state = Alignn(architecture, networks).state_dict()
    one = {
        key: tuple(value.shape) if networks is None or "centers" in key else tuple(value.shape[1:])
        for key, value in state.items()
    }
    assert one == architecture.shapes()
    if networks is not None:
        assert {value.shape[0] for key, value in state.items() if "centers" not in key} == {networks}


def test_a_trained_checkpoint_loads(tmp_path: Path) -> None:
    architecture = Architecture(5, 16, 1, 1, 40, 20, 7)
    path = tmp_path / "quantile50_0.ckpt"
    weights = initial_weights(architecture, 0.3, 1)
    path.write_bytes(checkpoint_bytes(weights, architecture, 0.5, 4))
    network = Alignn.from_checkpoint(path)
    assert network.architecture == architecture
    assert not network.training
    for key, value in network.state_dict().items():
        np.testing.assert_array_equal(value, weights[key])


def test_fine_tuning_it_is_plain_torch(tmp_path: Path) -> None:
    _, checkpoints, table = alignn_networks(tmp_path, count=1)
    network = Alignn.from_checkpoint(checkpoints[0].path).train()
    graphs, features = batch_of(CRYSTALS, table), torch.from_numpy(features_of(CRYSTALS))
    wanted = torch.tensor([0.2, 0.5, 0.3, 0.4])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (network(*graphs, features) - wanted).abs().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint at"):
        Alignn.from_checkpoint(tmp_path / "missing.ckpt")
    path = tmp_path / "a.ckpt"
    settings = {"model": Architecture(5, 16, 1, 1, 40, 20, 7).arguments()}
    torch.save({"state_dict": {"model.x": torch.zeros(2)}, "hyper_parameters": settings}, path)
    with pytest.raises(ModelError, match="does not fit its constructor arguments"):
        Alignn.from_checkpoint(path)
