"""The dialects of Parquet manifests: which columns make one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.types as pt

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.core.text import nearest
from goldilocks_batch.structures.sources.columns import (
    is_text,
    list_depth,
)
from goldilocks_batch.structures.sources.reference import (
    Format,
)

__all__ = [
    "ASE",
    "DIALECTS",
    "GOLDILOCKS",
    "OPTIMADE",
    "PATH",
    "TEXTS",
    "Dialect",
    "find_dialect",
    "id_column",
    "is_bytes",
]

ID_COLUMNS = ("id", "immutable_id", "material_id")
"""Columns that may hold the id; the first one there is taken."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Columns that together hold a structure.

    Attributes:
        name: its name in messages and in the run record.
        needs: the columns; of ``"a|b"`` exactly one, each another name of the same.
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

    def doubled(self, columns: Sequence[str]) -> list[str]:
        """Return columns that are two names of the same, nothing if there are none."""
        for need in self.needs:
            found = [name for name in need.split("|") if name in columns]
            if len(found) > 1:
                return found
        return []

    def __str__(self) -> str:
        needs = ", ".join(need.replace("|", " or ") for need in self.needs)
        return f"{self.name} ({needs})"


GOLDILOCKS = Dialect("goldilocks", ("cell", "frac", "numbers"), ("pbc",))
OPTIMADE = Dialect(
    "optimade",
    ("lattice_vectors", "cartesian_site_positions", "species_at_sites"),
    ("species", "dimension_types", "structure_features"),
)
ASE = Dialect("ase", ("cell", "positions|pos", "atomic_numbers|numbers"), ("pbc",))
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
FLAGS = ("lists of three flags, or one flag", (0, 1), lambda t: pt.is_boolean(t) or pt.is_integer(t))
TEXT = ("text", (0,), lambda t: is_text(t) or is_bytes(t))
NAMES = ("lists of text", (1,), lambda t: is_text(t) or pt.is_null(t))
OBJECT = ("text, or a struct of its fields", (0,), lambda t: TEXT[2](t) or pt.is_struct(t))
OBJECTS = ("text, or lists of structs", (0, 1), lambda t: is_text(t) or pt.is_struct(t) or pt.is_null(t))
KINDS: dict[str, tuple[str, tuple[int, ...], Callable[[pa.DataType], bool]]] = {
    **dict.fromkeys(("cell", "frac", "positions", "pos"), NUMBERS),
    **dict.fromkeys(("lattice_vectors", "cartesian_site_positions"), NUMBERS),
    **dict.fromkeys(("numbers", "atomic_numbers"), INTEGERS),
    **dict.fromkeys(("pbc", "dimension_types"), FLAGS),
    **dict.fromkeys(("path", *TEXTS), TEXT),
    "structure": OBJECT,
    "species": OBJECTS,
    **dict.fromkeys(("species_at_sites", "structure_features"), NAMES),
}


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type holds bytes."""
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind))


def find_dialect(schema: pa.Schema, where: str, wanted: str | None = None) -> tuple[Dialect, tuple[str, ...]]:
    """Return the one dialect that a file's columns make, and the columns to read.

    Args:
        schema: of the file.
        where: the file, for messages.
        wanted: name of the dialect, where the columns make several.

    Raises:
        InputError: no dialect, several, or a column of a type that does not fit.
    """
    found = [
        (dialect, columns)
        for dialect in DIALECTS
        if wanted in (None, dialect.name) and (columns := dialect.columns(schema.names)) is not None
    ]
    problem = None
    if not found:
        problem = f"do not make the dialect {wanted}" if wanted else "make no dialect of a manifest"
    elif len(found) > 1:
        several = ", ".join(dialect.name for dialect, _ in found)
        problem = f"make more than one: {several}; choose with --dialect"
    elif both := found[0][0].doubled(found[0][1]):
        problem = f"hold both {' and '.join(both)}; keep one"
    elif twice := [name for name in found[0][1] if schema.names.count(name) > 1]:
        problem = f"hold {twice[0]} more than once; keep one"
    if problem is not None:
        known = "; ".join(map(str, DIALECTS))
        present = ", ".join(schema.names) or "(none)"
        message = f"{where}: the columns {present} {problem}. Columns needed: {known}"
        raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    dialect, names = found[0]
    for name in names:
        expected, depths, fits = KINDS[name]
        depth, kind = list_depth(schema.field(name).type)
        if depth not in depths or not fits(kind):
            found_type = schema.field(name).type
            message = f"{where}: column {name} is {found_type}, the dialect {dialect.name} needs {expected}"
            raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    return dialect, names


def id_column(schema: pa.Schema, where: str, wanted: str | None = None) -> str | None:
    """Return the column that holds the ids, or None.

    Args:
        schema: of the file.
        where: the file, for messages.
        wanted: the column, in place of those that usually hold them.

    Raises:
        InputError: there is none of that name, or it holds neither text nor integers.
    """
    if wanted is not None and wanted not in schema.names:
        hint = nearest(wanted, list(schema.names))
        raise InputError(ErrorCode.MANIFEST_DIALECT, f"{where}: no column '{wanted}' for the ids: {hint}")
    name = wanted or next((name for name in ID_COLUMNS if name in schema.names), None)
    if name is not None and schema.names.count(name) > 1:
        message = f"{where}: there is more than one column {name}; keep one"
        raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    if name is not None and not (is_text(schema.field(name).type) or pt.is_integer(schema.field(name).type)):
        message = f"{where}: the id column {name} is {schema.field(name).type}, text or integers are needed"
        raise InputError(ErrorCode.MANIFEST_DIALECT, message)
    return name
