"""Quantile regression forest: arrays, and prediction of whole batches.

A forest keeps, for every leaf of every tree, which training rows fell in it and with what weight
(Meinshausen 2006).  A new row weighs each training row by the sum over the trees of its weight in the leaf
the new row falls in; quantiles are read off the weighted distribution of the training targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.models._forest_kernel import predict_rows

__all__ = ["Forest"]

#: What is needed of scikit-learn's nodes.
_NODE_FIELDS = ("left_child", "right_child", "feature", "threshold")


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """All trees in flat arrays; nodes are numbered through the trees.

    Attributes:
        feature: ``(n_nodes,)`` int32, column that a node splits on, -1 for a leaf.
        threshold: ``(n_nodes,)`` float64; a row goes left if its float32 value is not above it.
        left: ``(n_nodes,)`` int32, left child; a leaf's own number.
        right: ``(n_nodes,)`` int32, right child; a leaf's own number.
        roots: ``(n_trees,)`` int32.
        starts: ``(n_nodes + 1,)`` int64; leaf l holds entries ``starts[l]`` to ``starts[l + 1]``.
        rows: ``(n_entries,)`` int32, training rows in the leaves, ascending within each.
        weights: ``(n_entries,)`` float32, their weights there.
        y_train: ``(n_train,)`` float32, training targets, ascending.
        quantiles: ``(n_quantiles,)`` float64, what :meth:`predict` gives by default.
        n_features: ``(1,)`` int64, columns of the rows it takes.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    roots: NDArray[np.int32]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float32]
    y_train: NDArray[np.float32]
    quantiles: NDArray[np.float64]
    n_features: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def from_trees(
        cls,
        nodes: Sequence[NDArray[Any]],
        y_train: NDArray[Any],
        leaves: NDArray[Any],
        weights: NDArray[Any],
        quantiles: Sequence[float],
        n_features: int,
    ) -> Self:
        """Flatten scikit-learn's trees.

        Args:
            nodes: for each tree its record array with ``left_child, right_child, feature, threshold``.
            y_train: ``(n_train,)`` targets, ascending.
            leaves: ``(n_trees, n_train)`` leaf of each training row, negative where it is out of bag.
            weights: ``(n_trees, n_train)`` weight of each training row in its leaf.
            quantiles: what to predict.
            n_features: columns of a row.

        Raises:
            ModelError: ARTIFACT_INVALID, the arrays contradict each other.
        """
        if leaves.shape != (len(nodes), len(y_train)) or weights.shape != leaves.shape:
            raise _invalid(
                f"{len(nodes)} trees and {len(y_train)} training rows, but leaves {leaves.shape} "
                f"and weights {weights.shape}"
            )
        if leaves.dtype.kind != "i":
            raise _invalid(f"leaves are {leaves.dtype}, expected integers")
        sizes = np.array([len(tree) for tree in nodes], dtype=np.int64)
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        flat = {name: np.concatenate([tree[name] for tree in nodes]) for name in _NODE_FIELDS}
        shift = np.repeat(roots, sizes)
        own = np.arange(len(shift), dtype=np.int32)
        leaf = flat["left_child"] < 0
        tree_of, row_of = np.nonzero(leaves >= 0)
        if (leaves >= sizes[:, None]).any():
            raise _invalid("a training row lies in a leaf that its tree does not have")
        node_of = roots[tree_of] + leaves[tree_of, row_of]
        order = np.argsort(node_of, kind="stable")  # rows stay ascending within a leaf
        return cls(
            feature=np.where(leaf, -1, flat["feature"]).astype(np.int32),
            threshold=np.ascontiguousarray(flat["threshold"], dtype=np.float64),
            left=np.where(leaf, own, shift + flat["left_child"]).astype(np.int32),
            right=np.where(leaf, own, shift + flat["right_child"]).astype(np.int32),
            roots=roots,
            starts=np.searchsorted(node_of[order], np.arange(len(shift) + 1)).astype(np.int64),
            rows=row_of[order].astype(np.int32),
            weights=weights[tree_of[order], row_of[order]].astype(np.float32),
            y_train=np.ascontiguousarray(y_train, dtype=np.float32),
            quantiles=np.array(quantiles, dtype=np.float64),
            n_features=np.array([n_features], dtype=np.int64),
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name; :meth:`from_arrays` makes the same forest of them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Make a forest of named arrays.

        Raises:
            ModelError: ARTIFACT_INVALID, an array is missing, superfluous or of another type, or they
                contradict each other.
        """
        names = {field.name for field in fields(cls)}
        if set(arrays) != names:
            raise _invalid(f"expected the arrays {sorted(names)}, found {sorted(arrays)}")
        return cls(**arrays)

    def predict(
        self, features: NDArray[np.floating], quantiles: Sequence[float] | None = None
    ) -> NDArray[np.float32]:
        """Quantiles for a batch of rows; each row's answer does not depend on the others.

        The rule is sklearn-quantile 0.1.1's, in float32: weights are summed over the trees, divided by
        their total and accumulated in ascending order of the target; quantile q falls on the first
        training row whose cumulative weight reaches ``q - 1e-6``, interpolated linearly from the
        previous weighted row.

        Args:
            features: ``(n, n_features)``; cast to float32, as in training.
            quantiles: in (0, 1); by default the forest's own.

        Returns:
            ``(n, n_quantiles)`` float32.

        Raises:
            ValueError: the rows have another number of columns, or hold a NaN.
        """
        width = int(self.n_features[0])
        if features.ndim != 2 or features.shape[1] != width:
            raise ValueError(f"expected rows of {width} features, found an array of shape {features.shape}")
        rows = np.ascontiguousarray(features, dtype=np.float32)
        if np.isnan(rows).any():
            raise ValueError("a feature is NaN")
        wanted = self.quantiles if quantiles is None else np.array(quantiles, dtype=np.float64)
        found: NDArray[np.float32] = predict_rows(
            rows,
            self.feature,
            self.threshold,
            self.left,
            self.right,
            self.roots,
            self.starts,
            self.rows,
            self.weights,
            self.y_train,
            wanted.astype(np.float32),
        )
        return found


def _check(forest: Forest) -> None:
    """Refuse arrays with which prediction could go astray, out of bounds or round in circles."""
    kinds = Forest.__annotations__
    for name, array in forest.to_arrays().items():
        expected = kinds[name].split(".")[-1].rstrip("]")
        if array.dtype != np.dtype(expected) or array.ndim != 1 or not array.flags.c_contiguous:
            raise _invalid(
                f"array {name} is {array.dtype} {array.shape}, expected {expected} of one dimension"
            )
    nodes, entries = len(forest.feature), len(forest.rows)
    own = np.arange(nodes)
    leaf = forest.feature < 0
    inner = ~leaf

    def tree_of(node: NDArray[np.integer]) -> NDArray[np.int64]:
        return np.searchsorted(forest.roots, node, side="right")

    complaints = {
        "the node arrays are of different lengths": not (
            len(forest.threshold) == len(forest.left) == len(forest.right) == len(forest.starts) - 1 == nodes
        ),
        "there is no tree": len(forest.roots) == 0 or nodes == 0,
    }
    _complain(complaints)
    _complain(
        {
            "a root is not a node": bool((forest.roots < 0).any() or (forest.roots >= nodes).any()),
            # children come after their parents: every path down a tree ends
            "a child does not come after its parent": bool(
                (forest.left[inner] <= own[inner]).any()
                or (forest.right[inner] <= own[inner]).any()
                or (forest.left >= nodes).any()
                or (forest.right >= nodes).any()
            ),
            "a child belongs to another tree": bool(
                (np.diff(forest.roots) <= 0).any()
                or (tree_of(forest.left) != tree_of(own)).any()
                or (tree_of(forest.right) != tree_of(own)).any()
            ),
            "a node splits on a feature that is not there": bool(
                (forest.feature >= forest.n_features[0]).any()
            ),
            "a threshold is not finite": not np.isfinite(forest.threshold[inner]).all(),
            "the leaves' entries are out of order": bool(
                forest.starts[0] != 0 or forest.starts[-1] != entries or (np.diff(forest.starts) < 0).any()
            ),
            "a leaf is empty, or an inner node is not": bool(((np.diff(forest.starts) > 0) != leaf).any()),
            "rows and weights are of different lengths": entries != len(forest.weights),
        }
    )
    _complain(
        {
            "a leaf names a training row that is not there": bool(
                (forest.rows < 0).any() or (forest.rows >= len(forest.y_train)).any()
            ),
            "a weight is negative or not finite": not (
                np.isfinite(forest.weights).all() and (forest.weights >= 0).all()
            ),
            "a leaf has no weight": bool(
                (np.add.reduceat(forest.weights, forest.starts[:-1][leaf]) <= 0).any()
            ),
            "the targets are not finite or not ascending": not (
                np.isfinite(forest.y_train).all() and (np.diff(forest.y_train) >= 0).all()
            ),
            "a quantile is not between 0 and 1": not (
                (forest.quantiles > 0).all() and (forest.quantiles < 1).all()
            ),
        }
    )


def _complain(complaints: dict[str, bool]) -> None:
    for complaint, true in complaints.items():
        if true:
            raise _invalid(complaint)


def _invalid(reason: str) -> ModelError:
    return ModelError(ErrorCode.ARTIFACT_INVALID, f"not a forest that can be used: {reason}")
