"""The Triton kernel of :mod:`~goldilocks_batch.networks.alignn.kernels`; importing it needs Triton."""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["edge_gated_convolution"]


_INDICES = ["start", "stop", "own", "source", "edge"]


# not compiled anew for every number of rows and every place of an index in memory
@triton.jit(
    do_not_specialize=["rows_before", "rows_gates", "rows_after"], do_not_specialize_on_alignment=_INDICES
)
def edge_gated_convolution(  # type: ignore[no-untyped-def]  # Triton reads annotations as code
    projected,
    gates,
    before,
    after,
    norm_weight,
    norm_bias,
    start,
    stop,
    own,
    source,
    edge,
    rows_before,
    rows_gates,
    rows_after,
    epsilon,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
):
    """Some rows of the result for one network; the grid is ``(rows_after / ROWS, networks)``.

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
        ROWS: of the result, in a program; a power of two, as
        TILE: edges of each row that are read at a time.
    """
    network = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    exists = row < rows_after
    channel = tl.arange(0, PADDED)
    real = channel < WIDTH
    two = exists[:, None] & real[None, :]
    first = tl.load(start + row, mask=exists, other=0)
    last = tl.load(stop + row, mask=exists, other=0)
    mine = tl.load(own + row, mask=exists, other=0).to(tl.int64)

    # offsets are 64 bits wide: networks times rows times width passes 2^31 on a large GPU
    projected += network * rows_before * (4 * WIDTH)
    gates += network * rows_gates * WIDTH
    kept = projected + mine[:, None] * (4 * WIDTH) + channel[None, :]
    own_gate = tl.load(kept, mask=two, other=0.0).to(tl.float32)
    total = tl.load(kept + 3 * WIDTH, mask=two, other=0.0).to(tl.float32)
    place = tl.arange(0, TILE)
    for step in range(0, tl.max(last - first, axis=0), TILE):
        at = first[:, None] + step + place[None, :]
        there = at < last[:, None]
        three = there[:, :, None] & real[None, None, :]
        sender = tl.load(source + at, mask=there, other=0).to(tl.int64)
        kind = tl.load(edge + at, mask=there, other=0).to(tl.int64)
        sent = projected + sender[:, :, None] * (4 * WIDTH) + channel[None, None, :]
        gate = tl.load(sent + WIDTH, mask=three, other=0.0).to(tl.float32)
        message = tl.load(sent + 2 * WIDTH, mask=three, other=0.0).to(tl.float32)
        along = gates + kind[:, :, None] * WIDTH + channel[None, None, :]
        gate += own_gate[:, None, :] + tl.load(along, mask=three, other=0.0).to(tl.float32)
        # edges beyond the last have message 0
        total += tl.sum(gate * tl.sigmoid(gate) * message, axis=1)

    mean = tl.sum(total, axis=1) / WIDTH
    deviation = tl.where(real[None, :], total - mean[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(deviation * deviation, axis=1) / WIDTH + epsilon)
    weight = tl.load(norm_weight + network * WIDTH + channel, mask=real, other=0.0)
    bias = tl.load(norm_bias + network * WIDTH + channel, mask=real, other=0.0)
    normal = deviation * scale[:, None] * weight[None, :] + bias[None, :]
    old = before + (network * rows_before + mine[:, None]) * WIDTH + channel[None, :]
    result = tl.load(old, mask=two, other=0.0) + normal * tl.sigmoid(normal)
    tl.store(after + (network * rows_after + row[:, None]) * WIDTH + channel[None, :], result, mask=two)
