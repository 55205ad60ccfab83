"""The rows of a run with the cells that their meshes are for, some hundred rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldilocks_batch.config.choices import Grid, MeshCell
from goldilocks_batch.core.errors import (
    ConfigError,
    ErrorCode,
    GoldilocksError,
    RunError,
    Stage,
    StructureError,
)
from goldilocks_batch.core.text import nearest
from goldilocks_batch.exports.choice import KPoints, kpoints_of
from goldilocks_batch.exports.inputs import Inputs
from goldilocks_batch.kpoints.mesh import irreducible_count, rotations_in_cell
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.part import read_part
from goldilocks_batch.results.schema import COLUMNS
from goldilocks_batch.results.selection import columns_in, holding
from goldilocks_batch.structures.cells import found_primitive
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.outcome import ReadOptions
from goldilocks_batch.structures.read import read
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.symmetry import SYMPREC

__all__ = ["Choice", "Chunk", "Item", "Rows", "Skipped"]

#: Rows that are looked at together.
_AT_ONCE = 500
#: Columns of a row that writers, checks and the table of skipped rows use.
_NEEDED = (
    "id", "source", "row", "status", "stage", "error_code", "error_message", "formula", "n_sites",
    "n_sites_primitive", "kdist", "kdist_lower", "kdist_median", "kdist_upper", "confidence", "tolerance",
    "model", "model_digest", "flags",
    *(f"{prefix}mesh{end}" for prefix in ("", "primitive_") for end in ("", "_lower", "_median", "_upper")),
    "n_kpoints_irreducible", "primitive_n_kpoints_irreducible",
)  # fmt: skip
#: Options of a run that say how its inputs are opened.
_READING = ("allow_outside", "dialect", "id_column", "strict_ids")
#: How far from a fraction of small whole numbers the entries of a transformation may be for rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Choice:
    """What is wanted of a run.

    Attributes:
        cell: the cell that meshes are for.
        bound: the bound that they are made from; None for the recommended meshes.
        where: conditions that rows must meet.
        accuracy: meV per atom that the bounds have to be for; None for whatever the run was for.
        counts: count the irreducible k-points of meshes for which the table does not tell.
    """

    cell: MeshCell = "supplied"
    bound: Grid | None = None
    where: Sequence[str] = ()
    accuracy: float | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Item:
    """A row that went well, with the cell that its mesh is for.

    Attributes:
        row: of the result table.
        kpoints: the mesh and its spacings.
        crystal: the cell that the mesh is for, its axes as the mesh means them.
        supplied: the cell as supplied.
        transform: ``(3, 3)``, of the primitive cell: its vectors in terms of those supplied, rows; None for
            the cell as supplied.
    """

    row: Mapping[str, Any]
    kpoints: KPoints
    crystal: Crystal
    supplied: Crystal
    transform: NDArray[np.float64] | None = None

    @property
    def id(self) -> str:
        """The structure's id."""
        return str(self.row["id"])


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that nothing is written for, and why."""

    row: Mapping[str, Any]
    error: GoldilocksError


@dataclass(slots=True)
class Chunk:
    """Rows that were looked at together.

    Attributes:
        items: those that something is written for.
        skipped: those that failed, in the run or here.
        left_out: how many went well and were not asked for.
        rows: how many were looked at.
    """

    items: list[Item] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    left_out: int = 0
    rows: int = 0


class Rows:
    """The rows of a run.

    Args:
        output: the run's folder.
        choice: what is wanted of it.

    Attributes:
        record: the run's record.
        inputs: the run's inputs.
        rows: rows of the inputs.
        there: how many of them have a result.

    Raises:
        ConfigError: CONFIG_INVALID, the run has no such bound or accuracy, or a condition is none.
        RunError: RESUME_REFUSED, it is no folder of a run; ROWS_LOST, there are no results.
    """

    def __init__(self, output: Path, choice: Choice) -> None:
        folder = RunFolder.of(output)
        self._choice = choice
        self.record = folder.record.values
        self.rows = int(self.record["rows"])
        scan = folder.parts.scan()
        self._parts, self.there = scan.parts, scan.rows
        if not self._parts:
            raise RunError(ErrorCode.ROWS_LOST, f"no results in {folder.parts.folder}")
        _check_model(self.record.get("model") or {}, choice)
        try:
            config: dict[str, Any] = self.record["config"]
            reading = {name: config[name] for name in _READING if name in config}
            self.inputs = Inputs(self.record["inputs"], reading)
            self._symprec = float(config.get("symprec", SYMPREC))
            self._options = ReadOptions(
                int(config.get("max_sites", 1000)),
                allow_missing_hydrogens=bool(config.get("allow_missing_hydrogens", False)),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                ErrorCode.RESUME_REFUSED,
                f"{folder.record.path} names no inputs or no configuration: structures cannot be read again",
            ) from error
        self._columns = [*_NEEDED, *sorted(_asked(choice.where) - {*_NEEDED})]

    def chunks(self) -> Iterator[Chunk]:
        """All rows in the order of the inputs.

        A result file is in memory at a time; compacted ones have up to 250,000 rows.

        Raises:
            ConfigError: CONFIG_INVALID, a condition names no column, or compares what has no order.
            RunError: ROWS_LOST, a result file is damaged.
        """
        for part in self._parts:
            there = {line.partition(":")[0] for line in part.columns.splitlines()}
            table = read_part(part.path, [name for name in self._columns if name in there])
            rows = table["row"].to_numpy()
            if (rows[1:] < rows[:-1]).any():  # compacted files are in the order of the ids
                table = table.take(pa.array(rows.argsort()))
            for start in range(0, table.num_rows, _AT_ONCE):
                yield self._chunk(table.slice(start, _AT_ONCE))

    def ids(self) -> Iterator[list[str]]:
        """The ids of all rows, a result file at a time, in no particular order."""
        for part in self._parts:
            yield read_part(part.path, ["id"])["id"].to_pylist()

    def _chunk(self, table: pa.Table) -> Chunk:
        wanted = holding(table, self._choice.where)
        rows = table.to_pylist()
        chunk = Chunk(rows=len(rows))
        asked = []
        for row, want in zip(rows, wanted.tolist(), strict=True):
            if row["status"] != "ok" or want:
                asked.append(row)
            else:
                chunk.left_out += 1
        if any(row["status"] == "ok" for row in asked):
            first, last = rows[0]["row"], rows[-1]["row"] + 1
            references = self.inputs.read(first, last)
        for row in asked:
            try:
                reference = None if row["status"] != "ok" else references[row["row"] - first]
                chunk.items.append(self._item(row, reference))
            except GoldilocksError as error:
                chunk.skipped.append(Skipped(row, error))
            except Exception as error:  # whatever it is, it costs one row
                message = f"unexpected {type(error).__name__}: {error}"
                unforeseen = StructureError(ErrorCode.INTERNAL, message, stage=Stage.MESH)
                chunk.skipped.append(Skipped(row, unforeseen))
        return chunk

    def _item(self, row: Mapping[str, Any], reference: Reference | GoldilocksError | None) -> Item:
        """A row with its cell.

        The table keeps meshes and no lattices.  The primitive cell of a row would be 72 bytes that cannot be
        compressed, and its transformation some more; a row of MC3D's results takes 103 bytes in all.  It is
        found again in a millisecond, and the mesh tells if it were another.
        """
        choice = self._choice
        if reference is None:
            kpoints_of(row, None, cell=choice.cell, bound=choice.bound)  # raises what the row failed with
            raise LookupError("a row that went well has a structure")
        if isinstance(reference, GoldilocksError):
            raise reference
        if self.inputs.ids_known and reference.id != row["id"]:
            message = (
                f"row {row['row']} of the inputs is {reference.id!r} now, and was {row['id']!r} in the run"
            )
            raise StructureError(ErrorCode.STRUCTURE_CHANGED, message, stage=Stage.READ)
        supplied = read(reference, self._options).crystal
        # both cells are held to the row, whichever is wanted
        found = kpoints_of(row, supplied, cell="supplied", bound=choice.bound)
        item = Item(row, found, supplied, supplied)
        uncounted = choice.counts and found.n_kpoints_irreducible is None
        if choice.cell == "supplied" and not uncounted:
            return item
        primitive, symmetry = found_primitive(supplied, self._symprec)
        if choice.cell == "primitive":
            found = kpoints_of(row, primitive, cell="primitive", bound=choice.bound)
            item = Item(row, found, primitive, supplied, _transform(primitive, supplied))
        if choice.counts and item.kpoints.n_kpoints_irreducible is None:
            rotations: NDArray[np.integer] = symmetry.rotations
            if choice.cell == "supplied":
                rotations = rotations_in_cell(rotations, primitive.lattice, supplied.lattice)
            count = irreducible_count(np.array(item.kpoints.mesh), rotations)
            item = replace(item, kpoints=replace(item.kpoints, n_kpoints_irreducible=count))
        return item


def _transform(primitive: Crystal, supplied: Crystal) -> NDArray[np.float64]:
    """``(3, 3)``, rows: the primitive vectors in terms of those supplied, without the division's noise."""
    change = primitive.lattice @ np.linalg.inv(supplied.lattice)
    size = round(supplied.volume / primitive.volume)
    exact: NDArray[np.float64] = np.rint(change * size) / size + 0.0  # no negative zeros
    if np.abs(change - exact).max() > _ROUNDING:
        message = "the primitive vectors are no fractions of the vectors supplied"
        raise StructureError(ErrorCode.PRIMITIVE_FAILED, message, stage=Stage.PRIMITIVE)
    return exact


def _asked(where: Sequence[str]) -> set[str]:
    """The columns that conditions are on.

    Raises:
        ConfigError: CONFIG_INVALID, there is no such column.
    """
    known = [column.name for column in COLUMNS]
    for name in sorted(columns_in(where) - {*known}):
        message = f"no column '{name}': {nearest(name, known)} ('goldilocks-batch schema' lists all)"
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    return columns_in(where)


def _check_model(model: Mapping[str, Any], choice: Choice) -> None:
    """Refuse what no row of the run has.

    Raises:
        ConfigError: CONFIG_INVALID.
    """
    if (
        choice.bound not in (None, "lower")
        and "coverage_central" in model
        and model["coverage_central"] is None
    ):
        message = f"model '{model.get('model')}' of the run has a lower bound only, no {choice.bound}"
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    tolerance = model.get("tolerance")
    if choice.accuracy is not None and tolerance != choice.accuracy:
        found = "do not say for which accuracy they are" if tolerance is None else f"are for {tolerance:g}"
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"meshes for {choice.accuracy:g} meV per atom are asked for, and the bounds of the run {found}; "
            f"run again with --tolerance {choice.accuracy:g} into another folder",
        )
