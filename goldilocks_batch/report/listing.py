"""Rows as the page lists them: the leading ones, and those that failed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from goldilocks_batch.report.about import Links
from goldilocks_batch.report.advice import meaning_of
from goldilocks_batch.report.tally import Tally
from goldilocks_batch.report.wording import percent, space_group, subscripts

__all__ = ["failure_view", "listed"]

#: Characters of a text.
_TEXT = 400


def listed(row: Mapping[str, Any], links: Links) -> dict[str, Any]:
    """A row of the result table as a line of the page's tables."""
    lower, upper = row.get("kdist_lower"), row.get("kdist_upper")
    ratio = upper / lower if lower and upper else None
    mesh = [int(n) for n in row.get("mesh") or []]
    source = str(row.get("source") or "")
    return {
        "id": str(row.get("id"))[:_TEXT],
        "source": source[:_TEXT],
        "href": links(str(row.get("id")), source),
        "formula": subscripts(str(row.get("formula") or "")),
        "group": space_group(str(row.get("space_group_symbol") or "")),
        "atoms": row.get("n_sites_primitive"),
        "kdist": row.get("kdist"),
        "median": row.get("kdist_median"),
        "ratio": ratio,
        "mesh": "×".join(map(str, mesh)),
        "mesh_points": math.prod(mesh) if mesh else None,
        "points": row.get("n_kpoints_irreducible"),
        "distance": row.get("training_distance"),
        "flags": list(row.get("flags") or []),
    }


def failure_view(tally: Tally, links: Links) -> list[dict[str, Any]]:
    """Failures by code, the most frequent first."""
    failed = max(tally.rows - tally.ok, 1)
    most = max((code.rows for code in tally.codes.values()), default=1)
    found = []
    for name, code in sorted(tally.codes.items(), key=lambda item: (-item[1].rows, item[0])):
        meaning, advice = meaning_of(name)
        found.append(
            {
                "code": name,
                "rows": code.rows,
                "share": percent(code.rows / failed),
                "bar": 100 * code.rows / most,
                "meaning": meaning,
                "advice": advice,
                "stages": ", ".join(
                    stage if count == code.rows else f"{stage} {count:,}"
                    for stage, count in code.stages.most_common()
                ),
                "examples": [
                    {
                        "id": str(example.get("id"))[:_TEXT],
                        "source": str(example.get("source") or "")[:_TEXT],
                        "href": links(str(example.get("id")), str(example.get("source") or "")),
                        "message": str(example.get("error_message") or "")[:_TEXT],
                    }
                    for example in code.examples
                ],
            }
        )
    return found
