"""Counts of positive numbers in logarithmic bins: quantiles of any number of rows in little memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Histogram"]

Floats = NDArray[np.floating[Any]]


class Histogram:
    """Counts by group and bin; the bins are equally wide on a logarithmic scale.

    Numbers beyond the ends count in the first or the last bin; those that are not positive, or no numbers,
    do not count.

    Args:
        low: lower end of the first bin, > 0.
        high: upper end of the last one.
        bins: how many.
        groups: how many sets of counts.

    Attributes:
        counts: ``(groups, bins)``.
        edges: ``(bins + 1,)``.
    """

    def __init__(self, low: float, high: float, bins: int, groups: int = 1) -> None:
        self.edges: NDArray[np.float64] = np.geomspace(low, high, bins + 1)
        self.counts = np.zeros((groups, bins), dtype=np.int64)
        self._first, self._step = np.log(low), np.log(high / low) / bins

    def add(self, values: Floats, groups: NDArray[np.integer[Any]] | int = 0) -> None:
        """Count numbers, ``(n,)``, in the group, or ``(n,)`` groups, that they belong to."""
        groups = np.broadcast_to(groups, values.shape)
        usable = np.isfinite(values) & (values > 0)
        values, groups = values[usable], groups[usable]
        count = self.counts.shape[1]
        # a number on an edge counts above it, whatever the logarithm is rounded to
        bins = (
            np.floor((np.log(values) - self._first) / self._step + 1e-9).astype(np.int64).clip(0, count - 1)
        )
        self.counts += np.bincount(groups * count + bins, minlength=self.counts.size).reshape(
            self.counts.shape
        )

    @property
    def totals(self) -> NDArray[np.int64]:
        """Numbers counted in each group, ``(groups,)``."""
        return np.asarray(self.counts.sum(axis=1))

    def quantiles(self, shares: tuple[float, ...], group: int = 0) -> list[float]:
        """The numbers below which these shares of a group lie, to half a bin; NaN of an empty group."""
        running = np.cumsum(self.counts[group])
        if not running[-1]:
            return [float("nan")] * len(shares)
        bins = np.searchsorted(running, [max(share * running[-1], 1e-9) for share in shares])
        return [float(np.sqrt(self.edges[place] * self.edges[place + 1])) for place in bins]

    def median(self, group: int = 0) -> float:
        """The median of a group; NaN of an empty one."""
        return self.quantiles((0.5,), group)[0]

    def share_below(self, value: float, group: int = 0) -> float:
        """The share of a group below a value, to half a bin; NaN of an empty group."""
        total = self.counts[group].sum()
        below = self.counts[group][self.edges[1:] <= value * (1 + 1e-9)].sum()
        return float(below / total) if total else float("nan")

    def coarse(self, factor: int, group: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Counts and edges with so many bins joined to one, empty ones at both ends left out."""
        joined = np.add.reduceat(self.counts[group], np.arange(0, self.counts.shape[1], factor))
        edges = np.append(self.edges[:-1:factor], self.edges[-1])
        filled = np.flatnonzero(joined)
        if not len(filled):
            return joined[:0], edges[:1]
        return joined[filled[0] : filled[-1] + 1], edges[filled[0] : filled[-1] + 2]
