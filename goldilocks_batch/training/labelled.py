"""Labels at several tolerances, each an interval of k-distances or a lower limit, with features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Labelled"]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """What a boosted model learns from; t tolerances, n structures.

    Attributes:
        features: ``(n, k)`` float64.
        tolerances: ``(t,)`` meV per atom, ascending.
        low: ``(n, t)`` log of the smallest k-distance that gives the converged mesh.
        high: ``(n, t)`` log of the largest; infinite where Γ alone is enough.
        groups: ``(n,)`` compositions.
        weights: ``(n,)`` of the rows.
    """

    features: NDArray[np.float64]
    tolerances: tuple[float, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    groups: NDArray[np.str_]
    weights: NDArray[np.float64]

    @property
    def middle(self) -> NDArray[np.float64]:
        """``(n, t)`` middles of the intervals; the lower end of one that has no upper."""
        return np.where(np.isfinite(self.high), 0.5 * (self.low + self.high), self.low)

    @property
    def label(self) -> NDArray[np.float64]:
        """``(n, t)`` logs of the labels: upper ends, the lower of an interval that has none."""
        return np.where(np.isfinite(self.high), self.high + np.log1p(-1e-6), self.low)

    def take(self, rows: NDArray[Any]) -> Labelled:
        """Some of the structures."""
        return Labelled(
            self.features[rows],
            self.tolerances,
            *(self.low[rows], self.high[rows], self.groups[rows], self.weights[rows]),
        )
