"""From a batch and its bounds to rows of the result table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldilocks_batch.batch import Batch
from goldilocks_batch.crystal import Crystal, formula
from goldilocks_batch.errors import ErrorCode, GoldilocksError, Stage
from goldilocks_batch.mesh import irreducible_counts, mesh, rotations_in_cell
from goldilocks_batch.report import Report
from goldilocks_batch.schema import result_schema
from goldilocks_batch.sources import Reference

__all__ = ["Answers", "failed_table", "report_of", "result_table"]

#: More divisions than this along an axis: more likely a wrong cell than a wise choice.
_VERY_DENSE = 100

#: AiiDA-QuantumESPRESSO's `balanced` protocol, 1/Å.
_AIIDA_BALANCED = 0.15


@dataclass(frozen=True, slots=True)
class Answers:
    """A model's final bounds for some structures of a batch.

    Attributes:
        indices: ``(m,)`` their places in the batch, ascending.
        lower, median, upper: ``(m,)`` kdist, 1/Å; NaN where the model has no such bound.
        spread: ``(m, 3)`` standard deviations over an ensemble, 1/Å, or None.
    """

    indices: NDArray[np.int64]
    lower: NDArray[np.float64]
    median: NDArray[np.float64]
    upper: NDArray[np.float64]
    spread: NDArray[np.float64] | None = None

    def bound(self, name: str) -> NDArray[np.float64]:
        """``lower``, ``median`` or ``upper``."""
        values: NDArray[np.float64] = getattr(self, name)
        return values


def result_table(
    batch: Batch,
    answers: Answers,
    *,
    grid: str,
    equal_axes: bool,
    constant_kdist: float,
    provenance: dict[str, object],
    first_row: int,
) -> pa.Table:
    """One row for every structure of the batch, in order, in the result schema.

    Args:
        batch: the structures; flags may be added to it.
        answers: the bounds of those that did not fail.
        grid: the bound that the recommended mesh is made from.
        equal_axes: equal counts along axes of equal length.
        constant_kdist: the level's constant, 1/Å.
        provenance: values that are the same in every row: model, confidence, correction …
        first_row: place of the first structure in the inputs.
    """
    kdists = {name: answers.bound(name) for name in ("lower", "median", "upper")}
    kdists["recommended"] = kdists[grid]
    kdists["aiida"] = np.full(len(answers.indices), _AIIDA_BALANCED)
    kdists["constant"] = np.full(len(answers.indices), constant_kdist)
    with batch.timed(Stage.MESH.value):
        cells = _Cells.of(batch, answers.indices)
        columns = cells.columns("", cells.supplied, cells.rotations_supplied, kdists, equal_axes)
        columns |= cells.columns("primitive_", cells.primitive, cells.rotations_primitive, kdists, equal_axes)
    dense = np.asarray(columns["mesh"]).max(axis=1, initial=1) > _VERY_DENSE
    for index in answers.indices[dense]:
        batch.flags[index].append("mesh_very_dense")
    columns |= {f"kdist_{name}": answers.bound(name) for name in ("lower", "median", "upper")}
    columns["kdist"] = kdists["recommended"]
    if answers.spread is not None:
        for place, name in enumerate(("lower", "median", "upper")):
            columns[f"spread_{name}"] = answers.spread[:, place]
    count = len(batch)
    arrays = {name: _spread_out(values, answers.indices, count, name) for name, values in columns.items()}
    arrays |= {name: pa.array([value] * count, _type(name)) for name, value in provenance.items()}
    arrays |= _known_columns(batch, first_row)
    return _assembled(arrays, count)


@dataclass(frozen=True, slots=True)
class _Cells:
    """The two cells of every answered structure, with the point operations of each."""

    supplied: list[Crystal]
    primitive: list[Crystal]
    rotations_supplied: list[NDArray[np.int64]]
    rotations_primitive: list[NDArray[np.int64]]

    @classmethod
    def of(cls, batch: Batch, indices: NDArray[np.int64]) -> _Cells:
        primitive = batch.crystals(indices)
        supplied = [batch.known_supplied(i) for i in indices]
        rotations = [symmetry.rotations for symmetry in batch.symmetries(indices)]
        moved = [
            rotations_in_cell(r, small.lattice, large.lattice)
            for r, small, large in zip(rotations, primitive, supplied, strict=True)
        ]
        return cls(supplied, primitive, moved, rotations)

    @staticmethod
    def columns(
        prefix: str,
        crystals: Sequence[Crystal],
        rotations: Sequence[NDArray[np.int64]],
        kdists: dict[str, NDArray[np.float64]],
        equal_axes: bool,
    ) -> dict[str, NDArray[np.generic]]:
        """Meshes of every kdist, and counts of those that are recommended or compared with."""
        names = {
            "lower": "mesh_lower",
            "median": "mesh_median",
            "upper": "mesh_upper",
            "recommended": "mesh",
            "aiida": "aiida_mesh",
            "constant": "constant_mesh",
        }
        lattices = np.array([c.lattice for c in crystals]).reshape(-1, 3, 3)
        pbc = np.array([c.pbc for c in crystals], dtype=bool).reshape(-1, 3)
        found: dict[str, NDArray[np.generic]] = {}
        for name, kdist in kdists.items():
            counts = mesh(kdist, lattices, pbc, equal_axes=equal_axes)
            found[prefix + names[name]] = counts
            if name in ("recommended", "aiida", "constant"):
                stem = prefix + ("" if name == "recommended" else f"{name}_")
                found[f"{stem}n_kpoints"] = counts.prod(axis=1)
                found[f"{stem}n_kpoints_irreducible"] = irreducible_counts(counts, rotations)
        return found


def failed_table(
    references: Sequence[Reference], first_row: int, code: ErrorCode, message: str, provenance: dict[str, object]
) -> pa.Table:
    """Rows for structures that could not even be tried."""
    batch = Batch(references)
    for index in range(len(batch)):
        batch.fail(index, GoldilocksError(code, message, stage=Stage.WORKER), Stage.WORKER)
    arrays = {name: pa.array([value] * len(batch), _type(name)) for name, value in provenance.items()}
    return _assembled(arrays | _known_columns(batch, first_row), len(batch))


def report_of(table: pa.Table, seconds: Counter[str]) -> Report:
    """Counts of a result table."""
    ok = table["status"].to_numpy(zero_copy_only=False) == "ok"
    kpoints = Counter(
        {
            name: int(table[name].to_numpy(zero_copy_only=False)[ok].astype(np.int64).sum())
            for name in table.column_names
            if "n_kpoints" in name
        }
    )
    failures = Counter(code for code in table["error_code"].to_pylist() if code is not None)
    flags = Counter(flag for row in table["flags"].to_pylist() for flag in row)
    return Report(table.num_rows, int(ok.sum()), failures, flags, seconds, kpoints)


def _known_columns(batch: Batch, first_row: int) -> dict[str, pa.Array]:
    """What is known of every row, failed ones included."""
    failures = batch.failures
    values: dict[str, list[object]] = {
        "id": [reference.id for reference in batch.references],
        "source": [reference.source for reference in batch.references],
        "row": list(range(first_row, first_row + len(batch))),
        "status": ["ok" if failure is None else "failed" for failure in failures],
        "stage": [str(Stage.DONE) if f is None else str(f.stage) for f in failures],
        "error_code": [None if f is None else str(f.code) for f in failures],
        "error_message": [None if f is None else f.message for f in failures],
        "formula": [None if c is None else formula(c.numbers) for c in batch.supplied],
        "n_sites": [None if c is None else len(c) for c in batch.supplied],
        "n_sites_primitive": [None if c is None else len(c) for c in batch.primitive],
        "space_group_number": [None if s is None else s.number for s in batch.symmetry],
        "space_group_symbol": [None if s is None else s.international for s in batch.symmetry],
        "flags": list(batch.flags),
    }
    return {name: pa.array(column, _type(name)) for name, column in values.items()}


def _spread_out(values: NDArray[np.generic], indices: NDArray[np.int64], count: int, name: str) -> pa.Array:
    """A column of ``count`` rows with ``values`` at ``indices``; other rows and NaNs are null."""
    whole = np.zeros((count, *values.shape[1:]), dtype=values.dtype)
    whole[indices] = values
    null = np.ones(count, dtype=bool)
    null[indices] = False
    if values.dtype.kind == "f":
        null |= np.isnan(whole)
    kind = _type(name)
    if values.ndim == 2:
        null |= (whole == 0).any(axis=1)  # a mesh of a bound that the model does not give
        flat = pa.array(whole.ravel(), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(null))
    return pa.array(whole, kind, mask=null)


def _type(name: str) -> pa.DataType:
    return result_schema().field(name).type


def _assembled(arrays: dict[str, pa.Array], count: int) -> pa.Table:
    schema = result_schema()
    columns = [arrays.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)
