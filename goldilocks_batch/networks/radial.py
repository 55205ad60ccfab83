"""Gaussians on evenly spaced centres, and the few of them that a value is near to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["WINDOW", "RadialBasis", "near_gaussians"]

#: Centres that are evaluated, the five on each side of a value: with ``γ = 1 / spacing²`` the next ones weigh
#: ``exp(-25)``, 1e-11, at most.
WINDOW = 10


@dataclass(frozen=True, slots=True, eq=False)
class RadialBasis:
    """``exp(-γ (v - c)²)``, ``γ = 1 / (c1 - c0)²``.

    Attributes:
        centers: ``(bins,)`` float32, ascending, evenly spaced.
    """

    centers: NDArray[np.float32]

    @property
    def gamma(self) -> float:
        """γ, in 1 / (unit of the centres)²."""
        spacing = np.float32(self.centers[1] - self.centers[0])
        return float(1.0 / spacing**2)

    def __call__(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """``(n, bins)`` Gaussians of ``(n,)`` values."""
        delta = values.astype(np.float32)[:, None] - self.centers
        return np.exp(-np.float32(self.gamma) * delta * delta)

    def near(self, values: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The `WINDOW` (or all, if fewer) Gaussians about each of ``(n,)`` values.

        Returns:
            ``(n,)`` index of the first centre, ``(n, min(WINDOW, bins))`` Gaussians.
        """
        width = min(WINDOW, len(self.centers))
        near: tuple[NDArray[np.int64], NDArray[np.float32]] = near_gaussians(
            values, self.centers, self.gamma, width
        )
        return near


@kernel(error_model="numpy")
def near_gaussians(
    values: NDArray[np.floating], centers: NDArray[np.float32], gamma: float, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """See `RadialBasis.near`."""
    first = np.empty(len(values), dtype=np.int64)
    gaussians = np.empty((len(values), width), dtype=np.float32)
    spacing = float(centers[1]) - float(centers[0])
    for i in range(len(values)):
        nearest = int(np.floor((values[i] - centers[0]) / spacing))
        first[i] = min(max(nearest - width // 2 + 1, 0), len(centers) - width)
        for k in range(width):
            delta = values[i] - centers[first[i] + k]
            gaussians[i, k] = np.exp(-gamma * delta * delta)
    return first, gaussians
