"""Labels in CSV tables: a CGCNN folder, or the published dataset's ``summary.csv``."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from goldilocks_batch.config.training import Target
from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources.files import reference_to_file
from goldilocks_batch.structures.sources.reference import Reference

__all__ = [
    "TARGET_NAMES",
    "RawLabels",
    "cif_references",
    "csv_in",
    "invalid_dataset",
    "read_cgcnn",
    "read_summary",
    "refuse_duplicates",
    "some",
]


#: How many ids an error names.
_NAMED = 5


_IDS = ("id", "material_id", "mc3d_id", "structure_id", "name")


_CIFS = ("cif", "cif_path", "cif_file", "path", "file", "filename")


TARGET_NAMES = ("k_dist", "kdist", "k_distance", "kpoints_distance", "k_spacing", "kspacing")


@dataclass(frozen=True, slots=True)
class RawLabels:
    """A layout's rows before any check; a label is a number, text, or None."""

    ids: list[str]
    targets: list[object]
    limits: list[object]
    column: str
    table: Path


def csv_in(path: Path) -> Path:
    """The table of a CGCNN folder or a published dataset, by the folder or the file."""
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


def read_cgcnn(table: Path) -> RawLabels:
    """Rows of ``id_prop.csv``: an id and a label, no header."""
    rows = [(*row, "", "")[:2] for row in _rows_of(table)]
    ids = [str(row[0]).strip() for row in rows]
    return RawLabels(ids, [row[1] for row in rows], [None] * len(ids), "2 of id_prop.csv", table)


def read_summary(table: Path, target: Target | None) -> RawLabels:
    """Its rows; without a target only their ids."""
    header, *rows = _rows_of(table) or [[]]
    names = [name.strip() for name in header]
    id_name = next((name for name in _IDS if name in names), None)
    known = (target.column,) if target and target.column else TARGET_NAMES
    column = next((name for name in known if name in names), None)
    limit = target.at_most if target else None
    if id_name is None or (target and column is None) or (limit and limit not in names):
        raise invalid_dataset(
            f"{table.name} has the columns {', '.join(names) or '(none)'}; expected an id "
            f"({', '.join(_IDS)}) and a target ({', '.join(known)}); name the target column"
        )
    cells = [dict(zip(names, row, strict=False)) for row in rows]
    return RawLabels(
        ids=[row.get(id_name, "").strip() for row in cells],
        targets=[row.get(column or "", "") for row in cells],
        limits=[row.get(limit or "") for row in cells],
        column=column or "",
        table=table,
    )


def cif_references(raw: RawLabels) -> tuple[Reference, ...]:
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


def refuse_duplicates(raw: RawLabels) -> None:
    """Refuse ids that occur more than once.

    Raises:
        InputError: DUPLICATE_ID.
    """
    counts = Counter(raw.ids)
    repeated = [structure_id for structure_id, count in counts.items() if count > 1]
    if repeated:
        raise InputError(
            ErrorCode.DUPLICATE_ID,
            f"{some(repeated, len(counts), 'ids')} of {raw.table.name} occur more than once; "
            "every row needs an id of its own",
        )


def some(names: Sequence[str], count: int, what: str) -> str:
    """``3 of 100 targets: a, b, c``, not more than some names."""
    shown = ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
    return f"{len(names)} of {count} {what} [{shown}]"


def invalid_dataset(message: str) -> InputError:
    """DATASET_INVALID, with the reason."""
    return InputError(ErrorCode.DATASET_INVALID, message)
