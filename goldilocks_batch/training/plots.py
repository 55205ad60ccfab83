"""Plots of an evaluation: parity with intervals, coverage against nominal, width, waste.

Matplotlib is used without its global state, and files hold no date, so that the same figures give the same
bytes with the same matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.training.dataset import Dataset
from goldilocks_batch.training.evaluate import mesh_points
from goldilocks_batch.training.figures import Coverage, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_MODEL, _LIMIT, _CONSTANT, _GUIDE = "#1f5fa8", "#c8553d", "#8a8a8a", "#333333"
_TICKS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)


def draw(
    dataset: Dataset, bounds: Mapping[float, NDArray[np.float64]], evaluation: Evaluation, folder: Path
) -> list[Path]:
    """Write ``parity.png``, ``coverage.png``, ``width.png`` and ``waste.png``.

    Args:
        dataset: the rows judged.
        bounds: by confidence, ``(n, 3)``, 1/Å; the first is the one shown row by row.
        evaluation: their figures.
        folder: made if it is missing.

    Raises:
        RunError: WRITE_FAILED.
    """
    from matplotlib.figure import Figure

    confidence = next(iter(bounds))
    paths = []
    for name, size in (
        ("parity", (5.2, 5.0)),
        ("coverage", (5.0, 4.6)),
        ("width", (5.2, 4.2)),
        ("waste", (5.6, 4.2)),
    ):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        axes = figure.add_subplot()
        if name == "parity":
            _parity(axes, dataset, bounds[confidence], confidence)
        elif name == "coverage":
            _coverage(axes, evaluation)
        elif name == "width":
            _width(axes, dataset, bounds[confidence], confidence)
        else:
            _waste(axes, dataset, bounds[confidence], evaluation)
        axes.spines[["top", "right"]].set_visible(False)
        paths.append(folder / f"{name}.png")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(paths[-1], metadata={"Software": None})
        except OSError as error:
            raise RunError(ErrorCode.WRITE_FAILED, f"cannot write {paths[-1]}: {error}") from error
    return paths


def _parity(axes: Axes, dataset: Dataset, bounds: NDArray[np.float64], confidence: float) -> None:
    known = ~dataset.censored
    true = _apart(np.where(known, dataset.kdist, dataset.at_most))
    lower, median, upper = bounds.T
    missed = lower > np.where(known, dataset.kdist, dataset.at_most)
    dense = min(1.0, 60 / len(dataset))
    for rows, color, marker, label in (
        (known & ~missed, _MODEL, "o", "lower bound holds"),
        (~known & ~missed, _CONSTANT, "<", "only a limit is known, which the lower bound keeps to"),
        (missed, _LIMIT, "o", "lower bound too high: would not be converged"),
    ):
        if rows.any():
            axes.vlines(true[rows], lower[rows], upper[rows], color=color, lw=0.5, alpha=0.1 + 0.5 * dense)
            axes.plot(
                true[rows],
                median[rows],
                marker,
                ms=2.2 + 2 * dense,
                mew=0,
                color=color,
                alpha=0.5 + 0.4 * dense,
                zorder=3,
                label=f"{label} ({rows.sum()})",
            )
    values = np.concatenate([dataset.kdist[known], bounds.ravel()])
    span = values.min() / 1.08, values.max() * 1.08
    axes.plot(span, span, color=_GUIDE, lw=0.9)
    axes.set(xlim=span, ylim=span, aspect="equal")
    _logarithmic(axes, "x")
    _logarithmic(axes, "y")
    axes.set_xlabel("label, 1/Å")
    axes.set_ylabel("predicted: median, and lower to upper bound, 1/Å")
    axes.set_title(f"{len(dataset)} rows, bounds at confidence {confidence:.2f}", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left", markerscale=1.6)


def _apart(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Labels lie on a ladder: moved by up to a third of its steps, so that rows can be told apart."""
    rungs = np.unique(np.log(values))
    step = float(np.median(np.diff(rungs))) if len(rungs) > 1 else 0.0
    moved: NDArray[np.float64] = values * np.exp(
        np.random.default_rng(0).uniform(-step / 3, step / 3, len(values))
    )
    return moved


def _coverage(axes: Axes, evaluation: Evaluation) -> None:
    series = (
        ("lower bound", _MODEL, "o", [(v.confidence, v.lower) for v in evaluation.levels]),
        ("upper bound", _LIMIT, "s", [(v.confidence, v.upper) for v in evaluation.levels]),
        (
            "between the bounds",
            _CONSTANT,
            "D",
            [(2 * v.confidence - 1, v.central) for v in evaluation.levels],
        ),
    )
    lowest = 1.0
    for place, (label, color, marker, points) in enumerate(series):
        nominal = np.array([x for x, _ in points]) + 0.006 * (place - 1)
        middle = np.array([0.5 * (c.least + c.most) for _, c in points])
        bars = np.array([[m - c.low, c.high - m] for m, (_, c) in zip(middle, points, strict=True)]).T
        axes.errorbar(nominal, middle, bars, fmt=marker, ms=5, lw=1.1, capsize=2.5, color=color, label=label)
        lowest = min(lowest, float(nominal.min()), float((middle - bars[0]).min()))
    span = lowest - 0.03, 1.005
    axes.plot(span, span, color=_GUIDE, lw=0.9, zorder=0, label="as promised")
    axes.set(xlim=span, ylim=span, aspect="equal")
    axes.set_xlabel("nominal coverage")
    axes.set_ylabel("measured, with 95 % error bars")
    axes.set_title(f"coverage on {evaluation.rows} rows", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _width(axes: Axes, dataset: Dataset, bounds: NDArray[np.float64], confidence: float) -> None:
    ratio = bounds[:, 2] / bounds[:, 0]
    axes.plot(bounds[:, 1], ratio, "o", ms=2.6, mew=0, color=_MODEL, alpha=0.4)
    order = np.argsort(bounds[:, 1])
    parts = [part for part in np.array_split(order, min(10, max(1, len(dataset) // 15))) if len(part)]
    centres = [np.median(bounds[part, 1]) for part in parts]
    axes.plot(
        centres, [np.median(ratio[part]) for part in parts], color=_LIMIT, lw=1.8, label="running median"
    )
    _logarithmic(axes, "x")
    axes.set_ylim(bottom=1)
    axes.set_xlabel("predicted median, 1/Å")
    axes.set_ylabel("upper bound over lower bound")
    axes.set_title(f"width of the interval, confidence {confidence:.2f}", fontsize=10)
    axes.legend(frameon=False, fontsize=8)


def _waste(axes: Axes, dataset: Dataset, bounds: NDArray[np.float64], evaluation: Evaluation) -> None:
    known = ~dataset.censored
    lattices = dataset.lattices[known]
    needed = mesh_points(lattices, dataset.kdist[known])
    level = evaluation.levels[0]
    constant = np.full(int(known.sum()), level.constant_kdist)
    wastes = [mesh_points(lattices, kdist) / needed for kdist in (bounds[known, 0], constant)]
    low, high = np.log2(min(w.min() for w in wastes)), np.log2(max(w.max() for w in wastes))
    bins = 3 if len(needed) > 200 else 1  # to a factor of two, with an edge at exactly 1
    edges = 2 ** (np.arange(np.floor(low * bins), np.floor(high * bins) + 2) / bins)
    for label, color, waste, mean in (
        ("model's lower bound", _MODEL, wastes[0], level.model.waste),
        (f"constant {level.constant_kdist:.3f} 1/Å", _CONSTANT, wastes[1], level.constant_waste),
    ):
        axes.hist(waste, edges.tolist(), histtype="stepfilled", color=color, alpha=0.25)
        axes.hist(
            waste, edges.tolist(), histtype="step", color=color, lw=1.4, label=f"{label}: mean {mean:.1f}"
        )
    axes.axvline(1, color=_GUIDE, lw=0.9)
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])  # room for the legend
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×" if value >= 1 else f"1/{1 / value:g}×")
    axes.set_xlabel("k-points over those of the label's mesh (below 1: not converged)")
    axes.set_ylabel("structures")
    axes.set_title(
        f"confidence {level.confidence:.2f}: both converge {_up_to(level.lower)} of the rows", fontsize=10
    )
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def _up_to(coverage: Coverage) -> str:
    return f"{'up to ' if coverage.unknown else ''}{100 * coverage.most:.0f} %"


def _logarithmic(axes: Axes, which: str) -> None:
    """A logarithmic axis with plain numbers at round ticks."""
    getattr(axes, f"set_{which}scale")("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    axis.set_ticks([tick for tick in _TICKS if low <= tick <= high])
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_ticks([], minor=True)
