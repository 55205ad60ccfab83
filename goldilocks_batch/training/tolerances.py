"""How good bounds at several tolerances are: errors, coverage by group, and what they cost in k-points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.kpoints.mesh import mesh, reciprocal_lengths
from goldilocks_batch.models.constant import AIIDA_BALANCED
from goldilocks_batch.models.scaled import DISTANCES, SIZES, Groups
from goldilocks_batch.training.labelled import Labelled

__all__ = ["LEVELS", "constants_of", "intervals", "judge", "tables"]

#: Confidences that a model is judged at.
LEVELS = (0.95, 0.90, 0.85, 0.80)
#: How far inside its interval a label is taken, relative.
_INSIDE = 5e-5


def intervals(
    kdist: NDArray[np.float64], lattices: NDArray[np.float64], at_least: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The intervals of k-distances that give a label's mesh, as logs of their ends.

    A mesh n is given by ``max_i |b_i| / n_i ≤ kdist < min_i |b_i| / (n_i - 1)``; Γ alone has no upper end.

    Args:
        kdist: ``(n, t)`` labels, 1/Å: the upper end of the interval, to some 1e-6.
        lattices: ``(n, 3, 3)`` the cells whose meshes they are, Å.
        at_least: ``(n, t)`` labels that are known to be no smaller, and no more.
    """
    low, high = np.empty(kdist.shape), np.empty(kdist.shape)
    lengths, periodic = reciprocal_lengths(lattices), np.ones((len(kdist), 3), dtype=bool)
    for t in range(kdist.shape[1]):
        # below the end, which is open, and below the rounding of ratios to five decimals
        counts = mesh(kdist[:, t] * (1.0 - _INSIDE), lattices, periodic)
        low[:, t] = (lengths / counts).max(axis=1)
        above = np.where(counts > 1, lengths / np.maximum(counts - 1, 1), np.inf)
        high[:, t] = above.min(axis=1)
    low, high = np.where(at_least, kdist, low), np.where(at_least, np.inf, high)
    return np.log(low), np.log(high)


def constants_of(label: NDArray[np.float64], tolerances: Sequence[float]) -> dict[str, dict[str, float]]:
    """Constants that converge a share of the labels, by tolerance and share; ``label`` is ``(n, t)``, log."""
    levels = [*(round(0.01 * i, 2) for i in range(50, 100)), 0.995, 0.999]
    return {
        f"{tolerance:g}": {f"{c:g}": round(float(np.exp(np.quantile(label[:, t], 1 - c))), 5) for c in levels}
        for t, tolerance in enumerate(tolerances)
    }


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a figure is made from at one tolerance."""

    label: NDArray[np.float64]
    lattices: NDArray[np.float64]

    def points(self, kdist: NDArray[np.float64] | float) -> int:
        whole = np.broadcast_to(np.asarray(kdist, dtype=np.float64), len(self.label)).copy()
        found = mesh(whole, self.lattices, np.ones((len(whole), 3), dtype=bool)).prod(axis=1)
        return int(found.sum())

    def constant(self, coverage: float) -> tuple[float, float]:
        """Constant and its k-points at a coverage, between the labels around it by linear interpolation."""
        rungs = np.unique(self.label)[::-1]
        covered = 1.0 - np.searchsorted(np.sort(self.label), rungs) / len(self.label)
        after = min(int(np.searchsorted(covered, coverage)), len(rungs) - 1)
        before = max(after - 1, 0)
        gap = covered[after] - covered[before]
        share = 1.0 if gap <= 0 else float((coverage - covered[before]) / gap)
        low, high = self.points(float(rungs[before])), self.points(float(rungs[after]))
        return float(rungs[before] + share * (rungs[after] - rungs[before])), low + share * (high - low)


def judge(
    data: Labelled,
    lattices: NDArray[np.float64],
    bounds: Mapping[tuple[int, float], NDArray[np.float64]],
    groups: Groups,
    n_elements: NDArray[np.int64],
) -> dict[str, Any]:
    """Figures by tolerance.

    Args:
        data: labels that had no part in the bounds.
        lattices: ``(n, 3, 3)`` cells as supplied, Å, whose meshes cost.
        bounds: by place of the tolerance and confidence, ``(n, 3)``, 1/Å.
        groups: of the rows.
        n_elements: ``(n,)``.
    """
    found: dict[str, Any] = {}
    middle = np.where(np.isfinite(data.high), 0.5 * (np.exp(data.low) + np.exp(data.high)), np.exp(data.low))
    for t, tolerance in enumerate(data.tolerances):
        label = np.exp(data.label[:, t])
        rows = _Rows(label, lattices)
        median = bounds[t, LEVELS[0]][:, 1]
        # the median is of upper ends; their middle distance from the middles of intervals is not an error
        centred = median * np.exp(np.median(np.log(middle[:, t]) - np.log(label)))
        # R² judges means: what is skewed has another one than its median
        mean = median * (middle[:, t].mean() / median.mean())
        levels = {}
        for c in LEVELS:
            lower, _, upper = bounds[t, c].T
            holds = lower <= label
            constant, spent = rows.constant(float(holds.mean()))
            points = rows.points(lower)
            levels[f"{c:.2f}"] = {
                "lower_holds": float(holds.mean()),
                "upper_holds": float((label <= upper).mean()),
                "constant": constant,
                "of_constant": points / spent,
                "of_aiida": points / rows.points(AIIDA_BALANCED),
                "groups": _by_group(holds, groups, n_elements),
            }
        found[f"{tolerance:g}"] = {
            "labels": len(label),
            "r2_middle": _r2(middle[:, t], mean),
            "mae_middle": float(np.abs(middle[:, t] - centred).mean()),
            "r2": _r2(label, median),
            "r2_log": _r2(np.log(label), np.log(median)),
            "mae": float(np.abs(label - median).mean()),
            "mae_constant": float(np.abs(label - np.median(label)).mean()),
            "aiida_holds": float((label >= AIIDA_BALANCED).mean()),
            "levels": levels,
        }
    return found


def _r2(truth: NDArray[np.float64], answer: NDArray[np.float64]) -> float:
    return 1.0 - float(((truth - answer) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def _by_group(
    holds: NDArray[np.bool_], groups: Groups, n_elements: NDArray[np.int64]
) -> dict[str, dict[str, list[float]]]:
    names = {
        "size": [f"up to {SIZES[0]}", *(f"{a + 1} to {b}" for a, b in _pairs(SIZES)), f"over {SIZES[-1]}"],
        "class": ["others", "metals alone"],
        "system": [
            *("cubic", "hexagonal", "trigonal", "tetragonal"),
            *("orthorhombic", "monoclinic", "triclinic"),
        ],
        "distance": [
            *(f"{a:g} to {b:g}" for a, b in _pairs((0.0, *DISTANCES))),
            f"over {DISTANCES[-1]:g}",
        ],
    }
    families = {**groups.of, "elements": np.minimum(n_elements, 5) - 1}
    names["elements"] = ["1", "2", "3", "4", "5 and more"]
    return {
        family: {
            name: [int((of == place).sum()), float(holds[of == place].mean())]
            for place, name in enumerate(names[family])
            if (of == place).any()
        }
        for family, of in families.items()
    }


def _pairs(ends: Sequence[float]) -> list[tuple[float, float]]:
    return list(pairwise(ends))


def tables(figures: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    parts = [
        "A lower bound holds if it is no larger than the label: its mesh is converged. R² and MAE (1/Å) are "
        "of the median, against the middle of the interval of k-distances that give the converged mesh, and "
        "against the label, its upper end; against the middle it is multiplied by one number, so that its "
        "mean is right for R² and its middle for MAE. Cost is the k-points of the lower bound's meshes, "
        "full, of cells as supplied, in sum, as a share of those of the constant that covers as many of "
        f"these rows, and of the constant {AIIDA_BALANCED} (AiiDA-QuantumESPRESSO, balanced).",
    ]
    head = "| meV/atom | labels | R² middle | MAE middle | R² label | R² log | MAE label | of a constant |"
    lines = [head, "| ---: " * 8 + "|"]
    for tolerance, f in figures.items():
        numbers = [f[k] for k in ("r2_middle", "mae_middle", "r2", "r2_log", "mae", "mae_constant")]
        lines.append(f"| {tolerance} | {f['labels']} | " + " | ".join(f"{x:.3f}" for x in numbers) + " |")
    parts.append("\n".join(lines))
    lines = [
        "| meV/atom | confidence | lower holds | upper holds | constant | cost of constant | of AiiDA |",
        "| ---: " * 7 + "|",
    ]
    for tolerance, f in figures.items():
        for c, level in f["levels"].items():
            lines.append(
                f"| {tolerance} | {c} | {level['lower_holds']:.3f} | {level['upper_holds']:.3f} | "
                f"{level['constant']:.3f} | {level['of_constant']:.2f} | {level['of_aiida']:.2f} |"
            )
    parts.append("\n".join(lines))
    parts.append("Share of structures whose lower bound holds, by group and tolerance, at 0.95 and at 0.80:")
    tolerances = list(figures)
    head = " | ".join(f"{t} meV, {c}" for t in tolerances for c in ("0.95", "0.80"))
    lines = [f"| group | labels | {head} |", "| --- | ---: |" + " ---: |" * (2 * len(tolerances))]
    first = figures[tolerances[0]]["levels"]["0.95"]["groups"]
    for family, members in first.items():
        for name, (count, _) in members.items():
            cells = [
                f"{figures[t]['levels'][c]['groups'][family][name][1]:.3f}"
                for t in tolerances
                for c in ("0.95", "0.80")
            ]
            lines.append(f"| {family}: {name} | {count} | " + " | ".join(cells) + " |")
    parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
