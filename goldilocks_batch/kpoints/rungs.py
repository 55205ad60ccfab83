"""Rungs of many structures on their own ladders, and the rule by which a model publishes one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Band", "Rungs", "published_rungs", "whole_rungs"]

#: Medians below the first number, as whole rungs, publish the second, a quantile; None has no upper end.
Band = tuple[float | None, float]


@dataclass(frozen=True, slots=True, eq=False)
class Rungs:
    """A rung of each of n structures, on their own ladders.

    Attributes:
        rung: ``(n,)`` from 1.
        last: ``(n,)`` rungs of the ladder.
        low: ``(n,)`` smallest k-distance of the rung's interval, 1/Å.
        high: ``(n,)`` its open upper end, 1/Å; NaN for rung 1, which has none.
    """

    rung: NDArray[np.int32]
    last: NDArray[np.int32]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def at(self, chosen: NDArray[np.bool_]) -> Rungs:
        """Those of some of the structures."""
        return Rungs(self.rung[chosen], self.last[chosen], self.low[chosen], self.high[chosen])


def whole_rungs(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Estimates of a rung as whole rungs: ``floor(q + 1/2)``, and at least 1."""
    found: NDArray[np.int64] = np.floor(values.astype(np.float64) + 0.5).astype(np.int64)
    return np.maximum(found, 1)


def published_rungs(
    quantiles: dict[float, NDArray[np.floating]], bands: tuple[Band, ...]
) -> NDArray[np.int64]:
    """The rung that a model publishes: a quantile, chosen by where the median lies, as a whole rung.

    Args:
        quantiles: ``(n,)`` estimates by their level; the median and those of the bands.
        bands: ascending; the last has no upper end.  goldilocks-ml calls this rule ``quantile_by_band``.

    Returns:
        ``(n,)`` rungs, from 1.
    """
    median = whole_rungs(quantiles[0.5])
    found = np.zeros(len(median), dtype=np.int64)
    for below, level in reversed(bands):
        here = np.ones(len(median), dtype=bool) if below is None else median < below
        found[here] = whole_rungs(quantiles[level])[here]
    return found
