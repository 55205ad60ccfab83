"""From raw bounds to final ones: correction, order, sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, PredictionError, Stage
from goldilocks_batch.models.interface import RawBounds

__all__ = ["SMALLEST_KDIST", "WIDE_RATIO", "Bounds", "finalise"]

#: No bound is let below this, 1/Å: half the densest distance found in convergence studies (about 0.04).
SMALLEST_KDIST = 0.02

#: An interval whose upper end is more than this many times its lower end is flagged as wide.  The k-point
#: count goes with the cube: at 4 the two ends differ by a factor of 64 in cost.
WIDE_RATIO = 4.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Final bounds for n rows.

    Attributes:
        values: ``(n, 3)`` kdist, 1/Å, lower ≤ median ≤ upper; NaN where a model gives no such bound or the
            row failed.
        spread: ``(n, 3)`` the ensemble's standard deviation of each of these values, 1/Å, or None.
        flags: n tuples of remarks.
        failures: rows without bounds.
    """

    values: NDArray[np.float64]
    spread: NDArray[np.float64] | None
    flags: list[tuple[str, ...]]
    failures: dict[int, PredictionError]


def finalise(raw: RawBounds, correction: float) -> Bounds:
    """Correct, order and check raw bounds.

    The correction widens the interval when positive: ``lower - correction``, ``upper + correction``.
    Bounds out of order are sorted and flagged.  A bound below :data:`SMALLEST_KDIST`, zero and negative ones
    among them, is raised to it and flagged: no structure is known to need a denser mesh, so this still is
    an answer on the safe side, and the flag says that it is not the model's own.

    Args:
        raw: a model's answer, ``(n, 3)``.
        correction: 1/Å.

    Returns:
        The bounds; a row whose raw answer is not finite is among the failures.
    """
    given = np.array(raw.given)
    values = raw.values + np.array([-correction, 0.0, correction])
    failed = ~np.isfinite(values[:, given]).all(axis=1)
    failures = {
        int(row): PredictionError(
            ErrorCode.PREDICTION_NOT_FINITE,
            f"the model answered {raw.values[row].tolist()}, expected finite numbers; its features may be "
            "far outside those it was trained on",
            stage=Stage.PREDICT,
        )
        for row in np.flatnonzero(failed)
    }
    values[failed] = np.nan
    crossed = np.asarray((np.diff(values[:, given], axis=1) < 0).any(axis=1))
    # columns that are not given keep their places; a spread goes with its bound
    order = np.tile(np.arange(3), (len(values), 1))
    order[:, given] = np.flatnonzero(given)[np.argsort(values[:, given], axis=1, kind="stable")]
    values = np.take_along_axis(values, order, axis=1)
    spread = None if raw.spread is None else np.take_along_axis(raw.spread, order, axis=1)
    clipped = np.asarray((values < SMALLEST_KDIST).any(axis=1))
    values = np.maximum(values, SMALLEST_KDIST)  # NaN stays NaN
    wide = np.asarray(values[:, 2] > WIDE_RATIO * values[:, 0])
    flags = [
        tuple(
            name
            for name, mask in (
                ("crossed_bounds_repaired", crossed),
                ("bound_clipped", clipped),
                ("wide_interval", wide),
            )
            if mask[row]
        )
        for row in range(len(values))
    ]
    return Bounds(values, spread, flags, failures)
