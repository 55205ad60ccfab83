"""ALIGNN as a PyTorch Geometric module, whose parameters bear the names of the published checkpoints.

Network: Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021), in the form that the Goldilocks project
trained and published: line-graph edges by site, features of the whole structure beside the graph, one number
out.

    network = Alignn.from_checkpoint("quantile50_0.ckpt")
    graph, line_graph = goldilocks_batch.networks.to_pyg(cell, elements=table)
    kdist = network(graph, line_graph, features)  # (1,), 1/Å

Training follows the gradients of this module, and its state dict is what a checkpoint holds.  Inference at
scale computes the same function from the same weights without it, in
:mod:`~goldilocks_batch.networks.alignn.cpu` and :mod:`~goldilocks_batch.networks.alignn.gpu`; the tests hold
both to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing

from goldilocks_batch.networks.alignn._layers import linear, norm
from goldilocks_batch.networks.alignn.architecture import RADIUS, Architecture
from goldilocks_batch.networks.checkpoint import Checkpoint, check_keys, constructor_number, read_checkpoint

__all__ = ["Alignn", "AlignnLayer", "EdgeGatedConvolution", "Gaussians"]


class Gaussians(nn.Module):
    """``exp(-((v - c) / (c1 - c0))²)`` for evenly spaced centres c.

    Args:
        low: the first centre, in the unit of the values.
        high: the last.
        bins: number of centres.
    """

    centers: Tensor

    def __init__(self, low: float, high: float, bins: int) -> None:
        super().__init__()
        self.register_buffer("centers", torch.linspace(low, high, bins))

    def forward(self, values: Tensor) -> Tensor:
        """``(n, bins)`` of values ``(n,)``."""
        delta = (values[:, None] - self.centers) / (self.centers[1] - self.centers[0])
        return torch.exp(-delta.square())


class EdgeGatedConvolution(MessagePassing):
    """A gated sum of what the neighbours send, added to the node's own features.

    For an edge from source s to target t with feature e, ``gate = SiLU(src_gate(x_t) + dst_gate(x_s) +
    edge_gate(e))`` and ``message = gate · dst_update(x_s)``.  The target becomes
    ``x_t + SiLU(norm(src_update(x_t) + sum of the messages))``.

    Args:
        width: of all features.
        networks: how many lie side by side; None for one, without an axis of its own.
    """

    def __init__(self, width: int, networks: int | None = None) -> None:
        super().__init__(aggr="sum", node_dim=0)
        self.src_gate = linear(width, width, networks)
        self.dst_gate = linear(width, width, networks)
        self.edge_gate = linear(width, width, networks)
        self.src_update = linear(width, width, networks)
        self.dst_update = linear(width, width, networks)
        self.norm = norm(width, networks)

    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        edge_index: Tensor,
        edge_attr: Tensor,
        edge_kind: Tensor | None = None,
    ) -> Tensor:
        """Features of the targets afterwards, ``(n_targets, [networks,] width)``.

        Linear maps act on nodes and on kinds of edges, before their rows are gathered along the edges: there
        are fewer of them, and the result is the same.

        Args:
            x: ``(n, [networks,] width)`` features of the nodes, or those of the sources and of the targets.
            edge_index: ``(2, n_edges)`` int64, row of the source and row of the target of each edge.
            edge_attr: ``(n_edges, [networks,] width)`` features of the edges; with `edge_kind`,
                ``(n_kinds, [networks,] width)``.
            edge_kind: ``(n_edges,)`` int64, the row of `edge_attr` that is an edge's, for edges that share
                their features with others.
        """
        source, target = x if isinstance(x, tuple) else (x, x)
        gate = self.edge_gate(edge_attr)
        received = self.propagate(
            edge_index,
            own=self.src_gate(target),
            other=self.dst_gate(source),
            sent=self.dst_update(source),
            edge=gate if edge_kind is None else gate.index_select(0, edge_kind),
        )
        return target + nn.functional.silu(self.norm(self.src_update(target) + received))

    def message(self, own_i: Tensor, other_j: Tensor, sent_j: Tensor, edge: Tensor) -> Tensor:
        """What each edge carries, ``(n_edges, [networks,] width)``."""
        # in place: rows that were gathered for this edge are nobody else's, and there are many
        gate = nn.functional.silu(own_i.add_(other_j).add_(edge), inplace=not own_i.requires_grad)
        return gate * sent_j

    def aggregate(self, inputs: Tensor, index: Tensor, dim_size: int) -> Tensor:
        """Sums of messages by target, each in the order of its edges whatever the threads."""
        total = inputs.new_zeros((dim_size, *inputs.shape[1:]), dtype=torch.float32)
        return total.index_add(0, index, inputs.float())


class AlignnLayer(nn.Module):
    """Two convolutions: bonds learn from the angles at their ends, then atoms from the bonds.

    Args:
        width: of all features.
        networks: how many lie side by side.
    """

    def __init__(self, width: int, networks: int | None = None) -> None:
        super().__init__()
        self.node_update = EdgeGatedConvolution(width, networks)
        self.edge_update = EdgeGatedConvolution(width, networks)

    def forward(
        self, x: Tensor, y: Tensor, edge_index: Tensor, line_index: Tensor, angle: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Features of the atoms and of the bonds afterwards, of the shapes of `x` and `y`.

        Args:
            x: ``(n_atoms, [networks,] width)``.
            y: ``(n_bonds, [networks,] width)``.
            edge_index: ``(2, n_bonds)`` int64, the atoms of each bond.
            line_index: ``(2, n_pairs)`` int64, the bonds of each pair.
            angle: ``(n_pairs, [networks,] width)``, the same in every layer.
        """
        bonds = self.edge_update(y, line_index, angle)
        return self.node_update(x, edge_index, bonds), bonds


class Alignn(nn.Module):
    """A network that predicts one number of each structure, or several of one shape side by side.

    Args:
        architecture: its shape.
        networks: how many lie side by side.  Every parameter then has a first axis of this length, features
            have one after their rows, and ``[networks,]`` below is an axis; None for one network, without.
    """

    def __init__(self, architecture: Architecture, networks: int | None = None) -> None:
        super().__init__()
        width = architecture.hidden

        def embedding(inputs: int) -> nn.Sequential:
            return nn.Sequential(linear(inputs, width, networks), norm(width, networks), nn.SiLU())

        self.architecture = architecture
        self.networks = networks
        self.atom_embedding = embedding(architecture.atom_inputs)
        self.edge_rbf = Gaussians(0.0, RADIUS, architecture.bond_bins)
        self.edge_embedding = embedding(architecture.bond_bins)
        self.angle_rbf = Gaussians(-1.0, 1.0, architecture.angle_bins)
        self.angle_embedding = embedding(architecture.angle_bins)
        self.alignn_layers = nn.ModuleList(
            AlignnLayer(width, networks) for _ in range(architecture.alignn_layers)
        )
        self.gcn_layers = nn.ModuleList(
            EdgeGatedConvolution(width, networks) for _ in range(architecture.gcn_layers)
        )
        self.add_feat_norm = norm(architecture.additional, networks)
        self.proj_add_feat = linear(architecture.additional, width, networks)
        self.conv_to_fc = linear(2 * width, width, networks)
        self.output_layer = linear(width, 1, networks)

    @classmethod
    def from_checkpoint(cls, path: str | Path) -> Self:
        """One network with the weights of a published or trained checkpoint; no code in the file is run.

        Args:
            path: the ``.ckpt`` file.

        Raises:
            ModelError: the file is missing, or is no checkpoint of such a network.
        """
        checkpoint = read_checkpoint(Path(path))
        architecture = Architecture.of(checkpoint, constructor_number(checkpoint, "add_feat_len"))
        check_keys(checkpoint, architecture.shapes())
        network = cls(architecture)
        network.load_state_dict({key: torch.from_numpy(array) for key, array in checkpoint.weights.items()})
        return network.eval()

    @classmethod
    def side_by_side(cls, architecture: Architecture, checkpoints: Sequence[Checkpoint]) -> Self:
        """The networks of some checkpoints, which have been read and held to `architecture`."""
        network = cls(architecture, len(checkpoints))
        state = {
            key: checkpoints[0].weights[key]
            if key.endswith("_rbf.centers")
            else np.stack([checkpoint.weights[key] for checkpoint in checkpoints])
            for key in architecture.shapes()
        }
        network.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
        return network.eval()

    def forward(self, graph: Data, line_graph: Data, additional: Tensor) -> Tensor:
        """Outputs of some structures, ``(n_structures, [networks])``, 1/Å.

        A structure without a line graph skips the ALIGNN layers, as in the published application, whatever
        else is in the batch.

        Args:
            graph: atoms and bonds with `x`, see :func:`~goldilocks_batch.networks.to_pyg`; or a batch.
            line_graph: its line graph; or the batch of the line graphs, in the same order.
            additional: ``(n_structures, k)`` float32, features beside the graph.
        """
        structure = graph.batch
        if structure is None:
            structure = graph.edge_index.new_zeros(graph.num_nodes)
        of_bond = structure[graph.edge_index[0]]
        skips = torch.ones(len(additional), dtype=torch.bool, device=structure.device)
        skips[of_bond[line_graph.edge_index[0]]] = False
        x = self.atom_embedding(graph.x)
        y = self.edge_embedding(self.edge_rbf(graph.edge_attr))
        angle = self.angle_embedding(self.angle_rbf(line_graph.edge_attr))
        for layer in self.alignn_layers:
            atoms, bonds = layer(x, y, graph.edge_index, line_graph.edge_index, angle)
            x, y = _kept(skips[structure], x, atoms), _kept(skips[of_bond], y, bonds)
        for layer in self.gcn_layers:
            x = layer(x, graph.edge_index, y)
        return self.read_out(x, structure, additional)

    def read_out(self, x: Tensor, structure: Tensor, additional: Tensor) -> Tensor:
        """Outputs from the atoms' last features, ``(n_structures, [networks])``, 1/Å.

        Args:
            x: ``(n_atoms, [networks,] width)``.
            structure: ``(n_atoms,)`` int64, the structure of each atom.
            additional: ``(n_structures, k)`` float32, features beside the graph.
        """
        total = x.new_zeros((len(additional), *x.shape[1:])).index_add(0, structure, x)
        sizes = additional.new_zeros(len(additional)).index_add(0, structure, additional.new_ones(len(x)))
        pooled = total / sizes.view(-1, *[1] * (x.ndim - 1))
        projected = nn.functional.silu(self.proj_add_feat(self.add_feat_norm(additional)))
        hidden = nn.functional.silu(self.conv_to_fc(torch.cat([pooled, projected], dim=-1)))
        output: Tensor = self.output_layer(hidden)
        return output[..., 0]


def _kept(which: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """`before` in some rows ``(n,)``, `after` in all others."""
    return torch.where(which.view(-1, *[1] * (after.ndim - 1)), before, after)
