"""Boosted regression trees, compiled: sums of leaf values without walking down the trees.

The method is QuickScorer's (Lucchese et al., SIGIR 2015, doi:10.1145/2766462.2767733): the leaves of a tree
are the bits of a word, from left to right.  A node that sends a row to the right excludes the leaves to its
left; the row ends in the first leaf that no node excludes.  A node is asked for a block of rows at once, in
the processor's wide registers, and nothing branches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["kept_leaves", "kth_smallest", "sum_of_leaves"]

#: Rows that a node is asked for at once.
_BLOCK = 64


@kernel()
def kept_leaves(
    roots: NDArray[np.int32], children: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint64], NDArray[np.int32], NDArray[np.int32]]:
    """Nodes and leaves tree by tree, and the leaves that are left where a node sends a row to the right.

    Args:
        roots: ``(trees,)`` the first node of each tree; a negative one is a leaf, as in ``children``.
        children: ``(nodes, 2)`` the nodes to the left and right; ``-1 - i`` is leaf i.  Each node and leaf
            has one parent, and no tree more than 64 leaves.

    Returns:
        ``nodes`` in the order of the trees, without those that no tree leads to, ``first_node``
        ``(trees + 1,)`` where each tree's begin, ``kept`` ``(nodes,)`` a bit for each leaf, the lowest for
        the leftmost; ``leaves``, each tree's from left to right, and ``first_leaf`` ``(trees + 1,)``.
    """
    count = len(children)
    nodes = np.empty(count, dtype=np.int32)
    kept = np.empty(count, dtype=np.uint64)
    leaves = np.empty(count + len(roots), dtype=np.int32)
    first_node = np.zeros(len(roots) + 1, dtype=np.int32)
    first_leaf = np.zeros(len(roots) + 1, dtype=np.int32)
    links = np.empty(count + 1, dtype=np.int64)
    parents = np.empty(count + 1, dtype=np.int64)  # place of the node whose right child it is, or -1
    begins = np.empty(count, dtype=np.int64)
    at_node = at_leaf = 0
    for tree in range(len(roots)):
        links[0], parents[0] = roots[tree], -1
        waiting = 1
        while waiting:
            waiting -= 1
            link, parent = links[waiting], parents[waiting]
            if parent >= 0:  # everything to the left of this child is known
                excluded = np.uint64(0)
                for leaf in range(begins[parent], at_leaf - first_leaf[tree]):
                    excluded |= np.uint64(1) << np.uint64(leaf)
                kept[parent] = ~excluded
            if link < 0:
                leaves[at_leaf] = -1 - link
                at_leaf += 1
                continue
            nodes[at_node] = link
            begins[at_node] = at_leaf - first_leaf[tree]
            links[waiting], parents[waiting] = children[link, 1], at_node
            links[waiting + 1], parents[waiting + 1] = children[link, 0], -1
            waiting += 2
            at_node += 1
        first_node[tree + 1], first_leaf[tree + 1] = at_node, at_leaf
    return nodes[:at_node], first_node, kept[:at_node], leaves[:at_leaf], first_leaf


@kernel(error_model="numpy")
def sum_of_leaves(
    rows: NDArray[np.float64],
    first_node: NDArray[np.int32],
    features: NDArray[np.int16],
    thresholds: NDArray[np.float64],
    kept: NDArray[np.uint64],
    first_leaf: NDArray[np.int32],
    leaves: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What LightGBM's ``predict`` gives for numerical features without missing values.

    Args:
        rows: ``(n, k)``, finite.
        first_node: ``(trees + 1,)`` where each tree's nodes begin.
        features: ``(nodes,)`` the column that a node asks.
        thresholds: ``(nodes,)``; a row goes left if its value is not above.
        kept: ``(nodes,)`` of :func:`kept_leaves`.
        first_leaf: ``(trees + 1,)`` where each tree's leaves begin.
        leaves: ``(leaves,)`` their values.

    Returns:
        ``(n,)``, summed in the order of the trees.
    """
    total = np.zeros(len(rows))
    columns = np.zeros((rows.shape[1], _BLOCK))
    left = np.empty(_BLOCK, dtype=np.uint64)
    every = ~np.uint64(0)
    for start in range(0, len(rows), _BLOCK):
        size = min(_BLOCK, len(rows) - start)
        for i in range(size):
            for column in range(rows.shape[1]):
                columns[column, i] = rows[start + i, column]
        for tree in range(len(first_leaf) - 1):
            left[:] = every
            for node in range(first_node[tree], first_node[tree + 1]):
                values, threshold, mask = columns[features[node]], thresholds[node], kept[node]
                for i in range(_BLOCK):
                    left[i] &= mask if values[i] > threshold else every
            first = first_leaf[tree]
            for i in range(size):
                total[start + i] += leaves[first + _lowest_bit(left[i])]
    return total


@kernel()
def _lowest_bit(word: np.uint64) -> np.int64:
    """Place of the lowest bit that is set."""
    place = np.int64(0)
    for width in (32, 16, 8, 4, 2, 1):
        if word & ((np.uint64(1) << np.uint64(width)) - np.uint64(1)) == 0:
            word >>= np.uint64(width)
            place += width
    return place


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
