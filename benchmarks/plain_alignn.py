"""ALIGNN the plain way: pymatgen's neighbours, a line graph in Python loops, PyTorch Geometric's forward.

One structure and one checkpoint at a time, networks built once, float32.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from plain import PlainFeaturizer  # type: ignore[import-not-found]  # a script beside this one
from pymatgen.core.structure import Structure
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

__all__ = ["PlainAlignn"]


class _EdgeGated(MessagePassing):  # type: ignore[misc]
    """Edge-gated convolution."""

    def __init__(self, width: int) -> None:
        super().__init__(aggr="add")
        self.src_gate, self.dst_gate, self.edge_gate = (nn.Linear(width, width) for _ in range(3))
        self.src_update, self.dst_update = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """``(n, width)`` updated nodes."""
        total: Tensor = self.src_update(x) + self.propagate(edge_index, x=x, edges=edges)
        return nn.functional.silu(self.norm(total)) + x

    def message(self, x_i: Tensor, x_j: Tensor, edges: Tensor) -> Tensor:
        """What goes along every edge."""
        gate = self.src_gate(x_i) + self.dst_gate(x_j) + self.edge_gate(edges)
        message: Tensor = nn.functional.silu(gate) * self.dst_update(x_j)
        return message


class _Gaussians(nn.Module):
    def __init__(self, low: float, high: float, bins: int) -> None:
        super().__init__()
        self.centers: Tensor
        self.register_buffer("centers", torch.linspace(low, high, bins))
        self.gamma = float(1 / (self.centers[1] - self.centers[0]) ** 2)

    def forward(self, values: Tensor) -> Tensor:
        return torch.exp(-self.gamma * (values[:, None] - self.centers) ** 2)


class _Network(nn.Module):
    """One checkpoint; attribute names are its keys."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__()
        stored = torch.load(checkpoint, weights_only=True, map_location="cpu")
        a = stored["hyper_parameters"]["model"]
        width = a["hidden_features"]

        def embedding(inputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.SiLU())

        self.atom_embedding = embedding(a["atom_input_features"])
        self.edge_rbf = _Gaussians(0.0, a["radius"], a["edge_input_features"])
        self.edge_embedding = embedding(a["edge_input_features"])
        self.angle_rbf = _Gaussians(-1.0, 1.0, a["triplet_input_features"])
        self.angle_embedding = embedding(a["triplet_input_features"])
        self.alignn_layers = nn.ModuleList(
            nn.ModuleDict({"node_update": _EdgeGated(width), "edge_update": _EdgeGated(width)})
            for _ in range(a["alignn_layers"])
        )
        self.gcn_layers = nn.ModuleList(_EdgeGated(width) for _ in range(a["gcn_layers"]))
        self.add_feat_norm = nn.LayerNorm(a["add_feat_len"])
        self.proj_add_feat = nn.Linear(a["add_feat_len"], width)
        self.conv_to_fc = nn.Linear(2 * width, width)
        self.output_layer = nn.Linear(width, 1)
        self.load_state_dict({k.removeprefix("model."): v for k, v in stored["state_dict"].items()})
        self.eval()

    def forward(
        self,
        atoms: Tensor,
        edge_index: Tensor,
        distance: Tensor,
        line_index: Tensor,
        cosine: Tensor,
        features: Tensor,
    ) -> Tensor:
        """One structure's output."""
        x = self.atom_embedding(atoms)
        y = self.edge_embedding(self.edge_rbf(distance))
        if len(cosine):
            angle = self.angle_embedding(self.angle_rbf(cosine))
            for layer in self.alignn_layers:
                y = layer["edge_update"](y, line_index, angle)  # type: ignore[index]
                x = layer["node_update"](x, edge_index, y)  # type: ignore[index]
        for layer in self.gcn_layers:
            x = layer(x, edge_index, y)
        projected = nn.functional.silu(self.proj_add_feat(self.add_feat_norm(features)))
        hidden = nn.functional.silu(self.conv_to_fc(torch.cat([x.mean(dim=0), projected])))
        output: Tensor = self.output_layer(hidden)
        return output


class PlainAlignn(PlainFeaturizer):  # type: ignore[misc]
    """Outputs of some checkpoints for a CIF text, with the time of every step in ``seconds``.

    Args:
        artifacts: a folder laid out ``<organisation>/<repository>/<file>``.
        checkpoints: the networks.
        elements: the table of elements.
    """

    def __init__(self, artifacts: Path, checkpoints: list[Path], elements: Path) -> None:
        super().__init__(artifacts)
        self._networks = [_Network(path) for path in checkpoints]
        self._elements = json.loads(elements.read_text())

    def __call__(self, cif: str) -> NDArray[np.float64]:
        """``(n_checkpoints,)`` outputs, 1/Å."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = self._timed("parse", lambda: Structure.from_str(cif, fmt="cif"))
            cell = self._timed("primitive", given.get_primitive_structure)
            blocks = [
                self._timed("composition", lambda: self._of_composition(cell)),
                self._timed("structure", lambda: self._of_structure(cell)),
                self._timed("lattice", lambda: self._of_lattice(cell)),
                self._timed("metallicity", lambda: self._of_metallicity(cell)),
            ]
        features = np.nan_to_num(np.concatenate(blocks), nan=0.0, posinf=0.0, neginf=0.0)
        graph = self._timed("graph", lambda: self._graph(cell))
        answers: NDArray[np.float64] = self._timed("networks", lambda: self._outputs(graph, features))
        return answers

    def _graph(self, cell: Structure) -> tuple[Tensor, ...]:
        pairs, distances, vectors = [], [], []
        for centre, shell in enumerate(cell.get_all_neighbors(10.0)):
            for neighbour in sorted(shell, key=lambda n: n.nn_distance)[:12]:
                pairs.append((centre, neighbour.index))
                distances.append(neighbour.nn_distance)
                vectors.append(neighbour.coords - cell[centre].coords)
        lines, cosines = [], []
        for i, (a, b) in enumerate(pairs):
            for j, (c, d) in enumerate(pairs):
                if b == c and a != d:
                    first, second = -vectors[i], vectors[j]
                    lengths = np.linalg.norm(first) * np.linalg.norm(second)
                    lines.append((i, j))
                    cosines.append(np.dot(first, second) / (lengths + 1e-8))
        return (
            torch.tensor([self._elements[str(site.specie.Z)] for site in cell], dtype=torch.float32),
            torch.tensor(pairs).T,
            torch.tensor(distances, dtype=torch.float32),
            torch.tensor(lines, dtype=torch.long).reshape(-1, 2).T,
            torch.tensor(np.array(cosines), dtype=torch.float32),
        )

    def _outputs(self, graph: tuple[Tensor, ...], features: NDArray[np.float64]) -> NDArray[np.float64]:
        with torch.inference_mode():
            row = torch.tensor(features, dtype=torch.float32)
            return np.array([float(network(*graph, row)) for network in self._networks])
