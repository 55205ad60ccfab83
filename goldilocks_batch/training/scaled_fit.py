"""Calibrate a location and a scale: shift, pooled scores, and factors of groups at the knots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.models.scaled import FAMILIES, KNOTS, Groups, Scaled, product_of
from goldilocks_batch.training.labelled import Labelled

__all__ = ["DAMPING", "More", "calibrate_scaled"]

#: How far a group's own quantile counts at each knot.  With 1 every group would be covered as the whole is,
#: and at 0.95 a bound would cost a third more k-points; as it is, groups of 100 labels and more stay within
#: three points of the whole.
DAMPING = (0.5, 0.45, 0.40, 0.13)
#: The group of the smallest cells counts in full: labels are thin there, and errors large.
_SMALLEST = 0.5
#: Labels at which a group's factor counts half.
_HALF = 60
_CYCLES = 3
#: Fewer rows than this say nothing of a group.
_LEAST = 10


@dataclass(frozen=True, slots=True, eq=False)
class More:
    """Structures that calibrate the smallest cells besides: of a protocol near the labels'.

    Attributes:
        scores: ``(t, m)``, ``log kdist - μ`` over w; NaN where there is no label.
        scale: ``(t, m)``, w.
        groups: of the structures.
    """

    scores: NDArray[np.float64]
    scale: NDArray[np.float64]
    groups: Groups


def calibrate_scaled(
    data: Labelled,
    location: NDArray[np.float64],
    scale: NDArray[np.float64],
    groups: Groups,
    more: More | None = None,
) -> Scaled:
    """A calibration of held-out rows.

    Args:
        data: the labels.
        location: ``(n, t)`` μ, out of fold.
        scale: ``(n, t)`` w, likewise.
        groups: of the rows.
        more: further structures for the factor of the smallest cells.
    """
    label = data.label
    tolerances = range(label.shape[1])
    shift = np.array([float(np.median(label[:, t] - location[:, t])) for t in tolerances])
    scores = [(label[:, t] - location[:, t] - shift[t]) / scale[:, t] for t in tolerances]
    factors: dict[str, list[NDArray[np.float64]]] = {name: [] for name in FAMILIES}
    widths = np.empty((len(scores), len(KNOTS)))
    for t, z in enumerate(scores):
        found = _factors(-z, groups, None if more is None else _extra(more, t, shift[t]))
        for name in FAMILIES:
            factors[name].append(found[name])
        product = product_of(found, groups, len(KNOTS))
        widths[t] = [_rank(-z / product[:, j], knot) for j, knot in enumerate(KNOTS)]
    return Scaled(
        shift,
        np.sort(np.array(scores), axis=1).astype(np.float32),
        np.maximum(np.maximum.accumulate(widths, axis=1), 0.0),
        {name: np.array(values) for name, values in factors.items()},
    )


def _rank(scores: NDArray[np.float64], confidence: float) -> float:
    rank = min(math.ceil((len(scores) + 1) * confidence - 1e-9), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


def _extra(more: More, tolerance: int, shift: float) -> tuple[NDArray[np.float64], Groups]:
    scores = -(more.scores[tolerance] - shift / more.scale[tolerance])
    known = np.isfinite(scores)
    return scores[known], more.groups.take(known)


def _factors(
    scores: NDArray[np.float64], groups: Groups, more: tuple[NDArray[np.float64], Groups] | None
) -> dict[str, NDArray[np.float64]]:
    """Factors ``(knots, groups)`` by family, fitted in turn, a knot at a time."""
    factors = {name: np.ones((len(KNOTS), count)) for name, count in FAMILIES.items()}
    for j, knot in enumerate(KNOTS):
        at: Mapping[str, NDArray[np.float64]] = {name: values[j : j + 1] for name, values in factors.items()}
        for _ in range(_CYCLES):
            for name, count in FAMILIES.items():
                scaled = scores / product_of(at, groups, 1)[:, 0]
                whole = float(np.quantile(scaled, knot))
                if whole <= 0:
                    continue
                for group in range(count):
                    own = scaled[groups.of[name] == group]
                    damping = DAMPING[j]
                    if name == "size" and group == 0:
                        damping = max(damping, _SMALLEST)
                        if more is not None:
                            there = more[0] / product_of(at, more[1], 1)[:, 0]
                            own = np.concatenate([own, there[more[1].of[name] == group]])
                    if len(own) < _LEAST:
                        continue
                    ratio = max(float(np.quantile(own, knot)) / whole, 0.2)
                    factors[name][j, group] *= ratio ** (damping * len(own) / (len(own) + _HALF))
    return factors
