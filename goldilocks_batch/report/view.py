"""What the page's template is given: every number as text, every chart drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from goldilocks_batch.report import charts
from goldilocks_batch.report.about import Links
from goldilocks_batch.report.listing import listed
from goldilocks_batch.report.periodic import periodic
from goldilocks_batch.report.tally import SIZES, Tally
from goldilocks_batch.report.wording import distance, percent, saved, short
from goldilocks_batch.results.report import WORK, Report
from goldilocks_batch.results.schema import FLAGS
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.symmetry import SYSTEMS

__all__ = [
    "AIIDA",
    "Safe",
    "cost_view",
    "doubt_view",
    "element_view",
    "kdist_view",
    "safe_constants",
]

#: ``kpoints_distance`` of AiiDA-QuantumESPRESSO's protocols, 1/Å.
AIIDA = {"stringent": 0.10, "balanced": 0.15, "fast": 0.30}

_AXIS = "k-distance, 1/Å"
#: Rows from which on bins are narrow.
_MANY = 2000
#: Constants that are marked at most.
_CONSTANTS = 4


@dataclass(frozen=True, slots=True)
class Safe:
    """A constant that is as safe as the bounds, for all rows or for some.

    Attributes:
        value: k-distance, 1/Å.
        cells: which ones, in words; empty for all.
    """

    value: float
    cells: str


def safe_constants(tally: Tally, small: object) -> list[Safe]:
    """The constants that rows are set beside, ascending.

    Args:
        tally: what was gathered.
        small: of the run's model, if it has one: atoms of the largest small cell, and the constant of these.
    """
    values = sorted(value for value, _ in tally.constants.most_common(_CONSTANTS))
    if len(values) < 2:
        return [Safe(value, "") for value in values]
    limit, own = small if isinstance(small, list | tuple) and len(small) == 2 else (None, None)
    if own in values and len(values) == 2:
        return [Safe(v, f"cells of up to {limit} atoms" if v == own else "larger cells") for v in values]
    return [Safe(value, f"{tally.constants[value]:,} rows") for value in values]


def kdist_view(tally: Tally, bound: str, safe: list[Safe]) -> dict[str, Any]:
    """Distributions of the k-distance: of all rows, by crystal system, by size of the cell.

    Args:
        tally: what was gathered.
        bound: that the meshes are made from.
        safe: the constants that are as safe.
    """
    ours = [(c.value, f"{distance(c.value)} as safe, {c.cells or 'a constant'}", True) for c in safe]
    marks = [*ours, *((value, f"{value:.2f} AiiDA {name}", False) for name, value in AIIDA.items())]
    median = tally.median if bound != "median" else None
    factor = 24 if tally.ok > _MANY else 48
    shown: dict[str, Any] = {
        "label": "kdist, of the meshes",
        "second": None if median is None else (median, "kdist_median"),
        "marks": marks,
        "factor": factor,
    }
    named = [(c.value, distance(c.value), True) for c in safe]
    return {
        "wide": charts.distribution(tally.kdist, "kdist", _AXIS, size=(940.0, 340.0), **shown),
        "narrow": charts.distribution(tally.kdist, "kdist-narrow", _AXIS, size=(400.0, 320.0), **shown),
        "systems": charts.percentiles(tally.systems, list(SYSTEMS), "systems", _AXIS, named),
        "sizes": charts.percentiles(tally.sizes, list(SIZES), "sizes", _AXIS, named),
        "tables": [
            ("crystal system", _quantile_rows(tally, "systems", list(SYSTEMS))),
            ("atoms", _quantile_rows(tally, "sizes", list(SIZES))),
        ],
        "quantiles": [distance(value) for value in tally.kdist.quantiles((0.05, 0.5, 0.95))],
        "safe": " and ".join(f"{distance(c.value)} 1/Å for {c.cells or 'every structure'}" for c in safe),
        "below": percent(tally.denser / tally.constants.total()) if safe else "",
        "below_balanced": percent(tally.kdist.share_below(AIIDA["balanced"])),
    }


def _quantile_rows(tally: Tally, name: str, labels: list[str]) -> list[list[str]]:
    counted = getattr(tally, name)
    return [
        [label, f"{total:,}", *map(distance, counted.quantiles((0.05, 0.25, 0.5, 0.75, 0.95), place))]
        for place, (label, total) in enumerate(zip(labels, counted.totals, strict=True))
        if total
    ]


def element_view(tally: Tally) -> list[dict[str, Any]]:
    """Periodic tables: median kdist, rows, failures."""
    medians = np.array([tally.elements.median(z) for z in range(len(SYMBOLS))])
    rows, failing = tally.holding.astype(float), tally.failing.astype(float)
    rows[rows == 0] = np.nan
    failing[failing == 0] = np.nan
    counted = [
        f"{symbol}: {int(held):,} rows, {int(bad):,} failed, median k-distance {distance(median)} 1/Å"
        for symbol, held, bad, median in zip(SYMBOLS, tally.holding, tally.failing, medians, strict=True)
    ]
    unknown = f"Of {tally.unknown:,} failed rows the elements are not known: they could not be read that far."
    return [
        {
            "title": "Median k-distance, 1/Å",
            "table": periodic(medians, lambda value: f"{value:.2f}", counted, logarithmic=True),
            "none": "No row went well.",
            "note": "Of rows that hold the element: kdist_median, without the margin of a bound.",
        },
        {
            "title": "Rows that hold an element",
            "table": periodic(rows, short, counted, logarithmic=True),
            "none": "No row has a known formula.",
            "note": "",
        },
        {
            "title": "Failed rows that hold an element",
            "table": periodic(failing, short, counted, logarithmic=True),
            "none": "No failed row has a known formula." if tally.rows > tally.ok else "No row failed.",
            "note": unknown if tally.unknown else "",
        },
    ]


def cost_view(tally: Tally, report: Report, asked: str, safe: list[Safe]) -> dict[str, Any]:
    """K-points of the recommended meshes beside those of the constants."""
    constants = " or ".join(distance(c.value) for c in safe)
    tables = []
    for cell, prefix in (("cells as supplied", ""), ("primitive cells", "primitive_")):
        found: list[dict[str, Any]] = []
        for label, mesh in (
            (asked, ""),
            (f"constant {constants} 1/Å, as safe", "constant_"),
            (f"constant {AIIDA['balanced']} 1/Å, AiiDA balanced", "aiida_"),
        ):
            full = report.kpoints.get(f"{prefix}{mesh}n_kpoints", 0)
            reduced = report.kpoints.get(f"{prefix}{mesh}n_kpoints_irreducible", 0)
            work = report.kpoints.get(f"{prefix}{mesh}{WORK}", 0)
            if reduced:
                found.append(
                    {"label": label, "full": full, "reduced": reduced, "work": work, "own": not mesh}
                )
        own = next((row for row in found if row["own"]), {"reduced": 0, "work": 0})
        most = max((row["reduced"] for row in found), default=1)
        for row in found:
            row["share"] = 100 * row["reduced"] / most
            for name, of in (("change", "reduced"), ("work_change", "work")):
                known = own[of] and row[of] and not row["own"]
                row[name] = f"{own[of] / row[of] - 1:+.1%}" if known else ""
        tables.append({"cell": cell, "rows": found})
    ours, constant, aiida = (
        report.kpoints.get(f"{name}n_kpoints_irreducible", 0) for name in ("", "constant_", "aiida_")
    )
    shown: dict[str, Any] = {
        "axis": "irreducible k-points over those of the constant as safe",
        "marks": [(1.0, "as many", True)],
        "factor": 24,
        "times": True,
    }
    return {
        "tables": tables,
        "saved": saved(ours, constant),
        "saved_aiida": saved(ours, aiida),
        "wide": charts.distribution(tally.spent, "spent", size=(940.0, 270.0), **shown),
        "narrow": charts.distribution(tally.spent, "spent-narrow", size=(400.0, 270.0), **shown),
        "densest_one": percent(tally.share_of_densest(0.01)),
        "densest_ten": percent(tally.share_of_densest(0.10)),
        "fewer": percent(tally.spent.share_below(1.0)),
    }


def doubt_view(tally: Tally, report: Report, links: Links) -> dict[str, Any]:
    """Widths, distances, flags, and the rows to look at."""
    most = max(report.flags.values(), default=1)
    flags = [
        {
            "name": name,
            "rows": count,
            "share": percent(count / report.rows),
            "bar": 100 * count / most,
            "meaning": FLAGS.get(name, ""),
        }
        for name, count in sorted(report.flags.items(), key=lambda item: (-item[1], item[0]))
    ]
    width, far = tally.ratio.quantiles((0.5, 0.95)), tally.distance.share_below(1.0)
    return {
        "flags": flags,
        "ratio": charts.distribution(
            tally.ratio,
            "ratio",
            "upper bound over lower bound",
            factor=16 if tally.ok > _MANY else 32,
            times=True,
        ),
        "ratio_text": [f"{value:.1f}" if math.isfinite(value) else "–" for value in width],
        "distance": charts.distribution(
            tally.distance,
            "distance",
            "distance to the training structures",
            marks=[(1.0, "95 % of the training set below", True)],
            factor=16 if tally.ok > _MANY else 32,
        ),
        "far": percent(1 - far) if math.isfinite(far) else "",
        "lists": [
            {
                "title": "The densest",
                "key": "densest",
                "text": "Rows with most irreducible k-points, which a calculation pays for.",
                "rows": [listed(row, links) for row in tally.densest.rows],
            },
            {
                "title": "The widest",
                "key": "widest",
                "text": "Rows whose upper bound is furthest above the lower one: the model is least sure.",
                "rows": [listed(row, links) for row in tally.widest.rows],
            },
            {
                "title": "The most suspicious",
                "key": "suspicious",
                "text": "Rows with most flags that make structure or bounds doubtful; of equally many, the "
                "one furthest from the training structures comes first.",
                "rows": [listed(row, links) for row in tally.doubtful.rows],
            },
        ],
    }
