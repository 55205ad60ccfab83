"""What a row of a Parquet manifest holds, by the manifest's dialect."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.optimade import missing_atoms
from goldilocks_batch.structures.sources.columns import byte_column, list_column, list_depth, string_column
from goldilocks_batch.structures.sources.dialects import GOLDILOCKS, PATH, TEXTS, Dialect, is_bytes
from goldilocks_batch.structures.sources.files import decoded, reference_to_file
from goldilocks_batch.structures.sources.formats import safe_text
from goldilocks_batch.structures.sources.reference import (
    ArraysPayload,
    FailedPayload,
    Format,
    Payload,
    TextPayload,
)

__all__ = ["Decoder", "decoder"]

Decoder = Callable[[int], Payload]


def decoder(dialect: Dialect, table: pa.Table, folder: Path, *, allow_outside: bool) -> Decoder:
    """Return a function from a row's number in ``table`` to its payload.

    What it raises is about that row alone.

    Args:
        dialect: the table's dialect.
        table: the dialect's columns, of one row group.
        folder: the manifest's folder, from which paths start.
        allow_outside: let paths leave that folder.
    """
    if dialect is PATH:
        return _paths(string_column(table["path"]), folder, allow_outside)
    if dialect.name in TEXTS:
        return _texts(dialect.name, table[dialect.name], TEXTS[dialect.name])
    return _Arrays(dialect, table).payload


def _fail(code: ErrorCode, message: str) -> FailedPayload:
    return FailedPayload(StructureError(code, message, stage=Stage.READ))


def _null(column: str) -> FailedPayload:
    return _fail(
        ErrorCode.NULL_VALUE, f"column {column} is null here, or holds a null; fill it or drop the row"
    )


def _texts(name: str, column: pa.ChunkedArray, text_format: Format) -> Decoder:
    if pt.is_struct(column.type):
        return _objects(name, column)
    data = column if is_bytes(column.type) else byte_column(column)

    def payload(row: int) -> Payload:
        text: bytes | None = data[row].as_py()
        # as in a file of its own
        return _null(name) if text is None else TextPayload(text_format, decoded(text))

    return payload


def _objects(name: str, column: pa.ChunkedArray) -> Decoder:
    """Structs as the JSON that they were made from: a field that only other rows have is null here."""

    def payload(row: int) -> Payload:
        value = column[row].as_py()
        return _null(name) if value is None else TextPayload(Format.JSON, json.dumps(_without_nulls(value)))

    return payload


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def _paths(paths: list[str | bytes | None], folder: Path, allow_outside: bool) -> Decoder:
    # lexically: a link in the folder is its owner's choice, a name that climbs out of it is not
    inside = os.path.normpath(folder.absolute())

    def payload(row: int) -> Payload:
        name = paths[row]
        if name is None:
            return _null("path")
        if isinstance(name, bytes):
            name = os.fsdecode(name)
        if "\0" in name or not name:
            return _fail(ErrorCode.FILE_NOT_FOUND, f"{name!r} is no path")
        path = Path(os.path.normpath(os.path.join(inside, name)))  # noqa: PTH118 - pathlib keeps ".."
        if not allow_outside and not path.is_relative_to(inside):
            message = (
                f"{safe_text(name)} lies outside the manifest's folder; move it there, or allow paths outside"
            )
            return _fail(ErrorCode.PATH_FORBIDDEN, message)
        return reference_to_file("", path).payload

    return payload


class _Arrays:
    """Rows of the dialects that hold numbers: OPTIMADE, ASE and the package's own."""

    def __init__(self, dialect: Dialect, table: pa.Table) -> None:
        self.cartesian = dialect is not GOLDILOCKS
        self.definitions = table["species"] if "species" in table.column_names else None
        self.features = table["structure_features"] if "structure_features" in table.column_names else None
        self.lattice = _Named(table, 3, "lattice_vectors", "cell")
        self.positions = _Named(table, 3, "cartesian_site_positions", "frac", "positions", "pos")
        self.species = _Named(table, None, "species_at_sites", "atomic_numbers", "numbers")
        self.columns = [self.lattice, self.positions, self.species]
        self.pbc = None
        if not {"pbc", "dimension_types"}.isdisjoint(table.column_names):
            self.pbc = _Named(table, None, "pbc", "dimension_types")
            self.columns.append(self.pbc)
        #: Values of periodicity in a row: one for each axis, or one for all of them.
        self.flags = 3 if self.pbc is None or list_depth(table[self.pbc.name].type)[0] else 1

    def payload(self, row: int) -> Payload:
        for column in self.columns:
            if column.is_null(row):
                return _null(column.name)
            if column.is_ragged(row):
                return _fail(
                    ErrorCode.SHAPE_MISMATCH, f"column {column.name}: not every vector has 3 components"
                )
        definitions = None
        if self.definitions is not None:
            definitions = self.definitions[row].as_py()  # raises where it is no UTF-8
            if definitions is None:
                return _null("species")
            if not isinstance(definitions, str):
                definitions = json.dumps(definitions)
        if self.features is not None and (lacking := missing_atoms(self.features[row].as_py() or ())):
            return _fail(*lacking)
        species = self.species.row(row)
        for expected, column in zip(
            (9, 3 * len(species), len(species), self.flags), self.columns, strict=False
        ):
            found = len(column.row(row))
            if found != expected:
                message = (
                    f"column {column.name}: {found} values, {expected} expected for {len(species)} sites"
                )
                return _fail(ErrorCode.SHAPE_MISMATCH, message)
        return ArraysPayload(
            lattice=np.asarray(self.lattice.row(row), dtype=np.float64).reshape(3, 3),
            positions=np.asarray(self.positions.row(row), dtype=np.float64).reshape(-1, 3),
            cartesian=self.cartesian,
            species=species,
            pbc=None if self.pbc is None else np.full(3, self.pbc.row(row), dtype=bool),
            definitions=definitions,
        )


class _Named:
    """The column of a table that goes by one of several names."""

    def __init__(self, table: pa.Table, inner_length: int | None, *names: str) -> None:
        self.name = next(name for name in names if name in table.column_names)
        self.column = list_column(table[self.name], inner_length)

    def row(self, row: int) -> Any:
        return self.column.values[self.column.starts[row] : self.column.starts[row + 1]]

    def is_null(self, row: int) -> bool:
        return self.column.null is not None and bool(self.column.null[row])

    def is_ragged(self, row: int) -> bool:
        return self.column.ragged is not None and bool(self.column.ragged[row])
