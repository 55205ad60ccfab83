"""Bounds of a location and a scale: how far a label may lie from its prediction, learned and calibrated.

A model predicts of a structure the location μ of log kdist at a tolerance, and the scale w of its own error.
Held-out labels give the scores ``z = (log kdist - μ - δ) / w``, δ their median shift. The one-sided lower
bound at confidence c is ``μ + δ - w V(c)``, and V is made of what the scores say at the knots 0.80, 0.85,
0.90 and 0.95: the conformal quantile of ``-z / m``, times m, the product of the factors of the structure's
groups at that knot (Mondrian calibration: cells of a size, metals alone or not, a crystal system, a distance
to the training set; each factor is shrunk towards one by how few labels its group has). Between the knots V
follows the pooled quantile, and it never falls: a higher confidence never gives a coarser mesh. The upper
bound uses the pooled quantile alone.

Of the smallest cells labels say little, and a bound that follows μ closely costs more k-points there than one
that hardly does. Where a model has lines, their lower bound at a knot is ``s μ - o`` in place of the
above, s and o fitted to labels and studies of such cells, and never above the median.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.artifacts.coverage import ROUNDING, expect_confidence, expect_rows
from goldilocks_batch.core.errors import ErrorCode, ModelError

__all__ = ["FAMILIES", "KNOTS", "Groups", "Scaled", "groups_of", "product_of"]

#: Families of groups and how many groups each has.
FAMILIES: dict[str, int] = {"size": 4, "class": 2, "system": 7, "distance": 5}
#: Sites of the largest cells of each size but the last.
SIZES = (4, 12, 40)
#: Distances to the training set, as multiples of the one that 95 % of its own structures stay below.
DISTANCES = (0.4, 0.7, 1.0, 1.5)

#: Confidences at which groups have factors.
KNOTS = (0.80, 0.85, 0.90, 0.95)

_LINES = "lines"
_KINDS = {
    "shift": "float64",
    "scores": "float32",
    "widths": "float64",
    **{f"factors_{name}": "float64" for name in FAMILIES},
}


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Which group of each family a structure is of: arrays ``(n,)`` int64 by family."""

    of: Mapping[str, NDArray[np.int64]]

    def take(self, rows: NDArray[Any]) -> Groups:
        """Those of some rows."""
        return Groups({name: values[rows] for name, values in self.of.items()})


def groups_of(
    sites: NDArray[np.float64],
    metals: NDArray[np.float64],
    systems: NDArray[np.float64],
    distance: NDArray[np.float64],
) -> Groups:
    """Groups of n structures.

    Args:
        sites: of the primitive cell.
        metals: share of metals among the atoms.
        systems: crystal systems, 1 cubic to 7 triclinic.
        distance: to the training set, see :data:`DISTANCES`.
    """
    return Groups(
        {
            "size": np.searchsorted(SIZES, sites).astype(np.int64),
            "class": (metals > 0.999).astype(np.int64),
            "system": np.clip(systems.astype(np.int64) - 1, 0, 6),
            "distance": np.searchsorted(DISTANCES, distance).astype(np.int64),
        }
    )


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """The calibration of a model with a location and a scale.

    Attributes:
        shift: ``(t,)`` float64, δ by tolerance, log kdist.
        scores: ``(t, n)`` float32, z of the held-out rows, ascending.
        widths: ``(t, knots)`` float64, conformal quantiles of ``-z / m`` at the knots.
        factors: by family ``(t, knots, groups)`` float64, whose product over the families is m.
        lines: ``(t, knots, 2)`` float64, s and o of the smallest cells, or None.
    """

    shift: NDArray[np.float64]
    scores: NDArray[np.float32]
    widths: NDArray[np.float64]
    factors: Mapping[str, NDArray[np.float64]]
    lines: NDArray[np.float64] | None = None

    @property
    def rows(self) -> int:
        """Held-out rows of each tolerance."""
        return int(self.scores.shape[1])

    def factor(self, groups: Groups, tolerance: int) -> NDArray[np.float64]:
        """M of structures at the knots, for the tolerance at that place: ``(n, knots)``."""
        return product_of(
            {name: values[tolerance] for name, values in self.factors.items()}, groups, len(KNOTS)
        )

    def pooled(self, tolerance: int, confidence: float) -> tuple[float, float]:
        """Conformal quantiles of -z and of z, not below 0: how far bounds lie from the median without groups.

        Raises:
            ConfigError: CONFIG_INVALID, the confidence is none; DATASET_INVALID, it needs more rows.
        """
        expect_confidence(confidence)
        expect_rows(self.rows, confidence)
        rank = max(math.ceil((self.rows + 1) * confidence - ROUNDING), 1)
        scores = self.scores[tolerance]
        return max(-float(scores[self.rows - rank]), 0.0), max(float(scores[rank - 1]), 0.0)

    def below(
        self,
        location: NDArray[np.float64],
        scale: NDArray[np.float64],
        groups: Groups,
        tolerance: int,
        confidence: float,
    ) -> NDArray[np.float64]:
        """How far lower bounds lie below medians, log kdist: ``(n,)``.

        It is not negative, and no smaller at a higher confidence.  For the arguments see :meth:`bounds`.
        """
        at, _ = self.pooled(tolerance, confidence)
        knots = [self.pooled(tolerance, knot)[0] for knot in KNOTS]
        wide = scale[:, None] * (self.factor(groups, tolerance) * self.widths[tolerance])
        if self.lines is not None:
            small = groups.of["size"] == 0
            slopes, offsets = self.lines[tolerance].T
            own = location[small, None]
            wide[small] = np.maximum(own + self.shift[tolerance] - (slopes * own - offsets), 0.0)
        wide = np.maximum.accumulate(wide, axis=1)
        if at >= knots[-1]:
            return wide[:, -1] * (at / knots[-1] if knots[-1] > 0 else 1.0)
        place = int(np.searchsorted(knots, at))
        above = wide[:, place]
        before, start = (wide[:, place - 1], knots[place - 1]) if place else (np.zeros(len(wide)), 0.0)
        share = (at - start) / (knots[place] - start) if knots[place] > start else 1.0
        return before + share * (above - before)

    def bounds(
        self,
        location: NDArray[np.float64],
        scale: NDArray[np.float64],
        groups: Groups,
        tolerance: int,
        confidence: float,
    ) -> NDArray[np.float64]:
        """Bounds of n structures: ``(n, 3)`` lower, median, upper, 1/Å.

        Args:
            location: ``(n,)`` μ.
            scale: ``(n,)`` w, positive.
            groups: of the structures.
            tolerance: its place.
            confidence: one-sided.
        """
        median = location + self.shift[tolerance]
        lower = median - self.below(location, scale, groups, tolerance, confidence)
        upper = median + scale * self.pooled(tolerance, confidence)[1]
        return np.exp(np.column_stack([lower, median, upper]))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        factors = {f"factors_{name}": self.factors[name] for name in FAMILIES}
        lines = {} if self.lines is None else {_LINES: self.lines}
        return {"shift": self.shift, "scores": self.scores, "widths": self.widths, **factors, **lines}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], tolerances: int) -> Self:
        """The calibration of :meth:`to_arrays`.

        Raises:
            ModelError: ARTIFACT_INVALID, an array is missing, of another type or does not fit the others.
        """
        complaint = _complaint(arrays, tolerances)
        if complaint:
            raise ModelError(ErrorCode.ARTIFACT_INVALID, f"not a calibration that can be used: {complaint}")
        factors = {name: arrays[f"factors_{name}"] for name in FAMILIES}
        return cls(arrays["shift"], arrays["scores"], arrays["widths"], factors, arrays.get(_LINES))


def product_of(factors: Mapping[str, NDArray[np.float64]], groups: Groups, knots: int) -> NDArray[np.float64]:
    """Product of ``(knots, groups)`` factors over the families for n structures: ``(n, knots)``."""
    found = np.ones((len(next(iter(groups.of.values()))), knots))
    for name in FAMILIES:
        found *= factors[name][:, groups.of[name]].T
    return found


def _complaint(arrays: Mapping[str, NDArray[Any]], tolerances: int) -> str:
    kinds = {name: str(array.dtype) for name, array in arrays.items()}
    if kinds not in (_KINDS, {**_KINDS, _LINES: "float64"}):
        return f"expected the arrays {_KINDS}, perhaps {_LINES}, found {kinds}"
    if arrays["shift"].shape != (tolerances,) or arrays["widths"].shape != (tolerances, len(KNOTS)):
        return f"it is not of {tolerances} tolerances"
    if _LINES in arrays and arrays[_LINES].shape != (tolerances, len(KNOTS), 2):
        return "its lines are not two numbers a knot and tolerance"
    scores = arrays["scores"]
    if scores.ndim != 2 or scores.shape[0] != tolerances or not scores.shape[1]:
        return "it has no scores"
    if any(arrays[f"factors_{name}"].shape != (tolerances, len(KNOTS), n) for name, n in FAMILIES.items()):
        return "its factors do not fit the families of groups"
    if not all(np.isfinite(array).all() for array in arrays.values()):
        return "a number is not finite"
    if (np.diff(scores, axis=1) < 0).any() or (arrays["widths"] < 0).any():
        return "its scores are not ascending, or a width is negative"
    if any((arrays[f"factors_{name}"] <= 0).any() for name in FAMILIES):
        return "a factor is not positive"
    return ""
