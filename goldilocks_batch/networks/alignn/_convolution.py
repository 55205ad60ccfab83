"""The Triton kernel of :mod:`~goldilocks_batch.networks.alignn.kernels`; importing it needs Triton."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

__all__ = ["edge_gated_convolution"]


@triton.jit
def edge_gated_convolution(
    projected: Any,
    gates: Any,
    before: Any,
    after: Any,
    norm_weight: Any,
    norm_bias: Any,
    start: Any,
    stop: Any,
    own: Any,
    source: Any,
    edge: Any,
    rows_before: Any,
    rows_gates: Any,
    rows_after: Any,
    epsilon: Any,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    """One row of the result for one network; the grid is ``(rows_after, networks)``.

    Args:
        projected: pointer, as all to `edge`: see :func:`~goldilocks_batch.networks.alignn.kernels.convolve`.
        gates: likewise.
        before: likewise.
        after: ``(k, rows_after, width)``, the result.
        norm_weight: likewise.
        norm_bias: likewise.
        start: see :class:`~goldilocks_batch.networks.alignn.kernels.Walk`.
        stop: likewise.
        own: likewise.
        source: likewise.
        edge: likewise.
        rows_before: n.
        rows_gates: m.
        rows_after: rows of the result.
        epsilon: of the layer norm.
        WIDTH: of all features.
        PADDED: the next power of two.
        TILE: edges read at a time, a power of two.
    """
    row = tl.program_id(0).to(tl.int64)
    network = tl.program_id(1).to(tl.int64)
    channel = tl.arange(0, PADDED)
    real = channel < WIDTH
    first, last = tl.load(start + row), tl.load(stop + row)
    mine = tl.load(own + row).to(tl.int64)

    # offsets are 64 bits wide: networks times rows times width passes 2^31 on a large GPU
    projected += network * rows_before * (4 * WIDTH)
    gates += network * rows_gates * WIDTH
    own_gate = tl.load(projected + mine * (4 * WIDTH) + channel, mask=real, other=0.0).to(tl.float32)
    total = tl.load(projected + mine * (4 * WIDTH) + 3 * WIDTH + channel, mask=real, other=0.0).to(tl.float32)
    place = tl.arange(0, TILE)
    for at in range(first, last, TILE):
        there = at + place < last
        both = there[:, None] & real[None, :]
        sender = tl.load(source + at + place, mask=there, other=0).to(tl.int64)
        kind = tl.load(edge + at + place, mask=there, other=0).to(tl.int64)
        sent = projected + sender[:, None] * (4 * WIDTH) + channel[None, :]
        gate = tl.load(sent + WIDTH, mask=both, other=0.0).to(tl.float32)
        message = tl.load(sent + 2 * WIDTH, mask=both, other=0.0).to(tl.float32)
        angle = tl.load(gates + kind[:, None] * WIDTH + channel[None, :], mask=both, other=0.0)
        gate += own_gate[None, :] + angle.to(tl.float32)
        # edges beyond the last have message 0
        total += tl.sum(gate * tl.sigmoid(gate) * message, axis=0)

    mean = tl.sum(total, axis=0) / WIDTH
    deviation = tl.where(real, total - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(deviation * deviation, axis=0) / WIDTH + epsilon)
    weight = tl.load(norm_weight + network * WIDTH + channel, mask=real, other=0.0)
    bias = tl.load(norm_bias + network * WIDTH + channel, mask=real, other=0.0)
    normal = deviation * scale * weight + bias
    kept = tl.load(before + (network * rows_before + mine) * WIDTH + channel, mask=real, other=0.0)
    result = kept + normal * tl.sigmoid(normal)
    tl.store(after + (network * rows_after + row) * WIDTH + channel, result, mask=real)
