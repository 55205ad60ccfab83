"""The arrays of an ensemble of trees in the order in which the kernel reads them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.models._trees_kernel import TOGETHER, Cuts, Questions, kept_leaves

__all__ = ["laid_out"]

#: Thresholds that a slot has room for; infinity follows them.
_SLOT = 63


def laid_out(
    roots: NDArray[np.int32],
    features: NDArray[np.int16],
    thresholds: NDArray[np.float64],
    children: NDArray[np.int32],
    leaves: NDArray[np.float64],
) -> tuple[Cuts, Questions, NDArray[np.int32], NDArray[np.float64]]:
    """What :func:`~goldilocks_batch.models._trees_kernel.sum_of_leaves` takes after the rows.

    Args:
        roots: as all others of :class:`~goldilocks_batch.models.trees.Trees`.
        features: of the nodes.
        thresholds: of the nodes.
        children: of the nodes.
        leaves: their values.

    Returns:
        Thresholds, nodes byte by byte, ``(trees + 1,)`` where each tree's leaves begin, ``(leaves,)`` their
        values.  Trees of one leaf of 0, which change no sum, make the number of trees a multiple.
    """
    nodes, first_node, kept, places, first_leaf = kept_leaves(roots, children)
    cuts, slots, ranks = _ranked(features[nodes], thresholds[nodes])
    more = -len(roots) % TOGETHER
    first_leaf = np.append(first_leaf, first_leaf[-1] + 1 + np.arange(more)).astype(np.int32)
    first_node = np.append(first_node, np.repeat(first_node[-1:], more))
    questions = _by_bytes(~kept, slots, ranks, first_node, np.diff(first_leaf))
    return cuts, questions, first_leaf, np.append(leaves[places], np.zeros(more))


def _ranked(
    features: NDArray[np.int16], thresholds: NDArray[np.float64]
) -> tuple[Cuts, NDArray[np.int32], NDArray[np.int8]]:
    """Thresholds in slots, and for each node the slot and the place in it of its own."""
    order = np.lexsort((thresholds, features))
    columns, values = features[order], thresholds[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (columns[1:] != columns[:-1]) | (values[1:] != values[:-1])
    columns, values = columns[new], values[new]
    ranks = (np.arange(len(columns)) - np.searchsorted(columns, columns)) % _SLOT
    slots = np.cumsum(ranks == 0) - 1
    cuts = np.full((slots.max(initial=-1) + 1, _SLOT + 1), np.inf)
    cuts[slots, ranks] = values
    own = np.empty(len(order), dtype=np.int64)
    own[order] = np.cumsum(new) - 1
    found = Cuts(columns[ranks == 0].astype(np.uint16), cuts.ravel(), cuts[:, 7::8].ravel())
    return found, slots[own].astype(np.int32), ranks[own].astype(np.int8)


def _by_bytes(
    excluded: NDArray[np.uint64],
    slots: NDArray[np.int32],
    ranks: NDArray[np.int8],
    first_node: NDArray[np.int32],
    leaves: NDArray[np.int32],
) -> Questions:
    """Nodes with the leaves that they exclude as questions, for trees of so many leaves."""
    split = (excluded[:, None] >> np.arange(0, 64, 8, dtype=np.uint64)).astype(np.uint8)
    node, byte = np.nonzero(split)
    count = (leaves + 7) // 8
    first = np.append(0, np.cumsum(count))
    tree = np.repeat(np.arange(len(leaves)), np.diff(first_node))
    at = first[1:][tree[node]] - 1 - byte  # the byte of the rightmost leaves comes first
    order = np.argsort(at, kind="stable")
    node, byte = node[order], byte[order]
    every = np.arange(first[-1])
    return Questions(
        first.astype(np.int32),
        np.searchsorted(at[order], np.arange(first[-1] + 1)).astype(np.int32),
        (8 * (np.repeat(first[1:], count) - 1 - every)).astype(np.int8),
        slots[node],
        ranks[node],
        split[node, byte].view(np.int8),
    )
