"""The table of studies: a row for every structure, with labels or limits and the ladder's energies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from goldilocks_batch.convergence.folder import Known
from goldilocks_batch.convergence.study import Rule, Study
from goldilocks_batch.convergence.tail import first_converged, first_possible
from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.kpoints.ladder import Ladder
from goldilocks_batch.structures.crystal import formula
from goldilocks_batch.structures.sources.parquet import MANIFEST_VERSION, VERSION_KEY

__all__ = ["SCHEMA_ID", "STUDY_FLAGS", "Head", "failed_row", "row_of", "studies_schema", "table_of"]

#: Changes whenever a column is renamed, removed or changes its meaning.
SCHEMA_ID = "goldilocks_batch.studies.v1"

_MESH = pa.list_(pa.int32(), 3)
_LADDER = pa.list_(
    pa.struct(
        [
            ("rung", pa.int32()),
            ("mesh", _MESH),
            ("k_low", pa.float64()),
            ("k_high", pa.float64()),
            ("energy", pa.float64()),
            ("n_kpoints_irreducible", pa.int64()),
            ("seconds", pa.float64()),
        ]
    )
)
#: What the row of a study can be flagged for, beside what is found in reading its structure.
STUDY_FLAGS: dict[str, str] = {
    "axis_untested": "along some axis all meshes of the finest label's tail have the same count",
    "two_fermi_energies": "on some mesh several Fermi energies give the right number of electrons: energies "
    "of two meshes may differ by the choice",
}
#: A label is the upper end of an interval that is open there.
_INSIDE = 1.0 - 1e-6


def _first_columns() -> list[tuple[str, pa.DataType, str, str]]:
    return [
        ("id", pa.string(), "", "the structure's id"),
        ("source", pa.string(), "", "where it was read from"),
        ("row", pa.int64(), "", "its place in the inputs, counted from 0"),
        ("status", pa.string(), "", "label, limit, or failed: nothing is known"),
        ("error_code", pa.string(), "", "why there is no label; null for a label"),
        ("error_message", pa.string(), "", "what happened; null for a label"),
        ("output", pa.string(), "", "last lines of the code's output; null for a label"),
        ("formula", pa.string(), "", "reduced formula"),
        ("n_sites", pa.int32(), "", "sites in the cell as supplied"),
        ("cell", pa.list_(pa.float64(), 9), "Å", "rows a, b, c, flat"),
        ("frac", pa.list_(pa.float64()), "", "fractional coordinates, flat"),
        ("numbers", pa.list_(pa.uint8()), "", "atomic numbers"),
        ("pbc", pa.list_(pa.bool_(), 3), "", "periodic along a, b, c"),
    ]


def _label_columns(tolerance: float) -> list[tuple[str, pa.DataType, str, str]]:
    at, within = _at(tolerance), f"converged within {tolerance:g} meV per atom"
    return [
        (f"k_dist_{at}", pa.float64(), "1/Å", f"largest k-distance {within}; null without a label"),
        (f"k_dist_at_most_{at}", pa.float64(), "1/Å", "what an unfinished study's label does not exceed"),
        (f"first_{at}", pa.bool_(), "", "the label is the study's first rung: it is at least k_dist"),
        (f"capped_{at}", pa.bool_(), "", "the label is Γ alone, whose interval has no upper end"),
        (f"rung_{at}", pa.int32(), "", "the label's rung, from 1, Γ alone"),
        (f"mesh_{at}", _MESH, "", "its mesh"),
        (f"k_low_{at}", pa.float64(), "1/Å", "lower end of the k-distances that give that mesh"),
        (f"k_high_{at}", pa.float64(), "1/Å", "upper end, open; null for Γ alone"),
    ]


def _last_columns() -> list[tuple[str, pa.DataType, str, str]]:
    return [
        ("rung_max", pa.int32(), "", "the last rung that was calculated"),
        ("ladder", _LADDER, "", "every rung calculated: energy in eV per atom, time in s"),
        ("flags", pa.list_(pa.string()), "", "what may not be right"),
        ("seconds", pa.float64(), "s", "wall time of all rungs"),
        ("code", pa.string(), "", "ASE's name of the code"),
        ("code_version", pa.string(), "", "as the code says itself"),
        ("input_sha256", pa.string(), "", "digest of all that decides the energies"),
        ("protocol", pa.string(), "", "digest of the protocol, which the table's metadata tell"),
    ]


def _at(tolerance: float) -> str:
    return f"{tolerance:g}mev"


def studies_schema(tolerances: Sequence[float]) -> pa.Schema:
    """Columns of a table of studies at some tolerances; it is a manifest, too."""
    columns = _first_columns()
    for tolerance in sorted(tolerances):
        columns += _label_columns(tolerance)
    columns += _last_columns()
    fields = [
        pa.field(name, kind, metadata={"unit": unit, "text": text} if unit else {"text": text})
        for name, kind, unit, text in columns
    ]
    return pa.schema(fields, metadata={VERSION_KEY: MANIFEST_VERSION})


@dataclass(frozen=True, slots=True)
class Head:
    """What a row begins with.

    Attributes:
        id: the structure's.
        source: where it was read from.
        code: ASE's name of the code.
        protocol: digest of the protocol.
    """

    id: str
    source: str
    code: str
    protocol: str


def row_of(head: Head, known: Known, rungs: Ladder, study: Study, rule: Rule) -> dict[str, Any]:
    """The row of a study that has begun; columns that it lacks are null.

    Args:
        head: what the row begins with.
        known: what is studied.
        rungs: its ladder.
        study: how it ended.
        rule: what counts as converged.
    """
    row: dict[str, Any] = {
        "id": head.id,
        "source": head.source,
        **_structure(known),
        "code": head.code,
        "code_version": known.version or None,
        "input_sha256": known.digest,
        "protocol": head.protocol,
        "flags": [*known.flags, *_flags(study, known, rule)],
        "seconds": sum(point.seconds for point in study.points),
        "rung_max": study.points[-1].rung if study.points else None,
        "ladder": [
            {
                "rung": point.rung,
                "mesh": list(point.mesh),
                "k_low": float(rungs.low[point.rung - 1]),
                "k_high": _finite(rungs.high[point.rung - 1]),
                "energy": point.energy,
                "n_kpoints_irreducible": point.kpoints,
                "seconds": point.seconds,
            }
            for point in study.points
        ],
    }
    limits = 0
    for tolerance in rule.tolerances:
        if study.converged:
            row |= _label(study, known, rungs, tolerance, rule.tail)
        else:
            limit = _limit(study, known, rungs, tolerance)
            limits += limit is not None
            row[f"k_dist_at_most_{_at(tolerance)}"] = limit
    if study.converged:
        return row | {"status": "label"}
    row["status"] = "limit" if limits else "failed"
    if study.failure is not None:
        row |= {
            "error_code": study.failure.code.value,
            "error_message": study.failure.message,
            "output": study.failure.output or None,
        }
    return row


def failed_row(head: Head, code: ErrorCode, message: str) -> dict[str, Any]:
    """The row of a structure of which nothing is known."""
    return {
        "id": head.id,
        "source": head.source,
        "status": "failed",
        "error_code": code.value,
        "error_message": message,
        "code": head.code,
        "protocol": head.protocol,
        "flags": [],
    }


def table_of(rows: Sequence[dict[str, Any]], tolerances: Sequence[float], first_row: int) -> pa.Table:
    """Rows as a table; ``row`` counts from ``first_row``."""
    schema = studies_schema(tolerances)
    numbered = [{**dict.fromkeys(schema.names), **row, "row": first_row + i} for i, row in enumerate(rows)]
    return pa.Table.from_pylist(numbered, schema=schema)


def _structure(known: Known) -> dict[str, Any]:
    crystal = known.crystal
    return {
        "formula": formula(crystal.numbers),
        "n_sites": len(crystal),
        "cell": crystal.lattice.ravel().tolist(),
        "frac": crystal.frac.ravel().tolist(),
        "numbers": crystal.numbers.tolist(),
        "pbc": crystal.pbc.tolist(),
    }


def _label(study: Study, known: Known, rungs: Ladder, tolerance: float, tail: int) -> dict[str, Any]:
    place = first_converged(study.energies, tolerance, tail)
    if place is None:  # the finest tolerance has a label, so all have
        raise AssertionError("a converged study without a label")
    rung, at = known.start + place, _at(tolerance)
    low, high = float(rungs.low[rung - 1]), float(rungs.high[rung - 1])
    return {
        f"k_dist_{at}": high * _INSIDE if math.isfinite(high) else low,
        f"first_{at}": place == 0,
        f"capped_{at}": not math.isfinite(high),
        f"rung_{at}": rung,
        f"mesh_{at}": rungs.meshes[rung - 1].tolist(),
        f"k_low_{at}": low,
        f"k_high_{at}": _finite(high),
    }


def _limit(study: Study, known: Known, rungs: Ladder, tolerance: float) -> float | None:
    """What the label cannot exceed; None if no rung is excluded."""
    place = first_possible(study.energies, tolerance)
    if not study.points or place == 0:
        return None
    return float(rungs.high[known.start + place - 1]) * _INSIDE


def _flags(study: Study, known: Known, rule: Rule) -> list[str]:
    """Those of :data:`STUDY_FLAGS` that hold."""
    flags = ["two_fermi_energies"] if any(point.several_fermi_energies for point in study.points) else []
    place = first_converged(study.energies, min(rule.tolerances), rule.tail)
    if study.converged and place is not None:
        tail = np.array([point.mesh for point in study.points[place:]])
        if ((tail == tail[0]).all(axis=0) & known.crystal.pbc).any():
            flags.append("axis_untested")
    return flags


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
