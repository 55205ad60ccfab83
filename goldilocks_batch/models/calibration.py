"""Conformalized quantile regression: bounds that hold for a stated share of structures.

A forest's quantiles are estimates.  Held-out labels say by how much they must be moved so that, for new
structures drawn like them, a bound holds with the probability that is asked for (Romano, Patterson, Candès,
NeurIPS 2019).  With scores ``E_i`` of ``n`` held-out rows, the margin is the ``ceil((n + 1) c)``-th smallest:

=============  =================================  ==========================
bound          score                              holds with probability
=============  =================================  ==========================
lower          ``lo_i - y_i``                     ``c``
upper          ``y_i - hi_i``                     ``c``
central        ``max(lo_i - y_i, y_i - hi_i)``    ``2 c - 1``
=============  =================================  ==========================

All of it is done in ``log kdist``: a margin is a factor, so bounds stay positive whatever it is.  On the
JARVIS labels margins in kdist itself give the same coverage, among the smallest predictions too, at the same
cost.  A bound that would pass the median is set to it, which only widens the interval.

What is guaranteed, averaged over structures and calibration sets, and nothing about any one kind of
structure:

- ``split``: the held-out rows were kept from the training.  If they and the new structure are exchangeable,
  the one-sided bounds hold with at least the stated probability, and at most ``1 / (n + 1)`` more without
  ties.
- ``cross``: every row was predicted by a forest that saw no row of its composition, and the forest that is
  used in the end saw all rows.  No label is wasted, and no finite-sample proof covers it: it rests on the
  final forest being no worse than those of the folds.  CV+ (Barber, Candès, Ramdas, Tibshirani 2021) proves
  ``1 - 2 α`` for a relative of it that keeps every fold's forest.  Measure it: ``benchmarks/coverage.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.artifacts.coverage import ROUNDING, expect_confidence, expect_rows
from goldilocks_batch.artifacts.record import Kind
from goldilocks_batch.core.errors import ErrorCode, ModelError

__all__ = ["LEVELS", "Calibration", "Margins", "conformal_rank", "margin"]


#: Quantiles kept of every held-out row; a confidence uses the nearest ones below and above the median.
LEVELS: tuple[float, ...] = (0.005, *(round(0.01 * i, 2) for i in range(1, 100)), 0.995)


def conformal_rank(n: int, coverage: float, advice: str = "use a lower confidence, or more labels") -> int:
    """Which of n ordered scores is the margin, counted from 1: ``ceil((n + 1) coverage)``.

    Args:
        n: calibration rows.
        coverage: in (0, 1).
        advice: what to do if there are too few.

    Raises:
        ConfigError: DATASET_INVALID, there are too few rows for this coverage.
    """
    expect_rows(n, coverage, advice)
    return max(math.ceil((n + 1) * coverage - ROUNDING), 1)


def margin(scores: NDArray[np.floating], coverage: float) -> float:
    """The conformal margin: the score of that rank.

    Args:
        scores: ``(n,)``, positive where a row lies outside its bound.
        coverage: in (0, 1), the probability with which the bound is to hold.
    """
    rank = conformal_rank(len(scores), coverage)
    return float(np.partition(np.asarray(scores, dtype=np.float64), rank - 1)[rank - 1])


@dataclass(frozen=True, slots=True)
class Margins:
    """How to make bounds of a forest's quantiles at one confidence.

    Attributes:
        confidence: one-sided, c.
        lower_level: the quantile that the lower bound starts from.
        upper_level: the quantile that the upper bound starts from.
        lower: log margin; the bound is ``quantile * exp(-lower)``.
        upper: log margin; the bound is ``quantile * exp(upper)``.
        central: log margin for both ends at once, for an interval that holds with ``2 c - 1``.
    """

    confidence: float
    lower_level: float
    upper_level: float
    lower: float
    upper: float
    central: float

    @property
    def quantiles(self) -> tuple[float, float, float]:
        """What to ask the forest for."""
        return self.lower_level, 0.5, self.upper_level

    def apply(self, raw: NDArray[np.floating], *, central: bool = False) -> NDArray[np.float64]:
        """Move bounds.

        Args:
            raw: ``(n, 3)`` the quantiles, 1/Å.
            central: use the margin for the interval as a whole instead of each bound's own.

        Returns:
            ``(n, 3)`` lower, median, upper, 1/Å; a lower bound above the median, or an upper one below,
            is set to it, which can only add to what the interval covers.
        """
        bounds = self._moved(raw, central=central)
        bounds[:, 0] = np.minimum(bounds[:, 0], bounds[:, 1])
        bounds[:, 2] = np.maximum(bounds[:, 2], bounds[:, 1])
        return bounds

    def crossed(self, raw: NDArray[np.floating]) -> NDArray[np.int64]:
        """Rows of ``(n, 3)`` quantiles with a bound that :meth:`apply` sets to the median."""
        bounds = self._moved(raw, central=False)
        return np.flatnonzero((bounds[:, 0] > bounds[:, 1]) | (bounds[:, 2] < bounds[:, 1]))

    def _moved(self, raw: NDArray[np.floating], *, central: bool) -> NDArray[np.float64]:
        down, up = (self.central, self.central) if central else (self.lower, self.upper)
        bounds = np.array(raw, dtype=np.float64)
        bounds[:, 0] *= math.exp(-down)
        bounds[:, 2] *= math.exp(up)
        return bounds


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Held-out rows: what was predicted of them, and what was true.

    Attributes:
        levels: ``(m,)`` float64, quantiles, ascending, 0.5 among them.
        predictions: ``(n, m)`` float32, those quantiles of every row, 1/Å, from a forest that was trained
            without the row.
        targets: ``(n,)`` float32, labels, 1/Å.
        kind: how the rows were held out.
    """

    levels: NDArray[np.float64]
    predictions: NDArray[np.float32]
    targets: NDArray[np.float32]
    kind: Kind

    def __post_init__(self) -> None:
        complaint = _complaint(self)
        if complaint:
            raise ModelError(ErrorCode.ARTIFACT_INVALID, f"not a calibration that can be used: {complaint}")

    def __len__(self) -> int:
        return len(self.targets)

    def margins(self, confidence: float) -> Margins:
        """Margins at any confidence.

        Args:
            confidence: one-sided, in (0.5, 1).

        Raises:
            ConfigError: CONFIG_INVALID, the confidence is not one; DATASET_INVALID, it needs more rows.
        """
        expect_confidence(confidence)
        low, high = (int(np.argmin(np.abs(self.levels - q))) for q in (1 - confidence, confidence))
        truth = np.log(self.targets.astype(np.float64))
        below = np.log(self.predictions[:, low].astype(np.float64)) - truth
        above = truth - np.log(self.predictions[:, high].astype(np.float64))
        return Margins(
            confidence=confidence,
            lower_level=float(self.levels[low]),
            upper_level=float(self.levels[high]),
            lower=margin(below, confidence),
            upper=margin(above, confidence),
            central=margin(np.maximum(below, above), 2 * confidence - 1),
        )

    def bounds(self, margins: Margins) -> NDArray[np.float64]:
        """``(n, 3)`` bounds of the held-out rows themselves, 1/Å; for ``cross``, out-of-fold bounds."""
        columns = [int(np.argmin(np.abs(self.levels - q))) for q in margins.quantiles]
        return margins.apply(self.predictions[:, columns])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name; :meth:`from_arrays` makes the same calibration of them."""
        return {"levels": self.levels, "predictions": self.predictions, "targets": self.targets}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], kind: Kind) -> Self:
        """Make a calibration of named arrays.

        Raises:
            ModelError: ARTIFACT_INVALID, an array is missing, superfluous, of another type or contradicts
                another.
        """
        if set(arrays) != {"levels", "predictions", "targets"}:
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID,
                f"a calibration has the arrays levels, predictions, targets; found {sorted(arrays)}",
            )
        return cls(**arrays, kind=kind)


def _complaint(calibration: Calibration) -> str:
    levels, predictions, targets = calibration.levels, calibration.predictions, calibration.targets
    kinds = [str(array.dtype) for array in (levels, predictions, targets)]
    if kinds != ["float64", "float32", "float32"]:
        return f"types {', '.join(kinds)}"
    if (levels.ndim, targets.ndim) != (1, 1) or predictions.shape != (len(targets), len(levels)):
        return f"shapes {levels.shape}, {predictions.shape}, {targets.shape} do not fit each other"
    if not len(targets):
        return "there is no row"
    if not ((levels > 0).all() and (levels < 1).all() and (np.diff(levels) > 0).all() and 0.5 in levels):
        return "its levels are not ascending between 0 and 1 with 0.5 among them"
    for name, values in (("prediction", predictions), ("target", targets)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            return f"a {name} is not a positive number"
    return ""
