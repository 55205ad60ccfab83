"""From a batch and its bounds to rows of the result table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goldilocks_batch.core.arrow import array_of, column_of
from goldilocks_batch.core.errors import ErrorCode, Stage
from goldilocks_batch.kpoints.mesh import Rotations, irreducible_counts, mesh, reciprocal_lengths
from goldilocks_batch.kpoints.rungs import Rungs
from goldilocks_batch.results.report import WORK, Report
from goldilocks_batch.results.schema import result_schema
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.structures.crystal import Crystal, formula
from goldilocks_batch.structures.sources.reference import Reference

__all__ = ["Answers", "MeshOptions", "failed_table", "known_columns", "report_of", "result_table"]

#: More divisions than this along an axis: more likely a wrong cell than a wise choice.
_VERY_DENSE = 100

#: From this probability on a crystal counts as a metal: the class that the network prefers.
_METAL = 0.5

#: Bounds in the order of a model's columns.
_BOUNDS = ("lower", "median", "upper")


@dataclass(frozen=True, slots=True)
class MeshOptions:
    """How bounds become meshes.

    Attributes:
        grid: the bound that the recommended mesh is made from: lower, median or upper.
        equal_axes: equal counts along axes of equal length.
        constants: name and kdist (1/Å) of the baselines set beside every prediction.
        small_constant: atoms of a primitive cell, and what the baseline "constant" is for cells of no more.
    """

    grid: str
    equal_axes: bool
    constants: tuple[tuple[str, float], ...]
    small_constant: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """A model's final bounds for some structures of a batch.

    Attributes:
        indices: ``(m,)`` their places in the batch, ascending.
        bounds: ``(m, 3)`` kdist, 1/Å: lower, median, upper; NaN where the model has no such bound.
        spread: ``(m, 3)`` standard deviations over an ensemble, 1/Å, or None.
        distance: ``(m,)`` to what the model was trained on, or None.
        devices: m names of what the networks ran on, or None.
        metal: ``(m,)`` the metallicity network's probability of a metal, or None.
        rungs: the rungs that the lower bounds are of, or None.
    """

    indices: NDArray[np.int64]
    bounds: NDArray[np.float64]
    spread: NDArray[np.float64] | None = None
    distance: NDArray[np.float64] | None = None
    devices: Sequence[str] | None = None
    metal: NDArray[np.float64] | None = None
    rungs: Rungs | None = None


def result_table(
    batch: Batch, answers: Answers, options: MeshOptions, provenance: dict[str, object], first_row: int
) -> pa.Table:
    """One row for every structure of the batch, in order, in the result schema.

    Args:
        batch: the structures; flags may be added to it.
        answers: the bounds of those that did not fail.
        options: how bounds become meshes.
        provenance: values that are the same in every row: model, confidence, correction …
        first_row: place of the first structure in the inputs.
    """
    kdists = {name: answers.bounds[:, place] for place, name in enumerate(_BOUNDS)}
    columns: dict[str, NDArray[Any]] = {f"kdist_{name}": kdists[name] for name in _BOUNDS}
    columns["kdist"] = kdists[""] = kdists[options.grid]
    for name, constant in options.constants:
        kdists[f"{name}_"] = np.full(len(answers.indices), constant)
    if options.small_constant is not None:
        most, constant = options.small_constant
        small = np.array(
            [len(cell) <= most for cell, _ in batch.primitive_cells(answers.indices)], dtype=bool
        )
        kdists["constant_"][small] = constant
        columns["constant_kdist"] = kdists["constant_"]
    with batch.timed(Stage.MESH.value):
        for prefix, crystals, rotations in _cells(batch, answers.indices):
            columns |= _mesh_columns(prefix, crystals, rotations, kdists, options.equal_axes)
    for index in answers.indices[columns["mesh"].max(axis=1, initial=1) > _VERY_DENSE]:
        batch.flags[index].append("mesh_very_dense")
    if answers.spread is not None:
        columns |= {f"spread_{name}": answers.spread[:, place] for place, name in enumerate(_BOUNDS)}
    if answers.distance is not None:
        columns["training_distance"] = answers.distance
    if answers.metal is not None:
        columns |= {"metal_probability": answers.metal, "is_metal": answers.metal >= _METAL}
    if answers.rungs is not None:
        found = answers.rungs
        columns |= {"rung": found.rung, "rung_last": found.last}
        columns |= {"rung_kdist_low": found.low, "rung_kdist_high": found.high}
    count = len(batch)
    arrays = {name: _spread_out(values, answers.indices, count, name) for name, values in columns.items()}
    if answers.devices is not None:
        named = dict(zip(answers.indices.tolist(), answers.devices, strict=True))
        arrays["device"] = column_of([named.get(index) for index in range(count)], _type("device"))
    same = {name: column_of([value] * count, _type(name)) for name, value in provenance.items()}
    arrays = same | arrays
    return _assembled(arrays | known_columns(batch, first_row), count)


def _cells(batch: Batch, indices: NDArray[np.int64]) -> list[tuple[str, list[Crystal], Rotations]]:
    """Prefix of the columns, crystals and point operations, for the cells as supplied and the primitive."""
    supplied = batch.supplied_crystals(indices)
    primitive = [crystal for crystal, _ in batch.primitive_cells(indices)]
    rotations = Rotations.of([symmetry.rotations for _, symmetry in batch.primitive_cells(indices)])
    moved = rotations.in_cells(_lattices(primitive), _lattices(supplied))
    return [("", supplied, moved), ("primitive_", primitive, rotations)]


def _lattices(crystals: Sequence[Crystal]) -> NDArray[np.float64]:
    return np.array([crystal.lattice for crystal in crystals]).reshape(-1, 3, 3)


def _mesh_columns(
    prefix: str,
    crystals: Sequence[Crystal],
    rotations: Rotations,
    kdists: dict[str, NDArray[np.float64]],
    equal_axes: bool,
) -> dict[str, NDArray[Any]]:
    """The mesh of every kdist; k-point counts too for the recommended one and those it is compared with.

    A name in ``kdists`` is a bound's, or what stands before ``mesh`` in the columns of one with counts.
    """
    lattices = _lattices(crystals)
    lengths = reciprocal_lengths(lattices)
    pbc = np.array([crystal.pbc for crystal in crystals], dtype=bool).reshape(-1, 3)
    found: dict[str, NDArray[Any]] = {}
    for name, kdist in kdists.items():
        given = np.isfinite(kdist)
        counts = np.zeros((len(crystals), 3), dtype=np.int64)
        counts[given] = mesh(
            kdist[given], lattices[given], pbc[given], equal_axes=equal_axes, lengths=lengths[given]
        )
        if name in _BOUNDS:
            found[f"{prefix}mesh_{name}"] = counts
        else:
            found[f"{prefix}{name}mesh"] = counts
            found[f"{prefix}{name}n_kpoints"] = counts.prod(axis=1)
            found[f"{prefix}{name}n_kpoints_irreducible"] = irreducible_counts(counts, rotations)
    return found


def failed_table(
    references: Sequence[Reference],
    first_row: int,
    code: ErrorCode,
    message: str,
    provenance: dict[str, object],
) -> pa.Table:
    """Rows for structures that could not even be tried."""
    batch = Batch.failed(references, code, message)
    arrays = {name: column_of([value] * len(batch), _type(name)) for name, value in provenance.items()}
    return _assembled(arrays | known_columns(batch, first_row), len(batch))


def report_of(table: pa.Table, seconds: Mapping[str, float]) -> Report:
    """Counts of a result table.

    Sums of k-points have their columns' names.  Those of :data:`~goldilocks_batch.results.report.WORK` are of
    irreducible k-points times the square of the atoms in the cell.
    """
    ok = array_of(np.array([status == "ok" for status in table["status"].to_pylist()], dtype=bool))
    counted = [name for name in table.column_names if "n_kpoints" in name]
    done = table.select([*counted, "n_sites", "n_sites_primitive"]).filter(ok)
    # null at a confidence that has no published constant
    kpoints = Counter({name: pc.sum(done[name]).as_py() or 0 for name in counted})
    for cell, atoms in (("", "n_sites"), ("primitive_", "n_sites_primitive")):
        sites = done[atoms].cast(pa.int64())
        square = pc.multiply(sites, sites)  # a power of 2, a number of Python's, would import pandas
        for mesh_of in ("", "constant_", "aiida_"):
            points = done[f"{cell}{mesh_of}n_kpoints_irreducible"]
            kpoints[f"{cell}{mesh_of}{WORK}"] = pc.sum(pc.multiply(points, square)).as_py() or 0
    failures = Counter(code for code in table["error_code"].to_pylist() if code is not None)
    flags = Counter(flag for row in table["flags"].to_pylist() for flag in row)
    devices = Counter(name for name in table["device"].to_pylist() if name is not None)
    return Report(table.num_rows, ok.true_count, failures, flags, dict(seconds), kpoints, devices=devices)


def known_columns(batch: Batch, first_row: int) -> dict[str, pa.Array]:
    """Columns of what is known of every row, failed ones included."""
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
        "n_sites_primitive": [None if c is None else len(c.primitive) for c in batch.cells],
        "space_group_number": [None if c is None else c.symmetry.number for c in batch.cells],
        "space_group_symbol": [None if c is None else c.symmetry.international for c in batch.cells],
        "flags": list(batch.flags),
    }
    return {name: column_of(column, _type(name)) for name, column in values.items()}


def _spread_out(values: NDArray[Any], indices: NDArray[np.int64], count: int, name: str) -> pa.Array:
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
        flat = array_of(whole.ravel(), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=array_of(null))
    return array_of(whole, kind, null)


def _type(name: str) -> pa.DataType:
    return result_schema().field(name).type


def _assembled(arrays: dict[str, pa.Array], count: int) -> pa.Table:
    schema = result_schema()
    columns = [arrays.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)
