"""Prediction of a quantile forest: loops over rows, trees and leaves."""

from __future__ import annotations

import numpy as np

from goldilocks_batch.core.compiled import kernel

__all__ = ["ENTRIES", "predict_rows"]

#: Slack with which a cumulative weight reaches a quantile; sklearn-quantile's, against float32 rounding.
_SLACK = 1e-6
#: Rows that walk a tree together; their leaves take a few MB.
_BLOCK = 4096
#: Training rows in the leaves of rows that are worked on together, 32 MB.
ENTRIES = 2**22


@kernel(nogil=True)
def predict_rows(  # type: ignore[no-untyped-def]
    x, feature, threshold, left, right, roots, starts, rows, weights, y_train, quantiles
):
    """``(n, n_quantiles)`` float32, the quantiles of rows ``x`` ``(n, n_features)`` float32.

    The other arguments are the arrays of :class:`~goldilocks_batch.models.forest.Forest`, quantiles as
    float32; the rule is that of its ``predict``.  Blocks of rows go tree by tree: a tree is some hundred
    kB and stays in cache while a block walks it.  A row's weights are summed in the order of the trees,
    whatever its block.
    """
    total_by_row = np.zeros(len(y_train), dtype=np.float32)
    result = np.empty((len(x), len(quantiles)), dtype=np.float32)
    for first in range(0, len(x), _BLOCK):
        leaves = _leaves_of(x[first : first + _BLOCK], feature, threshold, left, right, roots)
        ends = _ends_of(leaves, starts)
        done = 0
        while done < len(ends):  # rows in large leaves go a few at a time
            before = ends[done - 1] if done > 0 else 0
            stop = max(done + 1, int(np.searchsorted(ends, before + ENTRIES, side="right")))
            part = ends[done:stop] - before
            found, weight = _entries_of(leaves[:, done:stop], part, starts, rows, weights)
            answers = result[first + done : first + stop]
            _read_rows(part, found, weight, total_by_row, y_train, quantiles, answers)
            done = stop
    return result


@kernel(nogil=True)
def _leaves_of(x, feature, threshold, left, right, roots):  # type: ignore[no-untyped-def]
    """``(n_trees, n)`` the leaf of every row in every tree."""
    leaves = np.empty((len(roots), len(x)), dtype=np.int32)
    for tree in range(len(roots)):
        for i in range(len(x)):
            node = roots[tree]
            while feature[node] >= 0:
                node = left[node] if x[i, feature[node]] <= threshold[node] else right[node]
            leaves[tree, i] = node
    return leaves


@kernel(nogil=True)
def _ends_of(leaves, starts):  # type: ignore[no-untyped-def]
    """``(n,)`` where the training rows that share a leaf with each row end when they are laid in a line."""
    n_trees, n = leaves.shape
    ends = np.zeros(n, dtype=np.int64)
    for tree in range(n_trees):
        for i in range(n):
            leaf = leaves[tree, i]
            ends[i] += starts[leaf + 1] - starts[leaf]
    return np.cumsum(ends)


@kernel(nogil=True)
def _entries_of(leaves, ends, starts, rows, weights):  # type: ignore[no-untyped-def]
    """Training rows and weights in the leaves of each row, trees in order; row i's end at ``ends[i]``."""
    n_trees, n = leaves.shape
    place = np.zeros(n, dtype=np.int64)
    place[1:] = ends[:-1]
    found = np.empty(ends[-1], dtype=np.int32)
    weight = np.empty(ends[-1], dtype=np.float32)
    for tree in range(n_trees):
        for i in range(n):
            leaf = leaves[tree, i]
            for entry in range(starts[leaf], starts[leaf + 1]):
                found[place[i]] = rows[entry]
                weight[place[i]] = weights[entry]
                place[i] += 1
    return found, weight


@kernel(nogil=True)
def _read_rows(  # type: ignore[no-untyped-def]
    ends, found, weight, total_by_row, y_train, quantiles, result
):
    """Sum the weights of each row's entries by training row, and read its quantiles; overwrites ``found``."""
    begin = 0
    for i in range(len(ends)):
        count = 0
        for entry in range(begin, ends[i]):
            row = found[entry]
            if weight[entry] > 0 and total_by_row[row] == 0:
                found[begin + count] = row
                count += 1
            total_by_row[row] += weight[entry]
        ordered = np.sort(found[begin : begin + count])
        _read_quantiles(ordered, total_by_row, y_train, quantiles, result[i])
        for row in ordered:
            total_by_row[row] = 0
        begin = ends[i]


@kernel(nogil=True)
def _read_quantiles(ordered, weight, y_train, quantiles, result):  # type: ignore[no-untyped-def]
    """Quantiles of the targets of the rows ``ordered``, weighted by ``weight``."""
    total = np.float32(0)
    for row in ordered:
        total += weight[row]
    for k in range(len(quantiles)):
        q = quantiles[k]
        reached = np.float32(0)
        value = y_train[ordered[-1]]
        for place in range(len(ordered)):
            row = ordered[place]
            before = reached
            reached = before + weight[row] / total
            if reached >= q - np.float32(_SLACK):
                value = y_train[row]
                if place > 0:
                    previous = y_train[ordered[place - 1]]
                    value = previous + (value - previous) * (q - before) / (reached - before)
                break
        result[k] = value
