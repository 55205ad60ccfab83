"""The figures of an evaluation: what is kept of errors, coverage, widths and k-points."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["CONSTANTS", "Coverage", "Evaluation", "Level", "Spending", "wilson"]


#: 97.5 % point of the normal distribution: 95 % error bars.
_Z = 1.959963984540054


#: Constant distances in use, 1/Å: AiiDA-QuantumESPRESSO's protocols, and the published constants.
CONSTANTS: dict[str, float] = {
    "AiiDA fast": 0.30,
    "published 0.85": 0.205,
    "published 0.90": 0.184,
    "published 0.95": 0.158,
    "AiiDA balanced": 0.15,
    "AiiDA stringent": 0.10,
}


def wilson(hits: int, rows: int) -> tuple[float, float]:
    """95 % error bar of a share (Wilson, J. Am. Stat. Assoc. 22, 209, 1927); (0, 1) without rows."""
    if rows == 0:
        return 0.0, 1.0
    share, shrink = hits / rows, 1 + _Z**2 / rows
    centre = (share + _Z**2 / (2 * rows)) / shrink
    half = _Z * math.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2)) / shrink
    return 0.0 if hits == 0 else centre - half, 1.0 if hits == rows else centre + half


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many rows a bound holds for.

    Attributes:
        rows: all.
        hits: rows for which it holds.
        unknown: rows of which only a limit is known, that does not decide.
        least: share if it holds for none of the unknown.
        most: share if it holds for all of them.
        low: lower end of the 95 % error bar of ``least``.
        high: upper end of the 95 % error bar of ``most``.
    """

    rows: int
    hits: int
    unknown: int
    least: float = field(init=False)
    most: float = field(init=False)
    low: float = field(init=False)
    high: float = field(init=False)

    def __post_init__(self) -> None:
        count = max(self.rows, 1)
        object.__setattr__(self, "least", self.hits / count)
        object.__setattr__(self, "most", (self.hits + self.unknown) / count)
        object.__setattr__(self, "low", wilson(self.hits, self.rows)[0])
        object.__setattr__(self, "high", wilson(self.hits + self.unknown, self.rows)[1])


@dataclass(frozen=True, slots=True)
class Spending:
    """What a choice of kdist costs, in k-points of the full mesh of the primitive cell.

    Attributes:
        kdist: the constant, or the geometric mean of a model's lower bounds, 1/Å.
        coverage: of the choice as a lower bound.
        kpoints: sum over all rows.
        waste: mean over labelled rows of the k-points as a multiple of those of the label's own mesh.
        mae: mean distance of the choice from the label, 1/Å, over labelled rows.
    """

    kdist: float
    coverage: Coverage
    kpoints: int
    waste: float
    mae: float


@dataclass(frozen=True, slots=True)
class Level:
    """One confidence.

    Attributes:
        confidence: one-sided.
        lower: coverage of the lower bound, nominally ``confidence``.
        upper: coverage of the upper bound, nominally ``confidence``.
        central: coverage of both bounds together, nominally ``2 confidence - 1``.
        two_sided: coverage of the interval calibrated as one, nominally the same; None if there is none.
        two_sided_width: mean of its upper minus lower end, 1/Å.
        pinball: mean pinball loss of the three bounds, 1/Å.
        width: mean of upper minus lower, 1/Å.
        width_ratio: geometric mean of upper over lower.
        model: what the lower bound costs.
        constant_kdist: the constant of equal coverage, 1/Å.
        constant_kpoints: what that constant costs.
        constant_waste: its waste.
        groups: coverage of the lower bound by kind of group and group.
    """

    confidence: float
    lower: Coverage
    upper: Coverage
    central: Coverage
    two_sided: Coverage | None
    two_sided_width: float | None
    pinball: float
    width: float
    width_ratio: float
    model: Spending
    constant_kdist: float
    constant_kpoints: float
    constant_waste: float
    groups: dict[str, dict[str, Coverage]]

    @property
    def ratio(self) -> float:
        """The model's k-points as a multiple of those of the constant of equal coverage."""
        return self.model.kpoints / self.constant_kpoints


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Bounds against labels.

    Attributes:
        rows: all.
        labelled: those with a label, not only a limit.
        mae: of the median, 1/Å; over labelled rows like all errors.
        r2: of the median.
        mae_constant: of the labels' own median, 1/Å.
        levels: by confidence.
        constants: what constants in use would cost and cover.
    """

    rows: int
    labelled: int
    mae: float
    r2: float
    mae_constant: float
    levels: tuple[Level, ...]
    constants: dict[str, Spending]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    """Rounded to 6 figures, so that records read well; NaN, which JSON lacks, becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
