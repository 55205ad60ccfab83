"""Calibrate a location and a scale: shift, scores, factors of groups at the knots, lines of small cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.models.scaled import FAMILIES, KNOTS, Groups, Scaled, product_of
from goldilocks_batch.training.labelled import Labelled

__all__ = ["DAMPING", "More", "calibrate_scaled", "small_constants"]

#: How far a group's own quantile counts at each knot.  With 1 every group would be covered as the whole is,
#: and at 0.95 a bound would cost a seventh more k-points; as it is, groups of 100 labels and more stay within
#: two points of the whole.
DAMPING = (0.5, 0.45, 0.40, 0.20)
#: Labels at which a group's factor counts half.
_HALF = 60
_CYCLES = 3
#: Fewer rows than this say nothing of a group.
_LEAST = 10
#: Slopes that a line may have, and how many rows it needs.
_SLOPES = np.linspace(0.0, 1.0, 21)
_LEAST_OF_LINES = 40
#: What a label of a small cell weighs beside a study of one: labels were found by matching, studies were not.
_LABEL = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class More:
    """Studies of small cells, of a protocol near the labels', which calibrate these besides.

    Attributes:
        label: ``(t, m)`` log kdist; NaN where there is none.
        location: ``(t, m)`` μ.
    """

    label: NDArray[np.float64]
    location: NDArray[np.float64]


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
        more: studies of the smallest cells, for their lines.
    """
    label = data.label
    tolerances = range(label.shape[1])
    shift = np.array([float(np.median(label[:, t] - location[:, t])) for t in tolerances])
    scores = [(label[:, t] - location[:, t] - shift[t]) / scale[:, t] for t in tolerances]
    factors: dict[str, list[NDArray[np.float64]]] = {name: [] for name in FAMILIES}
    widths = np.empty((len(scores), len(KNOTS)))
    for t, z in enumerate(scores):
        found = _factors(-z, groups)
        for name in FAMILIES:
            factors[name].append(found[name])
        product = product_of(found, groups, len(KNOTS))
        widths[t] = [_rank(-z / product[:, j], knot) for j, knot in enumerate(KNOTS)]
    return Scaled(
        shift,
        np.sort(np.array(scores), axis=1).astype(np.float32),
        np.maximum(np.maximum.accumulate(widths, axis=1), 0.0),
        {name: np.array(values) for name, values in factors.items()},
        _lines(label, location, groups.of["size"] == 0, more),
    )


def _rank(scores: NDArray[np.float64], confidence: float) -> float:
    rank = min(math.ceil((len(scores) + 1) * confidence - 1e-9), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


def _lines(
    label: NDArray[np.float64],
    location: NDArray[np.float64],
    small: NDArray[np.bool_],
    more: More | None,
) -> NDArray[np.float64] | None:
    """Lines ``(t, knots, 2)`` of the smallest cells; None where a tolerance has too few of them.

    The slope at a knot is one for all tolerances, that of the least sum of their losses: each alone has too
    few cells to tell slopes apart.
    """
    rows = [_small_cells(label[small, t], location[small, t], more, t) for t in range(label.shape[1])]
    if min(len(truth) for truth, _, _ in rows) < _LEAST_OF_LINES:
        return None
    lines = np.empty((len(rows), len(KNOTS), 2))
    for j, knot in enumerate(KNOTS):
        tried = [[_line(*own, knot, slope) for own in rows] for slope in _SLOPES]
        lines[:, j] = [line[1:] for line in min(tried, key=lambda lines: sum(line[0] for line in lines))]
    return lines


def small_constants(
    data: Labelled, location: NDArray[np.float64], groups: Groups, more: More | None
) -> dict[str, dict[str, float]]:
    """Constants, 1/Å, that converge a share of the smallest cells, by tolerance and share.

    Labels and studies count as in the lines; empty where they are too few for these.
    """
    small, found = groups.of["size"] == 0, {}
    for t, tolerance in enumerate(data.tolerances):
        rows = _small_cells(data.label[small, t], location[small, t], more, t)
        if len(rows[0]) < _LEAST_OF_LINES:
            return {}
        shares = [round(0.01 * i, 2) for i in range(50, 99)]
        found[f"{tolerance:g}"] = {
            f"{c:g}": round(float(np.exp(-_line(*rows, c, slope=0.0)[2])), 5) for c in shares
        }
    return found


def _small_cells(
    label: NDArray[np.float64], location: NDArray[np.float64], more: More | None, tolerance: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Labels and studies of the smallest cells: log kdist, μ and weight."""
    truth, answer, weight = label, location, np.full(len(label), _LABEL)
    if more is not None:
        known = np.isfinite(more.label[tolerance])
        truth = np.concatenate([truth, more.label[tolerance, known]])
        answer = np.concatenate([answer, more.location[tolerance, known]])
        weight = np.concatenate([weight, np.ones(int(known.sum()))])
    return truth, answer, weight


def _line(
    truth: NDArray[np.float64],
    answer: NDArray[np.float64],
    weight: NDArray[np.float64],
    confidence: float,
    slope: float,
) -> tuple[float, float, float]:
    """A line that lies below a share of the labels: its pinball loss, slope and offset."""
    excess = slope * answer - truth
    order = np.argsort(excess, kind="stable")
    share = np.cumsum(weight[order]) / (weight.sum() + weight.mean())  # of the row that is asked for too
    offset = float(excess[order[min(int(np.searchsorted(share, confidence)), len(order) - 1)]])
    above = offset - excess
    loss = weight * np.where(above >= 0, (1.0 - confidence) * above, -confidence * above)
    return float(loss.sum()), float(slope), offset


def _factors(scores: NDArray[np.float64], groups: Groups) -> dict[str, NDArray[np.float64]]:
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
                    if len(own) < _LEAST:
                        continue
                    ratio = max(float(np.quantile(own, knot)) / whole, 0.2)
                    factors[name][j, group] *= ratio ** (DAMPING[j] * len(own) / (len(own) + _HALF))
    return factors
