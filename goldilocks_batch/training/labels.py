"""Labelled structures: a Parquet manifest, a CGCNN folder, or the published dataset's ``summary.csv``.

================  ===============================================================  =======================
layout            structures                                                       target
================  ===============================================================  =======================
Parquet manifest  any dialect of :mod:`goldilocks_batch.structures.sources`                   a column
CGCNN folder      ``<id>.cif`` beside ``id_prop.csv``                              its second column
``summary.csv``   the path in a column ``cif``, ``cif_path``, ``cif_file``,        a column
                  ``path``, ``file`` or ``filename``; else ``<id>.cif`` beside
                  the table or in ``cifs/`` or ``cif/`` there
================  ===============================================================  =======================

The column is the one that is named, or else the first there is of ``k_dist``, ``kdist``, ``k_distance``,
``kpoints_distance``, ``k_spacing`` and ``kspacing``.

``id_prop.csv`` has no header and is read as CGCNN reads it: the id, then the target, further columns ignored.
The reading of ``summary.csv`` is an assumption about a file that is not described anywhere: one header line,
an id column ``id``, ``material_id``, ``mc3d_id``, ``structure_id`` or ``name``.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources.columns import string_column
from goldilocks_batch.structures.sources.dialects import id_column
from goldilocks_batch.structures.sources.files import digest_of_file, reference_to_file
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import open_sources

__all__ = ["Labels", "Target", "read_labels", "read_structures", "some"]

#: How many ids an error names.
_NAMED = 5
#: k-distances that a label may have, 1/Å: some ten times beyond all that convergence studies have found.
_SMALLEST, _LARGEST = 0.005, 5.0
_IDS = ("id", "material_id", "mc3d_id", "structure_id", "name")
_CIFS = ("cif", "cif_path", "cif_file", "path", "file", "filename")
_TARGETS = ("k_dist", "kdist", "k_distance", "kpoints_distance", "k_spacing", "kspacing")


class Target(BaseModel):
    """Which column holds the label, and what it means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str | None = Field(
        None, description="the target column; null: the first of k_dist, kdist … that there is"
    )
    kind: Literal["kdist", "kpoint_length"] = Field(
        "kdist", description="kdist in 1/Å with the 2π, or a k-point length L in Å, whose kdist is 2π/L"
    )
    at_most: str | None = Field(
        None, description="for evaluation: a column of limits that the label is known not to exceed"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """References to structures, each with its label.

    Attributes:
        references: n structures, not yet read.
        kdist: ``(n,)`` float64, 1/Å; NaN where only a limit is known.
        at_most: ``(n,)`` float64, 1/Å, a limit that the true label does not exceed; infinite for a label.
        name: of the file or folder.
        sha256: of the file that holds the labels.
        target: how they were read.
    """

    references: tuple[Reference, ...]
    kdist: NDArray[np.float64]
    at_most: NDArray[np.float64]
    name: str
    sha256: str
    target: Target


@dataclass(frozen=True, slots=True)
class _Raw:
    """A layout's rows before any check; a label is a number, text, or None."""

    ids: list[str]
    targets: list[object]
    limits: list[object]
    column: str
    table: Path


def read_labels(path: Path, target: Target) -> Labels:
    """Find a dataset's layout and read its labels.

    Args:
        path: a Parquet manifest, a folder with ``id_prop.csv`` or ``summary.csv``, or such a CSV file.
        target: which column, and what it means.

    Raises:
        InputError: INPUT_NOT_FOUND or INPUT_UNREADABLE; DUPLICATE_ID; DATASET_INVALID, targets are missing,
            text, not positive, or all equal.  Messages say how many rows, and name some.
    """
    path = path.absolute()
    if not path.exists():
        raise InputError(ErrorCode.INPUT_NOT_FOUND, f"dataset {path} does not exist")
    if _is_parquet(path):
        raw = _parquet(path, target)
    else:
        table = _csv_in(path)
        raw = _cgcnn(table) if table.name == "id_prop.csv" else _summary(table, target)
    _refuse_duplicates(raw)
    kdist, at_most = _checked(raw, target)
    references = _manifest_references(path) if _is_parquet(path) else _cif_references(raw)
    return Labels(references, kdist, at_most, path.name, digest_of_file(raw.table), target)


def read_structures(path: Path) -> tuple[Reference, ...]:
    """The structures of a dataset, whatever its labels are.

    Raises:
        InputError: INPUT_NOT_FOUND or INPUT_UNREADABLE; DATASET_INVALID, its table has no ids.
    """
    path = path.absolute()
    if not path.exists():
        raise InputError(ErrorCode.INPUT_NOT_FOUND, f"dataset {path} does not exist")
    if _is_parquet(path):
        return _manifest_references(path)
    table = _csv_in(path)
    return _cif_references(_cgcnn(table) if table.name == "id_prop.csv" else _summary(table, None))


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _manifest_references(path: Path) -> tuple[Reference, ...]:
    sources = open_sources([path])
    return tuple(r for piece in sources.pieces(0, sources.rows) for r in piece.read())


def _parquet(path: Path, target: Target) -> _Raw:
    try:
        schema = pq.read_schema(path)
        column = target.column or next((name for name in _TARGETS if name in schema.names), None)
        if column is None or column not in schema.names:
            wanted = f"no column {column}" if column else "name its target column (--target)"
            raise _invalid(f"{path.name}: {wanted}; it has {', '.join(schema.names)}")
        if target.at_most is not None and target.at_most not in schema.names:
            raise _invalid(f"{path.name}: no column {target.at_most}; it has {', '.join(schema.names)}")
        id_name = id_column(schema, str(path))
        names = [name for name in (id_name, column, target.at_most) if name is not None]
        table = pq.read_table(path, columns=list(dict.fromkeys(names)))
    except (OSError, pa.ArrowException) as error:
        message = f"{path} is no readable Parquet file: {error}"
        raise InputError(ErrorCode.INPUT_UNREADABLE, message) from error
    for name in names[-1 if target.at_most is None else -2 :]:
        kind = schema.field(name).type
        if not (pt.is_floating(kind) or pt.is_integer(kind) or pt.is_decimal(kind)):
            examples = ", ".join(repr(value) for value in table[name].to_pylist()[:3])
            raise _invalid(
                f"{path.name}: all {table.num_rows} targets in column {name} are {kind}, not numbers: "
                f"{examples} …"
            )
    # open_sources reports a null id with its row; here rows only need names
    ids = string_column(table[id_name]) if id_name else [None] * table.num_rows
    return _Raw(
        ids=[f"row {row}" if given is None else given for row, given in enumerate(ids)],
        targets=table[column].to_pylist(),
        limits=table[target.at_most].to_pylist() if target.at_most else [None] * table.num_rows,
        column=column,
        table=path,
    )


def _csv_in(path: Path) -> Path:
    if path.is_file() and path.suffix.lower() == ".csv":
        return path
    for name in ("id_prop.csv", "summary.csv"):
        if (path / name).is_file():
            return path / name
    raise InputError(
        ErrorCode.INPUT_NOT_FOUND,
        f"{path} is no dataset: expected a Parquet manifest, or a folder with id_prop.csv or summary.csv",
    )


def _rows_of(table: Path) -> list[list[str]]:
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            return [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(ErrorCode.INPUT_UNREADABLE, f"{table} cannot be read: {error}") from error


def _cgcnn(table: Path) -> _Raw:
    rows = [(*row, "", "")[:2] for row in _rows_of(table)]
    ids = [str(row[0]).strip() for row in rows]
    return _Raw(ids, [row[1] for row in rows], [None] * len(ids), "2 of id_prop.csv", table)


def _summary(table: Path, target: Target | None) -> _Raw:
    """Its rows; without a target only their ids."""
    header, *rows = _rows_of(table) or [[]]
    names = [name.strip() for name in header]
    id_name = next((name for name in _IDS if name in names), None)
    known = (target.column,) if target and target.column else _TARGETS
    column = next((name for name in known if name in names), None)
    limit = target.at_most if target else None
    if id_name is None or (target and column is None) or (limit and limit not in names):
        raise _invalid(
            f"{table.name} has the columns {', '.join(names) or '(none)'}; expected an id "
            f"({', '.join(_IDS)}) and a target ({', '.join(known)}); name the target column"
        )
    cells = [dict(zip(names, row, strict=False)) for row in rows]
    return _Raw(
        ids=[row.get(id_name, "").strip() for row in cells],
        targets=[row.get(column or "", "") for row in cells],
        limits=[row.get(limit or "") for row in cells],
        column=column or "",
        table=table,
    )


def _cif_references(raw: _Raw) -> tuple[Reference, ...]:
    """References to the CIF files; a name that climbs out of the folder is refused."""
    folder = raw.table.parent
    names: list[str] | None = None
    if raw.table.name != "id_prop.csv":
        header, *rows = _rows_of(raw.table)
        place = next((header.index(name) for name in _CIFS if name in header), None)
        names = None if place is None else [(*row, *[""] * len(header))[place].strip() for row in rows]
    paths = [
        _beside(folder, structure_id) if names is None else folder / names[row]
        for row, structure_id in enumerate(raw.ids)
    ]
    inside = os.path.normpath(folder)
    outside = [
        structure_id
        for structure_id, path in zip(raw.ids, paths, strict=True)
        if not Path(os.path.normpath(path)).is_relative_to(inside)
    ]
    if outside:
        raise InputError(
            ErrorCode.PATH_FORBIDDEN,
            f"{some(outside, len(raw.ids), 'structures')} lie outside the folder {folder}; move them there",
        )
    return tuple(reference_to_file(i, path) for i, path in zip(raw.ids, paths, strict=True))


def _beside(folder: Path, structure_id: str) -> Path:
    name = structure_id if structure_id.lower().endswith(".cif") else f"{structure_id}.cif"
    places = [folder / name, folder / "cifs" / name, folder / "cif" / name]
    return next((place for place in places if place.is_file()), places[0])


def _refuse_duplicates(raw: _Raw) -> None:
    counts = Counter(raw.ids)
    repeated = [structure_id for structure_id, count in counts.items() if count > 1]
    if repeated:
        raise InputError(
            ErrorCode.DUPLICATE_ID,
            f"{some(repeated, len(counts), 'ids')} of {raw.table.name} occur more than once; "
            "every row needs an id of its own",
        )


def _checked(raw: _Raw, target: Target) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels and limits as kdist, 1/Å."""
    values = _numbers(raw, raw.targets)
    limits = _numbers(raw, raw.limits)
    if not len(values):
        raise _invalid(f"{raw.table.name} has no rows")
    censored = np.isnan(values) & ~np.isnan(limits)
    advice = (
        "" if target.at_most else "; to judge by limits of unfinished studies, name theirs: --at-most COLUMN"
    )
    _complain(raw, np.isnan(values) & ~censored, f"missing: fill them or drop the rows{advice}")
    given = np.where(censored, limits, values)
    wrong = ~(np.isfinite(given) & (given > 0))
    _complain(raw, wrong, "not positive finite numbers, which a k-distance or length is")
    with np.errstate(over="ignore"):
        kdist = 2 * np.pi / given if target.kind == "kpoint_length" else given
    _complain(raw, (kdist < _SMALLEST) | (kdist > _LARGEST), _implausible(target))
    labels = np.where(censored, np.nan, kdist)
    if len(np.unique(labels[~censored])) < 2:
        raise _invalid(
            f"all {int((~censored).sum())} targets in column {raw.column} are equal "
            f"({values[~censored][:1].tolist()}); there is nothing to learn"
        )
    return labels, np.where(censored, kdist, np.inf)


def _implausible(target: Target) -> str:
    other = "kpoint_length" if target.kind == "kdist" else "kdist"
    return (
        f"read as {target.kind}, k-distances outside {_SMALLEST:g} to {_LARGEST:g} 1/Å, where no mesh of a "
        f"crystal is: are they of the other kind (--kind {other}), or in other units?"
    )


def _numbers(raw: _Raw, cells: Sequence[object]) -> NDArray[np.float64]:
    """Cells as numbers, NaN for empty ones; text is refused."""
    values = np.full(len(cells), np.nan)
    text = []
    for row, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            continue
        try:
            values[row] = float(cell)  # type: ignore[arg-type]
        except ValueError:
            text.append(f"{raw.ids[row]} ({cell!r})")
    if text:
        raise _invalid(f"{some(text, len(cells), 'targets')} in column {raw.column} are text, not numbers")
    return values


def _complain(raw: _Raw, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        named = [f"{raw.ids[row]} ({raw.targets[row]})" for row in np.flatnonzero(wrong)]
        raise _invalid(f"{some(named, len(wrong), 'targets')} in column {raw.column} are {what}")


def some(names: Sequence[str], count: int, what: str) -> str:
    """``3 of 100 targets: a, b, c``, not more than some names."""
    shown = ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
    return f"{len(names)} of {count} {what} [{shown}]"


def _invalid(message: str) -> InputError:
    return InputError(ErrorCode.DATASET_INVALID, message)
