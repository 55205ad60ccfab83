"""How far a structure is from those that a model was trained on.

Features are standardised and projected on the leading principal axes of the training set; the distance is
that to the third nearest training structure, as a multiple of the distance that 95 % of the training
structures stay below among structures of other compositions.  Errors by distance are in the model's card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, ModelError

__all__ = ["NEIGHBOURS", "Nearness"]

#: The neighbour whose distance counts: one alone may be a wrong label's.
NEIGHBOURS = 3
_KINDS = {"centre": "float64", "axes": "float64", "points": "float32", "unit": "float64"}


@dataclass(frozen=True, eq=False)
class Nearness:
    """The training set in a few dimensions.

    Attributes:
        centre: ``(k,)`` mean of the features.
        axes: ``(k, d)`` from centred features to coordinates.
        points: ``(n, d)`` float32, coordinates of the training structures.
        unit: ``(1,)`` the distance that counts as 1.
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    points: NDArray[np.float32]
    unit: NDArray[np.float64]

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distances of ``(m, k)`` features: ``(m,)``."""
        from goldilocks_batch.models._trees_kernel import kth_smallest

        place = ((features - self.centre) @ self.axes).astype(np.float32)
        # |x - p|² = |x|² + [x, 1] · [-2p, |p|²]: one product
        asked = np.column_stack([place, np.ones(len(place), dtype=np.float32)])
        found = np.empty(len(place))
        kept = min(NEIGHBOURS, len(self.points))
        for start in range(0, len(place), 256):
            found[start : start + 256] = kth_smallest(asked[start : start + 256] @ self._products, kept)
        square = found + (place**2).sum(axis=1)
        nearest: NDArray[np.float64] = np.sqrt(np.maximum(square, 0.0)) / self.unit[0]
        return nearest

    @cached_property
    def _products(self) -> NDArray[np.float32]:
        """``(d + 1, n)``: what coordinates and a 1 are multiplied with."""
        return np.vstack([-2.0 * self.points.T, (self.points**2).sum(axis=1)])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in _KINDS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], columns: int) -> Self:
        """The training set of :meth:`to_arrays`.

        Raises:
            ModelError: ARTIFACT_INVALID, an array is missing, of another type or does not fit the others.
        """
        kinds = {name: str(array.dtype) for name, array in arrays.items()}
        if kinds != _KINDS:
            complaint = f"expected the arrays {_KINDS}, found {kinds}"
        elif (
            arrays["centre"].shape != (columns,)
            or arrays["axes"].shape[:1] != (columns,)
            or arrays["points"].shape[1:] != arrays["axes"].shape[1:]
            or arrays["unit"].shape != (1,)
            or not len(arrays["points"])
        ):
            complaint = "its arrays do not fit each other"
        elif not all(np.isfinite(array).all() for array in arrays.values()) or arrays["unit"][0] <= 0:
            complaint = "a number is not finite, or its unit not positive"
        else:
            return cls(**{name: arrays[name] for name in _KINDS})
        raise ModelError(ErrorCode.ARTIFACT_INVALID, f"no training set that can be used: {complaint}")
