"""An ALIGNN ensemble on the CPU: networks arranged for the fused kernels, one after the other on a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.networks.alignn._kernel import (
    LAYER_NORM_EPSILON,
    GraphArrays,
    LayerArrays,
    forward,
    normalise_rows,
)
from goldilocks_batch.networks.alignn.architecture import Architecture
from goldilocks_batch.networks.checkpoint import Checkpoint
from goldilocks_batch.networks.graphs.collate import GraphBatch, pool
from goldilocks_batch.networks.radial import RadialBasis
from goldilocks_batch.networks.threads import one_thread

__all__ = ["CpuEnsemble"]

#: Cells of an angle table: the smallest number tried, and the largest.
TABLE_CELLS = (256, 4096)
#: What a table may be off by, as a share of its largest entry; the outputs' tolerance is twenty times that.
TABLE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class _Network:
    """One network's weights, arranged for the kernels."""

    atoms: NDArray[np.float32]  # (119, width): embedded elements
    bond: tuple[NDArray[np.float32], ...]  # (bins, width), then (width,) three times: linear bias, norm
    layers: LayerArrays
    additional: tuple[NDArray[np.float32], NDArray[np.float32]]  # (231, width), (width,): norm folded in
    pooled: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]  # (w, w), (w, w), (w,)
    output: tuple[NDArray[np.float32], NDArray[np.float32]]  # (width, 1), (1,)


class CpuEnsemble:
    """Networks of one architecture, ready to run.

    Args:
        architecture: their shape.
        checkpoints: their weights.
        elements: ``(119, atom_inputs)`` numbers of each element, NaN where there are none.
    """

    def __init__(
        self, architecture: Architecture, checkpoints: Sequence[Checkpoint], elements: NDArray[np.float32]
    ) -> None:
        with one_thread():
            self._basis = RadialBasis(checkpoints[0].weights["edge_rbf.centers"])
            tables = _angle_tables(architecture, checkpoints)
            self._networks = [
                _arrange(architecture, checkpoint, table, elements)
                for checkpoint, table in zip(checkpoints, tables, strict=True)
            ]

    def __call__(
        self, batch: GraphBatch, additional: NDArray[np.float64], *, skip_alignn: bool = False
    ) -> NDArray[np.float32]:
        """Outputs of all networks.

        Args:
            batch: n structures.
            additional: ``(n, 231)`` features beside the graph.
            skip_alignn: leave out the ALIGNN layers, as is done for graphs without a line graph.

        Returns:
            ``(n, n_networks)``, 1/Å.
        """
        graph = GraphArrays(
            into=batch.bonds.into,
            source=batch.bonds.source,
            line_into=batch.line_into,
            line_source=batch.line_source,
            kind=batch.kind,
            example=batch.example,
            angle_kind=batch.angle_kind,
            cosine=batch.cosine,
        )
        gaussians = self._basis(batch.bonds.distance[batch.example[0]])
        features = _standardised(additional)
        out = np.empty((len(batch), len(self._networks)), dtype=np.float32)
        with one_thread():
            for place, network in enumerate(self._networks):
                x = network.atoms[batch.numbers]
                weight, bias, norm_weight, norm_bias = network.bond
                y = normalise_rows(gaussians @ weight + bias, norm_weight, norm_bias)
                forward(x, y, graph, network.layers, skip_alignn)
                out[:, place] = _head(network, pool(x, batch.bonds.first_atom), features)
        return out


def _silu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(
        over="ignore"
    ):  # exp(-x) is infinite for x below -88, and the quotient 0, as it should be
        return np.asarray(x / (np.float32(1.0) + np.exp(-x)), dtype=np.float32)


def _standardised(additional: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows less their mean over their standard deviation: a layer norm without its weights."""
    rows = additional.astype(np.float32).astype(np.float64)
    scale = np.sqrt(rows.var(axis=1, keepdims=True) + LAYER_NORM_EPSILON)
    standardised: NDArray[np.float32] = ((rows - rows.mean(axis=1, keepdims=True)) / scale).astype(np.float32)
    return standardised


def _head(
    network: _Network, pooled: NDArray[np.float32], features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``(n,)`` outputs from pooled atoms ``(n, width)`` and standardised features ``(n, 231)``."""
    weight, bias = network.additional
    from_atoms, from_features, hidden_bias = network.pooled
    hidden = _silu(pooled @ from_atoms + _silu(features @ weight + bias) @ from_features + hidden_bias)
    output_weight, output_bias = network.output
    output: NDArray[np.float32] = (hidden @ output_weight + output_bias)[:, 0]
    return output


def _embedded(
    rows: NDArray[np.floating], weights: dict[str, NDArray[np.float32]], name: str
) -> NDArray[np.float64]:
    """SiLU(LayerNorm(Linear(rows))) in float64, for what is made once."""
    linear = rows.astype(np.float64) @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"]
    scale = np.sqrt(linear.var(axis=1, keepdims=True) + LAYER_NORM_EPSILON)
    normal = (linear - linear.mean(axis=1, keepdims=True)) / scale
    normal = normal * weights[f"{name}.1.weight"] + weights[f"{name}.1.bias"]
    with np.errstate(over="ignore"):
        return np.asarray(normal / (1.0 + np.exp(-normal)), dtype=np.float64)


def _arrange(
    architecture: Architecture,
    checkpoint: Checkpoint,
    tables: NDArray[np.float32],
    elements: NDArray[np.float32],
) -> _Network:
    w = checkpoint.weights
    width = architecture.hidden
    lines, atoms = architecture.bond_layers(), architecture.atom_layers()
    # the table holds the angles' gate with its bias; the bonds' gate leaves its bias to the target
    line_bias = [_bias(w, layer, "src_gate", "dst_gate") for layer in lines]
    atom_bias = [_bias(w, layer, "src_gate", "dst_gate", "edge_gate") for layer in atoms]
    norm = w["add_feat_norm.weight"], w["add_feat_norm.bias"]
    projection = w["proj_add_feat.weight"]
    return _Network(
        atoms=_embedded(elements, w, "atom_embedding").astype(np.float32),
        bond=(
            w["edge_embedding.0.weight"].T.copy(),
            w["edge_embedding.0.bias"],
            w["edge_embedding.1.weight"],
            w["edge_embedding.1.bias"],
        ),
        layers=LayerArrays(
            bond_weight=_stacked([_projection(w, layer) for layer in lines], (width, 4 * width)),
            bond_bias=_stacked(line_bias, (4 * width,)),
            bond_norm=_stacked([_norm(w, layer) for layer in lines], (2, width)),
            tables=tables,
            atom_weight=_stacked([_projection(w, layer) for layer in atoms], (width, 4 * width)),
            atom_bias=_stacked(atom_bias, (4 * width,)),
            atom_norm=_stacked([_norm(w, layer) for layer in atoms], (2, width)),
            edge_weight=_stacked([w[f"{layer}.edge_gate.weight"].T for layer in atoms], (width, width)),
        ),
        additional=((projection * norm[0]).T.copy(), w["proj_add_feat.bias"] + projection @ norm[1]),
        pooled=(
            w["conv_to_fc.weight"][:, :width].T.copy(),
            w["conv_to_fc.weight"][:, width:].T.copy(),
            w["conv_to_fc.bias"],
        ),
        output=(w["output_layer.weight"].T.copy(), w["output_layer.bias"]),
    )


def _stacked(arrays: Sequence[NDArray[np.float32]], shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.stack(arrays)) if arrays else np.empty((0, *shape), dtype=np.float32)


def _projection(weights: dict[str, NDArray[np.float32]], layer: str) -> NDArray[np.float32]:
    names = ("src_gate", "dst_gate", "dst_update", "src_update")
    return np.concatenate([weights[f"{layer}.{name}.weight"] for name in names]).T.copy()


def _bias(weights: dict[str, NDArray[np.float32]], layer: str, *gates: str) -> NDArray[np.float32]:
    """Biases of the four projections, all of the gate's with the target."""
    gate = np.sum([weights[f"{layer}.{name}.bias"] for name in gates], axis=0, dtype=np.float32)
    sent, kept = weights[f"{layer}.dst_update.bias"], weights[f"{layer}.src_update.bias"]
    return np.concatenate([gate, np.zeros_like(gate), sent, kept])


def _norm(weights: dict[str, NDArray[np.float32]], layer: str) -> NDArray[np.float32]:
    return np.stack([weights[f"{layer}.norm.weight"], weights[f"{layer}.norm.bias"]])


def _angle_tables(architecture: Architecture, checkpoints: Sequence[Checkpoint]) -> NDArray[np.float32]:
    """``(n_networks, n_alignn, n_cells, 4, width)``: the angles' part of the gates as piecewise cubics.

    Each cubic goes through four values, at the ends and the thirds of its cell.  Cells are halved until the
    cubics meet the function at other points.
    """
    cells, most = TABLE_CELLS
    while True:
        tables, worst = [], 0.0
        for checkpoint in checkpoints:
            table, error = _cubics(architecture, checkpoint, cells)
            tables.append(table.astype(np.float32))
            worst = max(worst, error)
        if worst <= TABLE_TOLERANCE or cells >= most:
            return np.ascontiguousarray(np.stack(tables))
        cells *= 2


def _cubics(
    architecture: Architecture, checkpoint: Checkpoint, cells: int
) -> tuple[NDArray[np.float64], float]:
    """One network's tables, and the largest error found half way between their points."""
    thirds = np.linspace(-1.0, 1.0, 3 * cells + 1)
    values = _angle_gates(architecture, checkpoint, thirds)
    nodes = np.arange(4) / 3.0
    solve = np.linalg.inv(np.vander(nodes, increasing=True))
    corners = values[:, 3 * np.arange(cells)[:, None] + np.arange(4)]
    cubics = np.einsum("kj,lgjc->lgkc", solve, corners)
    between = np.array([1.0, 3.0, 5.0]) / 6.0
    at = (np.arange(cells)[:, None] + between) * (2.0 / cells) - 1.0
    exact = _angle_gates(architecture, checkpoint, at.ravel()).reshape(
        len(cubics), cells, 3, architecture.hidden
    )
    found = np.einsum("jk,lgkc->lgjc", np.vander(between, 4, increasing=True), cubics)
    size = np.abs(exact).max(initial=1.0)
    return cubics, float(np.abs(found - exact).max(initial=0.0) / size)


def _angle_gates(
    architecture: Architecture, checkpoint: Checkpoint, cosines: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(n_alignn, n, width)``: ``edge_gate`` of the embedded angle in every layer."""
    w = checkpoint.weights
    basis = RadialBasis(w["angle_rbf.centers"])
    delta = cosines[:, None] - basis.centers.astype(np.float64)
    angles = _embedded(np.exp(-basis.gamma * delta * delta), w, "angle_embedding")
    gates = [
        angles @ w[f"{layer}.edge_gate.weight"].T + w[f"{layer}.edge_gate.bias"]
        for layer in architecture.bond_layers()
    ]
    return np.array(gates).reshape(len(gates), len(cosines), architecture.hidden)
