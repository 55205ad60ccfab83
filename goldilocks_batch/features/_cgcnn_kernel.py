"""One crystal graph convolution, fused: a pass over the bonds of a batch, sorted by the atom they lead to.

For a bond from s to t with Gaussians e of its length, ``z = W_t x_t + W_s x_s + W_e e + b`` for both
branches of the gate; the first two products are made for atoms, not for bonds, and of the third only the
few columns count whose Gaussians do not vanish.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.networks._simd import FASTMATH, sigmoid32, softplus32

__all__ = ["convolve"]


@kernel(fastmath=FASTMATH, error_model="numpy")
def convolve(
    x: NDArray[np.float32],
    projected: NDArray[np.float32],
    into: NDArray[np.int32],
    source: NDArray[np.int32],
    first: NDArray[np.int64],
    gaussians: NDArray[np.float32],
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    scale: NDArray[np.float32],
    shift: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Sum gated messages into every atom and normalise.

    Args:
        x: ``(n_atoms, width)``.
        projected: ``(n_atoms, 4 width)``: both branches as seen from the target, then from the source.
        into: ``(n_atoms + 1,)`` where the bonds into each atom start.
        source: ``(n_bonds,)``.
        first: ``(n_bonds,)`` first centre of a bond's Gaussians.
        gaussians: ``(n_bonds, window)``.
        weight: ``(bins, 2 width)`` of the Gaussians, both branches.
        bias: ``(2 width,)``.
        scale: ``(width,)`` batch norm as one product and
        shift: ``(width,)`` one sum.

    Returns:
        ``(n_atoms, width)``: ``(sum + x) · scale + shift``.
    """
    n, width = x.shape
    out = np.empty_like(x)
    z = np.empty(2 * width, dtype=np.float32)
    total = np.empty(width, dtype=np.float32)
    for t in range(n):
        for c in range(width):
            total[c] = x[t, c]
        for bond in range(into[t], into[t + 1]):
            s = source[bond]
            for c in range(2 * width):
                z[c] = bias[c] + projected[t, c] + projected[s, 2 * width + c]
            for k in range(gaussians.shape[1]):
                gaussian, row = gaussians[bond, k], weight[first[bond] + k]
                for c in range(2 * width):
                    z[c] += gaussian * row[c]
            for c in range(width):
                total[c] += sigmoid32(z[c]) * softplus32(z[width + c])
        for c in range(width):
            out[t, c] = total[c] * scale[c] + shift[c]
    return out
