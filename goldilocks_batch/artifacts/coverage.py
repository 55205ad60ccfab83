"""What coverage so many calibration rows can give, and what is a confidence at all."""

from __future__ import annotations

import math

from goldilocks_batch.core.errors import ConfigError, ErrorCode

__all__ = ["ROUNDING", "expect_confidence", "expect_rows", "rows_needed"]


#: Rounding of ``(n + 1) c``, so that 0.95 × 20 is 19 and not a hair more.
ROUNDING = 1e-9


def expect_confidence(confidence: float) -> None:
    """Refuse a confidence that is none.

    Raises:
        ConfigError: CONFIG_INVALID, it does not lie between 0.5 and 1.
    """
    if not 0.5 < confidence < 1:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"confidence is {confidence!r}; a one-sided confidence lies between 0.5 and 1, without them",
        )


def rows_needed(coverage: float) -> int:
    """Held-out rows below which no finite margin gives a coverage: the smallest n with (n + 1) c ≤ n."""
    return max(1, math.ceil(coverage / (1.0 - coverage) - ROUNDING))


def expect_rows(rows: int, coverage: float, advice: str = "use a lower confidence, or more labels") -> None:
    """Refuse a coverage that so many calibration rows cannot give.

    Args:
        rows: calibration rows.
        coverage: in (0, 1).
        advice: what to do if there are too few.

    Raises:
        ConfigError: DATASET_INVALID, there are too few rows for this coverage.
    """
    if math.ceil((rows + 1) * coverage - ROUNDING) > rows:
        raise ConfigError(
            ErrorCode.DATASET_INVALID,
            f"{rows} calibration rows cannot give a coverage of {coverage:g}: at least "
            f"{rows_needed(coverage)} are needed; {advice}",
        )
