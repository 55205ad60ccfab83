"""Checkpoints with random weights in the published layout, and random crystals to try them on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from goldilocks_batch.networks.alignn.architecture import Architecture, read_networks
from goldilocks_batch.networks.checkpoint import Checkpoint, read_element_table
from goldilocks_batch.structures.crystal import Crystal

__all__ = [
    "alignn_arguments",
    "alignn_networks",
    "alignn_state",
    "cgcnn_arguments",
    "cgcnn_state",
    "random_crystal",
    "write_checkpoint",
    "write_elements",
]

State = dict[str, torch.Tensor]


def alignn_arguments(**changes: Any) -> dict[str, Any]:
    """Constructor arguments of a small ALIGNN."""
    arguments = {
        "name": "alignn",
        "atom_input_features": 5,
        "hidden_features": 16,
        "radius": 10.0,
        "edge_input_features": 40,
        "triplet_input_features": 20,
        "alignn_layers": 2,
        "gcn_layers": 1,
        "classification": False,
        "robust_regression": False,
        "quantile_regression": True,
        "num_quantiles": 1,
        "additional_compound_features": True,
        "add_feat_len": 231,
    }
    return arguments | changes


def alignn_state(arguments: dict[str, Any], seed: int) -> State:
    """Random weights for these arguments, keys with their prefix."""
    width, features = arguments["hidden_features"], arguments["add_feat_len"]
    make = _Maker(seed)
    inputs = {
        "atom": arguments["atom_input_features"],
        "edge": arguments["edge_input_features"],
        "angle": arguments["triplet_input_features"],
    }
    for name, length in inputs.items():
        make.linear(f"{name}_embedding.0", width, length)
        make.norm(f"{name}_embedding.1", width)
    make.state["model.edge_rbf.centers"] = torch.linspace(0, arguments["radius"], inputs["edge"])
    make.state["model.angle_rbf.centers"] = torch.linspace(-1, 1, inputs["angle"])
    layers = [f"gcn_layers.{k}" for k in range(arguments["gcn_layers"])]
    for k in range(arguments["alignn_layers"]):
        layers += [f"alignn_layers.{k}.{part}" for part in ("node_update", "edge_update")]
    for layer in layers:
        for name in ("src_gate", "dst_gate", "edge_gate", "src_update", "dst_update"):
            make.linear(f"{layer}.{name}", width, width)
        make.norm(f"{layer}.norm", width)
    make.norm("add_feat_norm", features)
    make.linear("proj_add_feat", width, features)
    make.linear("conv_to_fc", width, 2 * width)
    make.linear("output_layer", 1, width)
    return make.state


def cgcnn_arguments() -> dict[str, Any]:
    """Constructor arguments of a small metallicity network; the width is fixed by the feature block."""
    return {
        "name": "cgcnn",
        "n_conv": 2,
        "h_fea_len": 8,
        "orig_atom_fea_len": 5,
        "edge_feat_dim": 64,
        "atom_fea_len": 64,
        "n_h": 2,
        "num_classes": 2,
    }


def cgcnn_state(arguments: dict[str, Any], seed: int) -> State:
    """Random weights for these arguments, keys with their prefix."""
    width, bins = arguments["atom_fea_len"], arguments["edge_feat_dim"]
    hidden = arguments["h_fea_len"]
    make = _Maker(seed)
    make.linear("embedding", width, arguments["orig_atom_fea_len"])
    make.state["model.rbf.centers"] = torch.linspace(0, 8, bins)
    for k in range(arguments["n_conv"]):
        make.linear(f"convs.{k}.lin_f", width, 2 * width + bins)
        make.linear(f"convs.{k}.lin_s", width, 2 * width + bins)
        make.norm(f"convs.{k}.batch_norm", width)
        make.state[f"model.convs.{k}.batch_norm.running_mean"] = make.normal(width)
        make.state[f"model.convs.{k}.batch_norm.running_var"] = 10 * make.normal(width) ** 2 + 1
        make.state[f"model.convs.{k}.batch_norm.num_batches_tracked"] = torch.tensor(7)
    make.linear("conv_to_fc", hidden, width)
    make.linear("fcs.0", hidden, hidden)
    make.linear("fc_out", arguments["num_classes"], hidden)
    return make.state


class _Maker:
    def __init__(self, seed: int) -> None:
        self._random = torch.Generator().manual_seed(seed)
        self.state: State = {}

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self._random)

    def linear(self, name: str, outputs: int, inputs: int) -> None:
        self.state[f"model.{name}.weight"] = self.normal(outputs, inputs) / inputs**0.5
        self.state[f"model.{name}.bias"] = 0.3 * self.normal(outputs)

    def norm(self, name: str, width: int) -> None:
        self.state[f"model.{name}.weight"] = 1 + 0.3 * self.normal(width)
        self.state[f"model.{name}.bias"] = 0.3 * self.normal(width)


def write_checkpoint(path: Path, arguments: dict[str, Any], state: State, quantile: float = 0.5) -> Path:
    """Write a checkpoint as Lightning does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {"model": arguments, "loss": {"name": "QuantileLoss", "quantile": quantile}}
    torch.save({"epoch": 1, "state_dict": state, "hyper_parameters": settings}, path)
    return path


def write_elements(path: Path, length: int = 5, numbers: range = range(1, 90)) -> Path:
    """Write a table of elements with random numbers."""
    rng = np.random.default_rng(1)
    path.write_text(json.dumps({str(z): rng.normal(size=length).tolist() for z in numbers}))
    return path


def random_crystal(seed: int, n_atoms: int = 6, density: float = 0.06) -> Crystal:
    """A crystal without symmetry: a skewed cell of random atoms, no two closer than 1 Å; density in 1/Å³."""
    rng = np.random.default_rng(seed)
    lattice = np.eye(3) + 0.25 * rng.normal(size=(3, 3))
    lattice *= (n_atoms / density / abs(np.linalg.det(lattice))) ** (1 / 3)
    if np.linalg.det(lattice) < 0:
        lattice[0] *= -1
    frac: list[NDArray[np.float64]] = []
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    while len(frac) < n_atoms:
        new = rng.uniform(-0.5, 1.5, size=3)
        apart = [np.linalg.norm((new - old + images) @ lattice, axis=1).min() for old in frac]
        # a periodic cell in a larger box would need more images; these cells are compact enough
        if min(apart, default=9.0) > 1.0:
            frac.append(new)
    return Crystal(lattice, np.array(frac), rng.integers(1, 80, size=n_atoms))


def alignn_networks(
    folder: Path, count: int = 2, **changes: Any
) -> tuple[Architecture, list[Checkpoint], NDArray[np.float32]]:
    """Some networks with random weights, written to a folder and read, and a table of elements."""
    arguments = alignn_arguments(**changes)
    paths = [
        write_checkpoint(folder / f"{seed}.ckpt", arguments, alignn_state(arguments, seed))
        for seed in range(count)
    ]
    architecture, (checkpoints,) = read_networks([paths])
    elements = read_element_table(write_elements(folder / "elements.json", arguments["atom_input_features"]))
    return architecture, checkpoints, elements
