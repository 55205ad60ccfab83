"""ALIGNN by its formulas, one edge at a time in float64: what every implementation is held to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.graphs.neighbours import find_bonds
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["WrittenOut"]

Array = NDArray[np.float64]


class WrittenOut:
    """One network by its formulas."""

    def __init__(self, checkpoint: Checkpoint, elements: NDArray[np.float32]) -> None:
        self.w = {key: array.astype(np.float64) for key, array in checkpoint.weights.items()}
        self.arguments = checkpoint.arguments
        self.elements = elements.astype(np.float64)

    def __call__(self, crystal: Crystal, features: Array) -> float:
        bonds = find_bonds(crystal)
        x = [self.embedded("atom", self.elements[z]) for z in crystal.numbers]
        y = [self.embedded("edge", self.gaussians("edge", d)) for d in bonds.distance]
        edges = list(zip(bonds.source, bonds.target, strict=True))
        lines = {
            (f, e): self.embedded(
                "angle", self.gaussians("angle", self.cosine(-bonds.vector[f], bonds.vector[e]))
            )
            for f, (a, b) in enumerate(edges)
            for e, (c, d) in enumerate(edges)
            if b == c and a != d
        }
        if lines:
            for k in range(self.arguments["alignn_layers"]):
                line = [(f, e, angle) for (f, e), angle in lines.items()]
                y = self.convolved(f"alignn_layers.{k}.edge_update", y, line)
                atom = [(s, t, y[bond]) for bond, (s, t) in enumerate(edges)]
                x = self.convolved(f"alignn_layers.{k}.node_update", x, atom)
        for k in range(self.arguments["gcn_layers"]):
            atom = [(s, t, y[bond]) for bond, (s, t) in enumerate(edges)]
            x = self.convolved(f"gcn_layers.{k}", x, atom)
        projected = self.silu(self.linear("proj_add_feat", self.norm("add_feat_norm", features)))
        hidden = self.linear("conv_to_fc", np.concatenate([np.mean(x, axis=0), projected]))
        return float(self.linear("output_layer", self.silu(hidden))[0])

    def convolved(self, name: str, x: list[Array], edges: list[tuple[int, int, Array]]) -> list[Array]:
        out = [self.linear(f"{name}.src_update", row) for row in x]
        for source, target, edge in edges:
            gate = self.linear(f"{name}.src_gate", x[target]) + self.linear(f"{name}.dst_gate", x[source])
            gate = self.silu(gate + self.linear(f"{name}.edge_gate", edge))
            out[target] = out[target] + gate * self.linear(f"{name}.dst_update", x[source])
        return [self.silu(self.norm(f"{name}.norm", total)) + old for total, old in zip(out, x, strict=True)]

    def linear(self, name: str, x: Array) -> Array:
        return np.asarray(self.w[f"{name}.weight"] @ x + self.w[f"{name}.bias"])

    def norm(self, name: str, x: Array) -> Array:
        return np.asarray(
            (x - x.mean()) / np.sqrt(x.var() + 1e-5) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]
        )

    def embedded(self, name: str, x: Array) -> Array:
        return self.silu(self.norm(f"{name}_embedding.1", self.linear(f"{name}_embedding.0", x)))

    def gaussians(self, name: str, value: float) -> Array:
        centers = self.w[f"{name}_rbf.centers"]
        return np.asarray(np.exp(-((value - centers) ** 2) / (centers[1] - centers[0]) ** 2))

    @staticmethod
    def silu(x: Array) -> Array:
        return np.asarray(x / (1 + np.exp(-x)))

    @staticmethod
    def cosine(first: Array, second: Array) -> float:
        return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second) + 1e-8))
