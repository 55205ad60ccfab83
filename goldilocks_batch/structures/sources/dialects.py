"""The dialects of Parquet manifests: which columns make one, and what a row of them holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from goldilocks_batch.core.errors import ErrorCode, InputError, Stage, StructureError
from goldilocks_batch.structures.sources.columns import (
    byte_column,
    is_text,
    list_column,
    list_depth,
    string_column,
)
from goldilocks_batch.structures.sources.files import decoded, reference_to_file, safe_text
from goldilocks_batch.structures.sources.reference import (
    ArraysPayload,
    FailedPayload,
    Format,
    Payload,
    TextPayload,
)

__all__ = ["DIALECTS", "Dialect", "decoder", "find_dialect", "id_column"]

ID_COLUMNS = ("id", "immutable_id", "material_id")
"""Columns that may hold the id; the first one there is taken."""

Decoder = Callable[[int], Payload]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Columns that together hold a structure.

    Attributes:
        name: its name in messages and in the run record.
        needs: the columns; of ``"a|b"`` exactly one.
        optional: columns that are used where they exist.
    """

    name: str
    needs: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def columns(self, present: Sequence[str]) -> tuple[str, ...] | None:
        """Return the columns to read, or None if one is missing."""
        chosen: list[str] = []
        for need in self.needs:
            found = [name for name in need.split("|") if name in present]
            if not found:
                return None
            chosen += found
        return (*chosen, *(name for name in self.optional if name in present))

    def __str__(self) -> str:
        needs = ", ".join(need.replace("|", " or ") for need in self.needs)
        return f"{self.name} ({needs})"


GOLDILOCKS = Dialect("goldilocks", ("cell", "frac", "numbers"), ("pbc",))
OPTIMADE = Dialect(
    "optimade",
    ("lattice_vectors", "cartesian_site_positions", "species_at_sites"),
    ("species", "dimension_types"),
)
ASE = Dialect("ase", ("cell", "positions|pos", "atomic_numbers"), ("pbc",))
PATH = Dialect("path", ("path",))
TEXTS = {
    "cif": Format.CIF,
    "poscar": Format.POSCAR,
    "structure": Format.JSON,
}

DIALECTS: tuple[Dialect, ...] = (
    PATH,
    *(Dialect(name, (name,)) for name in TEXTS),
    OPTIMADE,
    ASE,
    GOLDILOCKS,
)

# what each column must hold: depth of lists, and a test of the innermost type
NUMBERS = ("lists of numbers", (1, 2, 3), lambda t: pt.is_floating(t) or pt.is_integer(t) or pt.is_decimal(t))
INTEGERS = ("lists of integers", (1,), pt.is_integer)
FLAGS = ("lists of three flags", (1,), lambda t: pt.is_boolean(t) or pt.is_integer(t))
TEXT = ("text", (0,), is_text)
NAMES = ("lists of text", (1,), TEXT[2])
KINDS: dict[str, tuple[str, tuple[int, ...], Callable[[pa.DataType], bool]]] = {
    **dict.fromkeys(("cell", "frac", "positions", "pos"), NUMBERS),
    **dict.fromkeys(("lattice_vectors", "cartesian_site_positions"), NUMBERS),
    **dict.fromkeys(("numbers", "atomic_numbers"), INTEGERS),
    **dict.fromkeys(("pbc", "dimension_types"), FLAGS),
    **dict.fromkeys(("path", "species", *TEXTS), TEXT),
    "species_at_sites": NAMES,
}


def find_dialect(schema: pa.Schema, where: str) -> tuple[Dialect, tuple[str, ...]]:
    """Return the one dialect that a file's columns make, and the columns to read.

    Raises:
        InputError: no dialect, several, or a column of a type that does not fit.
    """
    found = [
        (dialect, columns) for dialect in DIALECTS if (columns := dialect.columns(schema.names)) is not None
    ]
    problem = None
    if not found:
        problem = "make no dialect of a manifest"
    elif len(found) > 1:
        problem = f"make more than one: {', '.join(dialect.name for dialect, _ in found)}"
    elif "positions" in found[0][1] and "pos" in found[0][1]:
        problem = "hold both positions and pos; keep one"
    elif twice := [name for name in found[0][1] if schema.names.count(name) > 1]:
        problem = f"hold {twice[0]} more than once; keep one"
    if problem is not None:
        known = "; ".join(map(str, DIALECTS))
        present = ", ".join(schema.names) or "(none)"
        message = f"{where}: the columns {present} {problem}. Columns needed: {known}"
        raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    dialect, names = found[0]
    for name in names:
        wanted, depths, fits = KINDS[name]
        depth, kind = list_depth(schema.field(name).type)
        if depth not in depths or not fits(kind):
            found_type = schema.field(name).type
            message = f"{where}: column {name} is {found_type}, the dialect {dialect.name} needs {wanted}"
            raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    return dialect, names


def id_column(schema: pa.Schema, where: str) -> str | None:
    """Return the column that holds the ids, or None.

    Raises:
        InputError: it holds neither text nor integers.
    """
    name = next((name for name in ID_COLUMNS if name in schema.names), None)
    if name is not None and schema.names.count(name) > 1:
        message = f"{where}: there is more than one column {name}; keep one"
        raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    if name is not None and not (TEXT[2](schema.field(name).type) or pt.is_integer(schema.field(name).type)):
        message = f"{where}: the id column {name} is {schema.field(name).type}, text or integers are needed"
        raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    return name


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
    data = byte_column(column)

    def payload(row: int) -> Payload:
        text: bytes | None = data[row].as_py()
        # as in a file of its own
        return _null(name) if text is None else TextPayload(text_format, decoded(text))

    return payload


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
        self.lattice = _Named(table, 3, "lattice_vectors", "cell")
        self.positions = _Named(table, 3, "cartesian_site_positions", "frac", "positions", "pos")
        self.species = _Named(table, None, "species_at_sites", "numbers", "atomic_numbers")
        self.columns = [self.lattice, self.positions, self.species]
        self.pbc = None
        if not {"pbc", "dimension_types"}.isdisjoint(table.column_names):
            self.pbc = _Named(table, None, "pbc", "dimension_types")
            self.columns.append(self.pbc)

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
        species = self.species.row(row)
        for expected, column in zip((9, 3 * len(species), len(species), 3), self.columns, strict=False):
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
            pbc=None if self.pbc is None else np.asarray(self.pbc.row(row), dtype=bool),
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
