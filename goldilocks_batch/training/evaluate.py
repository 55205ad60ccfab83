"""How good bounds are: errors, coverage with error bars, width, and what they cost in k-points.

Two things make the coverage of a constant incomparable with a model's at face value: labels lie on a ladder,
so few coverages can be hit, and a constant that covers more costs more.  Constants are therefore compared at
the model's own coverage, by linear interpolation between the two rungs around it (a constant drawn at random
between the two would have just that coverage and that cost).

Of some rows only a limit is known (``true ≤ limit``).  A lower bound above the limit has missed; one below it
may or may not hold.  Such rows are counted apart, and coverage is given as a range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.kpoints.mesh import mesh
from goldilocks_batch.structures.symmetry import SYSTEMS
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.figures import CONSTANTS, Coverage, Evaluation, Level, Spending

__all__ = ["evaluate", "mesh_points"]


#: Largest number of sites in each bin of cell sizes.
_SIZES = (1, 2, 4, 10, 20, 50)


def evaluate(
    dataset: Dataset,
    bounds: Mapping[float, NDArray[np.float64]],
    intervals: Mapping[float, NDArray[np.float64]] | None = None,
) -> Evaluation:
    """Judge bounds.

    Args:
        dataset: rows that had no part in making the bounds; at least one has a label.
        bounds: by confidence, ``(n, 3)`` lower, median, upper, 1/Å; the same median in all.
        intervals: the same with bounds calibrated as a pair; None if the model has none.
    """
    known = ~dataset.censored
    truth = dataset.kdist[known]
    median = next(iter(bounds.values()))[known, 1]
    spread = float(((truth - truth.mean()) ** 2).sum())
    return Evaluation(
        rows=len(dataset),
        labelled=int(known.sum()),
        mae=float(np.abs(truth - median).mean()),
        r2=1.0 - float(((truth - median) ** 2).sum()) / spread if spread > 0 else math.nan,
        mae_constant=float(np.abs(truth - np.median(truth)).mean()),
        levels=tuple(
            _level(dataset, confidence, bounds[confidence], (intervals or {}).get(confidence))
            for confidence in bounds
        ),
        constants={
            name: _spending(dataset, np.full(len(dataset), kdist)) for name, kdist in CONSTANTS.items()
        },
    )


def mesh_points(lattices: NDArray[np.float64], kdist: NDArray[np.float64]) -> NDArray[np.int64]:
    """k-points of the full mesh of ``(n, 3, 3)`` cells at ``(n,)`` distances, all axes periodic."""
    divisions = mesh(kdist, lattices, np.ones((len(kdist), 3), dtype=bool))
    points: NDArray[np.int64] = divisions.prod(axis=1)
    return points


def _level(
    dataset: Dataset,
    confidence: float,
    bounds: NDArray[np.float64],
    interval: NDArray[np.float64] | None,
) -> Level:
    known = ~dataset.censored
    truth, (lower, _, upper) = dataset.kdist[known], bounds[known].T
    losses = [
        _pinball(truth, b, q) for b, q in zip(bounds[known].T, (1 - confidence, 0.5, confidence), strict=True)
    ]
    model = _spending(dataset, bounds[:, 0])
    kdist, kpoints, waste = _constant_at(dataset, model.coverage.most)
    return Level(
        confidence=confidence,
        lower=model.coverage,
        upper=_upper_coverage(dataset, bounds[:, 2]),
        central=_central_coverage(dataset, bounds),
        two_sided=None if interval is None else _central_coverage(dataset, interval),
        two_sided_width=None if interval is None else float((interval[known, 2] - interval[known, 0]).mean()),
        pinball=float(np.mean(losses)),
        width=float((upper - lower).mean()),
        width_ratio=float(np.exp(np.log(upper / lower).mean())),
        model=model,
        constant_kdist=kdist,
        constant_kpoints=kpoints,
        constant_waste=waste,
        groups=_by_group(dataset, bounds[:, 0]),
    )


def _pinball(truth: NDArray[np.float64], bound: NDArray[np.float64], quantile: float) -> float:
    error = truth - bound
    return float(np.maximum(quantile * error, (quantile - 1) * error).mean())


def _lower_coverage(dataset: Dataset, lower: NDArray[np.float64]) -> Coverage:
    holds = dataset.kdist >= lower  # False where there is no label
    unknown = dataset.censored & (lower <= dataset.at_most)
    return Coverage(len(dataset), int(holds.sum()), int(unknown.sum()))


def _upper_coverage(dataset: Dataset, upper: NDArray[np.float64]) -> Coverage:
    holds = np.where(dataset.censored, dataset.at_most <= upper, dataset.kdist <= upper)
    unknown = dataset.censored & ~holds
    return Coverage(len(dataset), int(holds.sum()), int(unknown.sum()))


def _central_coverage(dataset: Dataset, bounds: NDArray[np.float64]) -> Coverage:
    holds = (dataset.kdist >= bounds[:, 0]) & (dataset.kdist <= bounds[:, 2])
    unknown = dataset.censored & (bounds[:, 0] <= dataset.at_most)
    return Coverage(len(dataset), int(holds.sum()), int(unknown.sum()))


def _spending(dataset: Dataset, kdist: NDArray[np.float64]) -> Spending:
    known = ~dataset.censored
    points = mesh_points(dataset.lattices, kdist)
    needed = mesh_points(dataset.lattices[known], dataset.kdist[known])
    return Spending(
        kdist=float(np.exp(np.log(kdist).mean())),
        coverage=_lower_coverage(dataset, kdist),
        kpoints=int(points.sum()),
        waste=float((points[known] / needed).mean()),
        mae=float(np.abs(kdist[known] - dataset.kdist[known]).mean()),
    )


def _constant_at(dataset: Dataset, coverage: float) -> tuple[float, float, float]:
    """Constant, its k-points and its waste at a coverage, interpolated between rungs of the labels."""
    rungs = np.unique(np.concatenate([dataset.kdist, dataset.at_most]))
    rungs = rungs[np.isfinite(rungs)][::-1]  # a smaller constant covers more
    covered = np.array([_lower_coverage(dataset, np.full(len(dataset), rung)).most for rung in rungs])
    after = min(int(np.searchsorted(covered, coverage)), len(rungs) - 1)
    before = max(after - 1, 0)
    pair = [_spending(dataset, np.full(len(dataset), rungs[index])) for index in (before, after)]
    gap = covered[after] - covered[before]
    share = 1.0 if gap <= 0 else float((coverage - covered[before]) / gap)
    values = np.array([[s.kdist, s.kpoints, s.waste] for s in pair])
    kdist, kpoints, waste = values[0] + share * (values[1] - values[0])
    return float(kdist), float(kpoints), float(waste)


def _by_group(dataset: Dataset, lower: NDArray[np.float64]) -> dict[str, dict[str, Coverage]]:
    groupings = {
        "crystal system": dataset.systems,
        "elements": dataset.n_elements.astype(str),
        "sites": np.array(_size_names())[np.searchsorted(_SIZES, dataset.n_sites)],
    }
    order = {
        "crystal system": list(SYSTEMS),
        "elements": [str(count) for count in np.unique(dataset.n_elements)],
        "sites": _size_names(),
    }
    found: dict[str, dict[str, Coverage]] = {}
    for kind, groups in groupings.items():
        present = set(groups.tolist())
        names = [name for name in order[kind] if name in present]
        found[kind] = {
            name: _lower_coverage(dataset.take(groups == name), lower[groups == name]) for name in names
        }
    return found


def _size_names() -> list[str]:
    """``1``, ``2``, ``3-4`` … ``over 50``."""
    starts = (0, *_SIZES)
    names = [str(b) if b == a + 1 else f"{a + 1}-{b}" for a, b in zip(starts, _SIZES, strict=False)]
    return [*names, f"over {_SIZES[-1]}"]
