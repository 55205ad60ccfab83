"""Boosted regression trees, compiled: sums of leaf values without walking down the trees.

The method is QuickScorer's (Lucchese et al., SIGIR 2015, doi:10.1145/2766462.2767733): the leaves of a tree
are the bits of a word, from left to right.  A node that sends a row to the right excludes the leaves to its
left; the row ends in the first leaf that no node excludes.  As in RapidScorer (Ye et al., KDD 2018) words are
taken byte by byte, and most nodes exclude leaves of one byte only: a byte of many rows stays in the
processor's wide registers while all nodes that concern it are asked.

Nodes are asked by bytes, too.  Of each column only the number of thresholds below its value is kept, as one
is above the j-th threshold exactly if there are more than j below it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.core.lanes import (
    count_greater,
    fill8,
    fill256,
    load8,
    load256,
    lowest_clear,
    store,
    where_equal,
    where_greater,
)

__all__ = ["TOGETHER", "Cuts", "Questions", "kept_leaves", "kth_smallest", "sum_of_leaves"]

#: Rows that a node is asked for at once: lanes of bytes.
_BLOCK = 256
#: Rows whose thresholds below are counted column by column; the processor reads so many rows ahead.
_ROWS_READ = 16
#: Trees whose leaves are added to a row's sum at once; ensembles are of a multiple of so many trees.
TOGETHER = 4


class Cuts(NamedTuple):
    """Thresholds that values are counted against, in slots of one column and up to 63 of its thresholds.

    Attributes:
        columns: ``(slots,)`` the column of a slot.
        cuts: ``(slots * 64,)`` its thresholds, ascending, and infinity after them.
        pivots: ``(slots * 8,)`` each eighth of them.
    """

    columns: NDArray[np.uint16]
    cuts: NDArray[np.float64]
    pivots: NDArray[np.float64]


class Questions(NamedTuple):
    """Nodes byte by byte: what each excludes of the eight leaves of a byte, without those that exclude none.

    Attributes:
        first_byte: ``(trees + 1,)`` where each tree's bytes begin, the one of the rightmost leaves first.
        first_question: ``(bytes + 1,)`` where each byte's questions begin.
        places: ``(bytes,)`` place of a byte's first leaf among its tree's.
        slots: ``(questions,)`` the slot of the node's threshold.
        thresholds: ``(questions,)`` place of the threshold within the slot.
        excluded: ``(questions,)`` a bit for each leaf that is excluded where the value is above.
    """

    first_byte: NDArray[np.int32]
    first_question: NDArray[np.int32]
    places: NDArray[np.int8]
    slots: NDArray[np.int32]
    thresholds: NDArray[np.int8]
    excluded: NDArray[np.int8]


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
    cuts: Cuts,
    questions: Questions,
    first_leaf: NDArray[np.int32],
    leaves: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What LightGBM's ``predict`` gives for numerical features without missing values.

    Args:
        rows: ``(n, k)``, finite.
        cuts: the thresholds.
        questions: the nodes of a multiple of :data:`TOGETHER` trees.
        first_leaf: ``(trees + 1,)`` where each tree's leaves begin.
        leaves: ``(leaves,)`` their values.

    Returns:
        ``(n,)``, summed in the order of the trees.
    """
    total = np.zeros(len(rows))
    below = np.zeros(len(cuts.columns) * _BLOCK, dtype=np.int8)
    ends = np.zeros(TOGETHER * _BLOCK, dtype=np.uint8)
    ends1, ends2, ends3, ends4 = (
        *(ends[:_BLOCK], ends[_BLOCK : 2 * _BLOCK]),
        *(ends[2 * _BLOCK : 3 * _BLOCK], ends[3 * _BLOCK :]),
    )
    for start in range(0, len(rows), _BLOCK):
        _count_below(rows[start : start + _BLOCK], cuts, below)
        sums = total[start : start + _BLOCK]
        for tree in range(0, len(first_leaf) - 1, TOGETHER):
            for i in range(TOGETHER):
                _find_ends(below, questions, tree + i, ends, i)
            leaves1, leaves2 = leaves[first_leaf[tree] :], leaves[first_leaf[tree + 1] :]
            leaves3, leaves4 = leaves[first_leaf[tree + 2] :], leaves[first_leaf[tree + 3] :]
            for i in range(len(sums)):
                value = sums[i] + leaves1[ends1[i]] + leaves2[ends2[i]]
                sums[i] = value + leaves3[ends3[i]] + leaves4[ends4[i]]
    return total


@kernel(error_model="numpy")
def _count_below(rows: NDArray[np.float64], cuts: Cuts, below: NDArray[np.int8]) -> None:
    """Write for each slot and row of a block, ``(slots * 256,)``, how many thresholds are below the value."""
    for first in range(0, len(rows), _ROWS_READ):
        read = rows[first : first + _ROWS_READ]
        for slot in range(len(cuts.columns)):
            column, eighth = cuts.columns[slot], 8 * slot
            own = below[slot * _BLOCK + first : (slot + 1) * _BLOCK]
            pivots = load8(cuts.pivots, slot)
            for i in range(len(read)):
                value = fill8(read[i, column])
                eights = count_greater(value, pivots)
                own[i] = 8 * eights + count_greater(value, load8(cuts.cuts, eighth + eights))


@kernel(error_model="numpy")
def _find_ends(
    below: NDArray[np.int8], questions: Questions, tree: int, ends: NDArray[np.uint8], at: int
) -> None:
    """Write to lanes ``at`` of ``ends`` in which of a tree's leaves the rows of a block end."""
    none, every = fill256(np.int8(0)), fill256(np.int8(-1))
    found = place = none
    for byte in range(questions.first_byte[tree], questions.first_byte[tree + 1]):
        excluded = none
        for node in range(questions.first_question[byte], questions.first_question[byte + 1]):
            threshold = fill256(questions.thresholds[node])
            excluded = excluded | where_greater(
                load256(below, questions.slots[node]), threshold, fill256(questions.excluded[node]), none
            )
        found = where_equal(excluded, every, found, excluded)
        place = where_equal(excluded, every, place, fill256(questions.places[byte]))
    store(ends, at, place + lowest_clear(found))


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
