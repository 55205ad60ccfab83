"""Which of some structures are most worth labelling, by their features and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["Suggestions", "Whitening", "suggest"]


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """Features on equal terms: columns scaled by the training set, then its main directions.

    Attributes:
        mean: ``(k,)``.
        directions: ``(k, d)``; columns of a training set become uncorrelated, of unit variance.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.floating], explained: float = 0.95) -> Whitening:
        """The directions that explain a share of the variance of ``(n, k)`` training features."""
        mean = features.mean(axis=0)
        scale = features.std(axis=0)
        scaled = np.divide(features - mean, scale, out=np.zeros(features.shape), where=scale > 0)
        _, singular, directions = np.linalg.svd(scaled, full_matrices=False)
        share = np.cumsum(singular**2) / max(float((singular**2).sum()), np.finfo(float).tiny)
        kept = min(int(np.searchsorted(share, explained)) + 1, int((singular > 0).sum()) or 1)
        inverse = np.divide(1.0, scale, out=np.zeros(len(scale)), where=scale > 0)
        stretch = np.sqrt(max(len(features) - 1, 1)) / np.maximum(singular[:kept], np.finfo(float).tiny)
        return cls(mean, inverse[:, None] * directions[:kept].T * stretch)

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """``(n, k)`` features as ``(n, d)`` coordinates."""
        coordinates: NDArray[np.float64] = (features - self.mean) @ self.directions
        return coordinates


@dataclass(frozen=True, slots=True, eq=False)
class Suggestions:
    """The choice, best first.

    Attributes:
        rows: ``(count,)`` int64, places among the candidates.
        width: ``(count,)`` log of upper over lower bound.
        distance: ``(count,)`` from the training set, in units of its own typical nearest-neighbour distance;
            NaN if that is not known.
        score: ``(count,)`` what they were chosen by, at the time they were.
    """

    rows: NDArray[np.int64]
    width: NDArray[np.float64]
    distance: NDArray[np.float64]
    score: NDArray[np.float64]


def suggest(
    candidates: NDArray[np.floating],
    bounds: NDArray[np.float64],
    training: NDArray[np.floating] | None,
    count: int,
) -> Suggestions:
    """Choose candidates to label.

    Args:
        candidates: ``(m, k)`` features.
        bounds: ``(m, 2)`` lower and upper bound, 1/Å, positive.
        training: ``(n, k)`` features of the training set; None if it is not known.
        count: how many; all candidates if there are fewer.

    Returns:
        At most ``count`` different candidates.  The same input gives the same choice.
    """
    width = np.log(bounds[:, 1] / bounds[:, 0])
    count = min(count, len(candidates))
    if training is None:
        pool = Whitening.of(candidates)(candidates)
        beyond = np.full(len(pool), 2 * np.linalg.norm(pool, axis=1).max())  # no two are further apart
        rows, score = _greedy(pool, beyond, width, count)
        return Suggestions(rows, width[rows], np.full(len(rows), np.nan), score)
    whiten = Whitening.of(training)
    seen, pool = whiten(training), whiten(candidates)
    unit = max(float(np.median(_nearest_other(seen))), np.finfo(float).tiny)
    distance = _nearest(pool, seen) / unit
    rows, score = _greedy(pool / unit, distance, width, count)
    return Suggestions(rows, width[rows], distance[rows], score)


@kernel(nogil=True)
def _nearest(points, others):  # type: ignore[no-untyped-def]
    """Distance of each of ``(m, d)`` points to the nearest of ``(n, d)`` others."""
    found = np.empty(len(points))
    for i in range(len(points)):
        best = np.inf
        for j in range(len(others)):
            total = 0.0
            for k in range(points.shape[1]):
                total += (points[i, k] - others[j, k]) ** 2
                if total >= best:
                    break
            best = min(best, total)
        found[i] = np.sqrt(best)
    return found


@kernel(nogil=True)
def _nearest_other(points):  # type: ignore[no-untyped-def]
    """Distance of each of ``(n, d)`` points to the nearest of the others that is not the same point."""
    found = np.zeros(len(points))
    for i in range(len(points)):
        best = np.inf
        for j in range(len(points)):
            total = 0.0
            for k in range(points.shape[1]):
                total += (points[i, k] - points[j, k]) ** 2
            if 0.0 < total < best:
                best = total
        found[i] = np.sqrt(best) if best < np.inf else 0.0
    return found


@kernel(nogil=True)
def _greedy(points, distance, width, count):  # type: ignore[no-untyped-def]
    """Take the largest ``width * distance``, then let it count as seen, again and again."""
    remaining = distance.copy()
    taken = np.zeros(len(points), dtype=np.bool_)
    rows = np.empty(count, dtype=np.int64)
    score = np.empty(count)
    for place in range(count):
        best, best_score = -1, -1.0
        for i in range(len(points)):
            value = width[i] * remaining[i]
            if not taken[i] and value > best_score:
                best, best_score = i, value
        taken[best] = True
        rows[place], score[place] = best, best_score
        for i in range(len(points)):
            total = 0.0
            for k in range(points.shape[1]):
                total += (points[i, k] - points[best, k]) ** 2
            remaining[i] = min(remaining[i], np.sqrt(total))
    return rows, score
