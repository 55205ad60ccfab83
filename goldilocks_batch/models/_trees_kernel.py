"""Boosted regression trees, compiled: sums of leaf values over all trees, a row at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["kth_smallest", "sum_of_leaves"]


@kernel(error_model="numpy")
def sum_of_leaves(
    rows: NDArray[np.float64],
    roots: NDArray[np.int32],
    features: NDArray[np.int16],
    thresholds: NDArray[np.float64],
    children: NDArray[np.int32],
    leaves: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What LightGBM's ``predict`` gives for numerical features without missing values.

    Trees are the outer loop over a block of rows: a tree then stays in cache while it is used.

    Args:
        rows: ``(n, k)``, finite.
        roots: ``(trees,)`` the first node of each tree; a negative one is a leaf, as in ``children``.
        features: ``(nodes,)`` the column that a node asks.
        thresholds: ``(nodes,)``; a row goes left if its value is not above.
        children: ``(nodes, 2)`` the nodes to the left and right; ``-1 - i`` is leaf i.
        leaves: ``(leaves,)`` their values.

    Returns:
        ``(n,)``, summed in the order of the trees.
    """
    total = np.zeros(len(rows))
    for start in range(0, len(rows), 64):
        stop = min(start + 64, len(rows))
        for root in roots:
            for i in range(start, stop):
                node = root
                while node >= 0:
                    node = children[node, 0 if rows[i, features[node]] <= thresholds[node] else 1]
                total[i] += leaves[-1 - node]
    return total


@kernel(error_model="numpy")
def kth_smallest(values: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    """The k-th smallest entry of each row of ``(n, m)``, k at most m and small: ``(n,)``."""
    found = np.empty(len(values))
    best = np.empty(k, dtype=np.float32)
    for i in range(len(values)):
        best[:] = np.inf
        for value in values[i]:
            if value < best[k - 1]:
                at = k - 1
                while at > 0 and best[at - 1] > value:
                    best[at] = best[at - 1]
                    at -= 1
                best[at] = value
        found[i] = best[k - 1]
    return found
