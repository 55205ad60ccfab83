"""One fused Triton kernel for an edge-gated convolution, all networks of an ensemble in one launch.

For each row of the result it walks the row's edges by the pointers that the batch has.  It adds up gate ·
message, with gate = SiLU(own part + source's part + edge's part), and the row's own update; normalises the
sum, squashes it, and adds the features before.  What is gathered is read once, the result is written once,
and nothing is as long as the edges: no expanded index, no message.

Up to rounding it is the :class:`~goldilocks_batch.networks.alignn.module.EdgeGatedConvolution`.  Without a
GPU it runs in Triton's interpreter (``TRITON_INTERPRET=1``), which is how the tests hold it to that.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from goldilocks_batch.networks.alignn._kernel import LAYER_NORM_EPSILON

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["ROWS", "Walk", "convolve", "fused_kernels_run_on", "interpreted"]

#: Rows that a program makes, and edges of each that it reads at a time.  An atom has 12, a bond some 11 on
#: the line graph.  At width 64 this is one warp with 110 registers a thread, as ptxas says, that waits for no
#: other.  Not yet timed on a GPU.
ROWS, TILE = 1, 16
#: The same in the interpreter, which takes as long for a large array as for a small one.
INTERPRETED_ROWS = 256
#: Oldest generation of NVIDIA's GPUs that Triton supports.
_CAPABILITY = (8, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """Where the edges lie that lead into each row of a result; all arrays int32, on the device.

    Attributes:
        own: ``(n_after,)`` the row of the features that each row of the result continues.
        start: ``(n_after,)`` where its edges start in `source` and `edge`.
        stop: ``(n_after,)`` and where they end.
        source: ``(n_edges,)`` the row of the features that an edge comes from.
        edge: ``(n_edges,)`` the row of the gates that is an edge's.
    """

    own: Tensor
    start: Tensor
    stop: Tensor
    source: Tensor
    edge: Tensor


def fused_kernels_run_on(device: torch.device) -> bool:
    """Whether Triton is installed and compiles for this device, or interprets."""
    if importlib.util.find_spec("triton") is None:
        return False
    if interpreted():
        return True
    if device.type != "cuda":
        return False
    import torch

    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= _CAPABILITY


def interpreted() -> bool:
    """Whether Triton runs kernels in Python, for tests: what it reads when it is imported."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def convolve(
    projected: Tensor,
    gates: Tensor,
    before: Tensor,
    walk: Walk,
    norm_weight: Tensor,
    norm_bias: Tensor,
    *,
    rows: int | None = None,
) -> Tensor:
    """Features after an edge-gated convolution, ``(k, n_after, width)`` float32.

    Args:
        projected: ``(k, n, 4 width)`` float32, the features times the weights of ``src_gate``,
            ``dst_gate``, ``dst_update`` and ``src_update`` side by side, with their biases.
        gates: ``(k, m, width)`` float32, the edges' part of the gate.
        before: ``(k, n, width)`` float32, the features.
        walk: the edges.
        norm_weight: ``(k, width)`` float32, of the layer norm.
        norm_bias: ``(k, width)`` float32.
        rows: of the result that a program makes, a power of two; None for what suits the device.
    """
    import triton

    from goldilocks_batch.networks.alignn._convolution import edge_gated_convolution

    networks, rows_before, width = before.shape
    after = before.new_empty((networks, len(walk.own), width))
    if after.numel() == 0:
        return after
    for tensor in (projected, gates, before, norm_weight, norm_bias):
        if not tensor.is_contiguous():
            raise ValueError("the kernel reads contiguous tensors")
    padded = triton.next_power_of_2(width)
    rows = rows or (INTERPRETED_ROWS if interpreted() else ROWS)
    edge_gated_convolution[(triton.cdiv(len(walk.own), rows), networks)](
        projected,
        gates,
        before,
        after,
        norm_weight,
        norm_bias,
        walk.start,
        walk.stop,
        walk.own,
        walk.source,
        walk.edge,
        rows_before,
        gates.shape[1],
        len(walk.own),
        LAYER_NORM_EPSILON,
        WIDTH=width,
        PADDED=padded,
        ROWS=rows,
        TILE=TILE,
        num_warps=min(max(padded * TILE * rows // 1024, 1), 8),
    )
    return after
