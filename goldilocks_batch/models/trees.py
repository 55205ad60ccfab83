"""An ensemble of boosted regression trees as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, ModelError

__all__ = ["MOST_LEAVES", "Trees"]

#: Leaves that a tree may have: the kernel keeps them as the bits of a word.
MOST_LEAVES = 64

_KINDS = {
    "roots": "int32",
    "features": "int16",
    "thresholds": "float64",
    "children": "int32",
    "leaves": "float64",
}


@dataclass(frozen=True, eq=False)
class Trees:
    """Boosted trees.

    Attributes:
        roots: ``(trees,)`` the first node of each tree; a negative one is a leaf, as in ``children``.
        features: ``(nodes,)`` the column that a node asks.
        thresholds: ``(nodes,)``; a row goes left if its value is not above.
        children: ``(nodes, 2)`` the nodes to the left and right; ``-1 - i`` is leaf i.
        leaves: ``(leaves,)`` their values.
    """

    roots: NDArray[np.int32]
    features: NDArray[np.int16]
    thresholds: NDArray[np.float64]
    children: NDArray[np.int32]
    leaves: NDArray[np.float64]

    @classmethod
    def from_dump(cls, dump: Mapping[str, Any]) -> Self:
        """The trees of LightGBM's ``Booster.dump_model()``.

        Raises:
            ValueError: a split is not of the kind that is known here (numerical, ``<=``).
        """
        roots: list[int] = []
        nodes: list[tuple[int, float]] = []
        children: list[list[int]] = []
        leaves: list[float] = []

        def add(tree: Mapping[str, Any]) -> int:
            if "leaf_value" in tree:
                leaves.append(float(tree["leaf_value"]))
                return -len(leaves)
            if tree["decision_type"] != "<=" or tree["missing_type"] not in ("None", "NaN"):
                raise ValueError(f"a split of kind {tree['decision_type']}, {tree['missing_type']}")
            place = len(nodes)
            nodes.append((int(tree["split_feature"]), float(tree["threshold"])))
            children.append([0, 0])
            children[place] = [add(tree["left_child"]), add(tree["right_child"])]
            return place

        roots = [add(tree["tree_structure"]) for tree in dump["tree_info"]]
        return cls(
            np.array(roots, dtype=np.int32),
            np.array([feature for feature, _ in nodes], dtype=np.int16),
            np.array([threshold for _, threshold in nodes], dtype=np.float64),
            np.array(children, dtype=np.int32).reshape(-1, 2),
            np.array(leaves, dtype=np.float64),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], columns: int) -> Self:
        """The trees of :meth:`to_arrays`, checked so that no row can lead out of them or round in circles.

        Args:
            arrays: by name.
            columns: how many columns a row has.

        Raises:
            ModelError: ARTIFACT_INVALID, an array is missing, of another type, or points where nothing is.
        """
        complaint = _complaint(arrays, columns)
        if complaint:
            raise ModelError(ErrorCode.ARTIFACT_INVALID, f"no boosted trees that can be used: {complaint}")
        return cls(**{name: arrays[name] for name in _KINDS})

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in _KINDS}

    def where(self, column: int, value: float) -> Trees:
        """The same trees for rows whose ``column`` has this value, so that no node has to ask for it."""
        if (column, value) not in self._where:
            self._where[column, value] = self._without(column, value)
        return self._where[column, value]

    @cached_property
    def _where(self) -> dict[tuple[int, float], Trees]:
        return {}

    def _without(self, column: int, value: float) -> Trees:
        asks = self.features == column
        answers = np.where(value <= self.thresholds, self.children[:, 0], self.children[:, 1])

        def passed(links: NDArray[np.int32]) -> NDArray[np.int32]:
            """Where links lead if nodes that ask the column are passed over."""
            while len(asks):
                nodes = np.maximum(links, 0)
                again = (links >= 0) & asks[nodes]
                if not again.any():
                    break
                links = np.where(again, answers[nodes], links)
            return links

        roots = passed(self.roots)
        empty = (roots < 0) & (self.leaves[-1 - np.minimum(roots, -1)] == 0.0)
        return Trees(roots[~empty], self.features, self.thresholds, passed(self.children), self.leaves)

    def within(self, column: int, above: float | None, most: float | None) -> Trees:
        """The same trees where ``column`` is above one value and at most another; 0 elsewhere."""
        if above is not None:
            return self.within(column, None, most)._gated(column, above, inside=1)
        return self if most is None else self._gated(column, most, inside=0)

    def _gated(self, column: int, threshold: float, inside: int) -> Trees:
        """A node before each tree, which leads to it on one side and to a leaf of 0 on the other."""
        count, outside = len(self.roots), -1 - len(self.leaves) - np.arange(len(self.roots), dtype=np.int32)
        gates = np.stack([outside, self._moved(self.roots, count)], axis=1)
        return Trees(
            np.arange(count, dtype=np.int32),
            np.concatenate([np.full(count, column, dtype=np.int16), self.features]),
            np.concatenate([np.full(count, threshold), self.thresholds]),
            np.concatenate([gates if inside else gates[:, ::-1], self._moved(self.children, count)]),
            np.concatenate([self.leaves, np.zeros(count)]),
        )

    @staticmethod
    def _moved(links: NDArray[np.int32], nodes: int, leaves: int = 0) -> NDArray[np.int32]:
        """Links when so many nodes and leaves are put before those that they lead to."""
        return (links + np.where(links >= 0, nodes, -leaves)).astype(np.int32)

    @classmethod
    def weighted(cls, parts: Sequence[Trees], weights: Sequence[float]) -> Trees:
        """Ensembles as one whose prediction is the weighted sum of theirs."""
        nodes = np.cumsum([0, *(len(part.features) for part in parts)]).tolist()
        leaves = np.cumsum([0, *(len(part.leaves) for part in parts)]).tolist()
        moved = [
            (part._moved(part.roots, a, b), part._moved(part.children, a, b))
            for part, a, b in zip(parts, nodes, leaves, strict=False)
        ]
        return cls(
            np.concatenate([roots for roots, _ in moved]),
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.thresholds for part in parts]),
            np.concatenate([children for _, children in moved]),
            np.concatenate([w * part.leaves for w, part in zip(weights, parts, strict=True)]),
        )

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of the leaf values of ``(n, k)`` finite rows: ``(n,)``."""
        from goldilocks_batch.models._trees_kernel import sum_of_leaves

        return sum_of_leaves(np.ascontiguousarray(rows, dtype=np.float64), *self._scored)

    @cached_property
    def _scored(self) -> tuple[Any, ...]:
        """What the kernel takes."""
        from goldilocks_batch.models._trees_layout import laid_out

        return laid_out(self.roots, self.features, self.thresholds, self.children, self.leaves)


def _complaint(arrays: Mapping[str, NDArray[Any]], columns: int) -> str:
    found = {name: str(array.dtype) for name, array in arrays.items()}
    if found != _KINDS:
        return f"expected the arrays {_KINDS}, found {found}"
    nodes, leaves, children = len(arrays["features"]), len(arrays["leaves"]), arrays["children"]
    if children.shape != (nodes, 2) or arrays["thresholds"].shape != (nodes,):
        return "nodes, thresholds and children do not fit each other"
    if any(arrays[name].ndim != 1 for name in ("roots", "features", "leaves")) or not len(arrays["roots"]):
        return "there is no tree, or an array has another shape"
    if nodes and not (arrays["features"].min() >= 0 and arrays["features"].max() < columns):
        return f"a node asks a column that is not among {columns}"
    inner = children >= 0
    if (inner & (children <= np.arange(nodes)[:, None])).any():
        return "a node leads back to itself or to one before it"
    for links in (children, arrays["roots"]):
        if links.size and (links.max() >= nodes or links.min() < -leaves):
            return "a node leads to one that is not there"
    links = np.concatenate([arrays["roots"], children.ravel()])
    if np.bincount(links + leaves).max() > 1:
        return "two nodes lead to the same one"
    if _leaves_of_largest(children) > MOST_LEAVES:
        return f"a tree has more than {MOST_LEAVES} leaves"
    if not (np.isfinite(arrays["thresholds"]).all() and np.isfinite(arrays["leaves"]).all()):
        return "a threshold or a leaf is not finite"
    return ""


def _leaves_of_largest(children: NDArray[np.int32]) -> int:
    """How many leaves the largest tree has; nodes lead to later ones alone."""
    top = np.arange(len(children))
    parents, sides = np.nonzero(children >= 0)
    top[children[parents, sides]] = parents
    while (top[top] != top).any():
        top = top[top]
    return 1 + int(np.bincount(top).max(initial=0))  # a binary tree of n nodes has n + 1 leaves
