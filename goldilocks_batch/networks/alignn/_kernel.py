"""One ALIGNN network on one batch, on the CPU: fused passes over bonds and line-graph edges.

Cost model.  A mean MC3D cell has 20 atoms, 240 bonds and 2,600 line-graph edges.  Linear maps are made for
bonds and atoms before anything is gathered, and for one bond of each kind (see `classes`), at the
processor's peak.  What is left is one pass over the line graph a layer: for each edge and channel an
exponential and a division, some 30 cycles for 16 channels.  Bonds into one atom lie side by side, so that
what a pass gathers is in the first-level cache; a batch is small enough for the rest to stay in the second.

Projections hold, side by side and `width` columns each: the gate of the target, the gate of the source,
what the source sends, and what the target keeps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.networks._simd import FASTMATH, silu32

__all__ = ["LAYER_NORM_EPSILON", "GraphArrays", "LayerArrays", "forward", "normalise_rows"]

#: Added to the variance by torch's LayerNorm.
LAYER_NORM_EPSILON = 1e-5
_EPSILON = np.float32(LAYER_NORM_EPSILON)


class GraphArrays(NamedTuple):
    """A batch as the kernels read it; see `GraphBatch`."""

    into: NDArray[np.int32]
    source: NDArray[np.int32]
    line_into: NDArray[np.int32]
    line_source: NDArray[np.int32]
    kind: NDArray[np.int32]
    example: tuple[NDArray[np.int32], ...]
    angle_kind: NDArray[np.int32]
    cosine: NDArray[np.float32]


class LayerArrays(NamedTuple):
    """The layers of one network: `n` in all, the first `m` of them ALIGNN layers.

    Attributes:
        bond_weight: ``(m, width, 4 width)``, with
        bond_bias: ``(m, 4 width)`` the projections of bonds.
        bond_norm: ``(m, 2, width)`` weight and bias of the layer norms on bonds.
        tables: ``(m, n_cells, 4, width)`` the angles' part of the gates, cubics in
            the fraction of a cell, over equal cells of cosines from -1 to 1.
        atom_weight: ``(n, width, 4 width)``, with
        atom_bias: ``(n, 4 width)`` the projections of atoms.
        atom_norm: ``(n, 2, width)``.
        edge_weight: ``(n, width, width)`` the bonds' part of the gates on atoms.
    """

    bond_weight: NDArray[np.float32]
    bond_bias: NDArray[np.float32]
    bond_norm: NDArray[np.float32]
    tables: NDArray[np.float32]
    atom_weight: NDArray[np.float32]
    atom_bias: NDArray[np.float32]
    atom_norm: NDArray[np.float32]
    edge_weight: NDArray[np.float32]


@kernel(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
def _mean_and_scale(row: NDArray[np.float32]) -> tuple[np.float32, np.float32]:
    """Mean of a row and the inverse of its standard deviation."""
    width = np.float32(len(row))
    total = np.float32(0.0)
    for c in range(len(row)):
        total += row[c]
    mean = total / width
    square = np.float32(0.0)
    for c in range(len(row)):
        square += (row[c] - mean) * (row[c] - mean)
    return mean, np.float32(1.0) / np.sqrt(square / width + _EPSILON)


@kernel(fastmath=FASTMATH, error_model="numpy")
def _normalise_onto(
    total: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], x: NDArray[np.float32]
) -> None:
    """``x += SiLU(LayerNorm(total))``."""
    mean, scale = _mean_and_scale(total)
    for c in range(len(total)):
        x[c] += silu32((total[c] - mean) * scale * weight[c] + bias[c])


@kernel(fastmath=FASTMATH, error_model="numpy")
def normalise_rows(
    rows: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``SiLU(LayerNorm(rows))``, ``(n, width)``."""
    out = np.zeros_like(rows)
    for i in range(len(rows)):
        _normalise_onto(rows[i], weight, bias, out[i])
    return out


@kernel(fastmath=FASTMATH, error_model="numpy")
def _angle_gates(table: NDArray[np.float32], cosine: NDArray[np.float32]) -> NDArray[np.float32]:
    """The angles' part of the gates, ``(n_angle_kinds, width)``; `table` as in `LayerArrays`."""
    n_cells, width = len(table), table.shape[2]
    out = np.empty((len(cosine), width), dtype=np.float32)
    for i in range(len(cosine)):
        position = min(max((np.float64(cosine[i]) + 1.0) * 0.5, 0.0), 1.0) * n_cells
        cell = min(int(position), n_cells - 1)
        u, cubic = np.float32(position - cell), table[cell]
        for c in range(width):
            out[i, c] = cubic[0, c] + u * (cubic[1, c] + u * (cubic[2, c] + u * cubic[3, c]))
    return out


@kernel(fastmath=FASTMATH, error_model="numpy")
def _convolve_line(
    y: NDArray[np.float32],
    projected: NDArray[np.float32],
    angle_gate: NDArray[np.float32],
    graph: GraphArrays,
    layer: int,
    bias: NDArray[np.float32],
    norm: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Edge-gated convolution on the line graph.

    Args:
        y: ``(n_kinds, width)`` features of each kind of bond before this layer.
        projected: ``(n_kinds, 4 width)`` their projections.
        angle_gate: ``(n_angle_kinds, width)``.
        graph: the batch.
        layer: the layer's number.
        bias: ``(4 width,)``.
        norm: ``(2, width)``.

    Returns:
        ``(n_kinds_after, width)`` features of each kind after it.
    """
    width = y.shape[1]
    kind, example = graph.kind[layer], graph.example[layer + 1]
    out = np.empty((len(example), width), dtype=np.float32)
    gate, total = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float32)
    for row in range(len(example)):
        e = example[row]
        own = kind[e]
        for c in range(width):
            gate[c] = projected[own, c] + bias[c]
            total[c] = projected[own, 3 * width + c] + bias[3 * width + c]
        for k in range(graph.line_into[e], graph.line_into[e + 1]):
            f, angle = kind[graph.line_source[k]], graph.angle_kind[k]
            for c in range(width):
                z = gate[c] + projected[f, width + c] + angle_gate[angle, c]
                total[c] += silu32(z) * projected[f, 2 * width + c]
        out[row] = y[own]
        _normalise_onto(total, norm[0], norm[1], out[row])
    return out


@kernel(fastmath=FASTMATH, error_model="numpy")
def _convolve_atoms(
    x: NDArray[np.float32],
    projected: NDArray[np.float32],
    edge_gate: NDArray[np.float32],
    graph: GraphArrays,
    level: int,
    bias: NDArray[np.float32],
    norm: NDArray[np.float32],
) -> None:
    """Edge-gated convolution on the atoms; updates `x`, ``(n_atoms, width)``.

    `edge_gate` is ``(n_kinds, width)``, of the kinds of bonds after `level` layers.
    """
    n, width = x.shape
    kind = graph.kind[level]
    gate, total = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float32)
    for t in range(n):
        for c in range(width):
            gate[c] = projected[t, c] + bias[c]
            total[c] = projected[t, 3 * width + c] + bias[3 * width + c]
        for bond in range(graph.into[t], graph.into[t + 1]):
            s, row = graph.source[bond], kind[bond]
            for c in range(width):
                z = gate[c] + projected[s, width + c] + edge_gate[row, c]
                total[c] += silu32(z) * projected[s, 2 * width + c]
        _normalise_onto(total, norm[0], norm[1], x[t])


@kernel(fastmath=FASTMATH)
def _project(
    rows: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``(n, 4 width)`` projections and the bias of what sources send; targets add the other biases."""
    width = rows.shape[1]
    projected = np.empty((len(rows), 4 * width), dtype=np.float32)
    np.dot(rows, weight, projected)
    for i in range(len(rows)):
        for c in range(2 * width, 3 * width):
            projected[i, c] += bias[c]
    return projected


@kernel()
def forward(
    x: NDArray[np.float32], y: NDArray[np.float32], graph: GraphArrays, layers: LayerArrays, skip_alignn: bool
) -> None:
    """Run the layers of one network; updates `x`.

    Args:
        x: ``(n_atoms, width)`` embedded atoms; on return their features after the last layer.
        y: ``(n_kinds, width)`` embedded kinds of bonds.
        graph: the batch.
        layers: the network's weights.
        skip_alignn: leave the ALIGNN layers out.
    """
    n_alignn = len(layers.bond_weight)
    level = 0
    for k in range(n_alignn if skip_alignn else 0, len(layers.atom_weight)):
        if k < n_alignn:
            projected = _project(y, layers.bond_weight[k], layers.bond_bias[k])
            angle_gate = _angle_gates(layers.tables[k], graph.cosine)
            y = _convolve_line(y, projected, angle_gate, graph, k, layers.bond_bias[k], layers.bond_norm[k])
            level = k + 1
        projected = _project(x, layers.atom_weight[k], layers.atom_bias[k])
        edge_gate = np.empty(y.shape, dtype=np.float32)
        np.dot(y, layers.edge_weight[k], edge_gate)
        _convolve_atoms(x, projected, edge_gate, graph, level, layers.atom_bias[k], layers.atom_norm[k])
