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

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt
from numpy.typing import NDArray

from goldilocks_batch.config.training import Target
from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources.columns import escaped, string_column
from goldilocks_batch.structures.sources.dialects import id_column
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import open_sources
from goldilocks_batch.structures.sources.state import digest_of_file
from goldilocks_batch.training.label_tables import (
    TARGET_NAMES,
    RawLabels,
    cif_references,
    csv_in,
    invalid_dataset,
    read_cgcnn,
    read_summary,
    refuse_duplicates,
    some,
)
from goldilocks_batch.training.protocols import protocols_of

__all__ = ["Labels", "read_labels", "read_structures"]

#: k-distances that a label may have, 1/Å: some ten times beyond all that convergence studies have found.
_SMALLEST, _LARGEST = 0.005, 5.0


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
        protocols: see :mod:`~goldilocks_batch.training.protocols`; empty where the dataset does not tell.
    """

    references: tuple[Reference, ...]
    kdist: NDArray[np.float64]
    at_most: NDArray[np.float64]
    name: str
    sha256: str
    target: Target
    protocols: tuple[dict[str, Any], ...] = ()


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
        table = csv_in(path)
        raw = read_cgcnn(table) if table.name == "id_prop.csv" else read_summary(table, target)
    refuse_duplicates(raw)
    kdist, at_most = _checked(raw, target)
    references = _manifest_references(path) if _is_parquet(path) else cif_references(raw)
    protocols = protocols_of(path) if _is_parquet(path) else ()
    return Labels(references, kdist, at_most, path.name, digest_of_file(raw.table), target, protocols)


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
    table = csv_in(path)
    return cif_references(read_cgcnn(table) if table.name == "id_prop.csv" else read_summary(table, None))


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _manifest_references(path: Path) -> tuple[Reference, ...]:
    sources = open_sources([path])
    return tuple(r for piece in sources.pieces(0, sources.rows) for r in piece.read())


def _parquet(path: Path, target: Target) -> RawLabels:
    try:
        schema = pq.read_schema(path)
        column = target.column or next((name for name in TARGET_NAMES if name in schema.names), None)
        if column is None or column not in schema.names:
            wanted = f"no column {column}" if column else "name its target column (--target)"
            raise invalid_dataset(f"{path.name}: {wanted}; it has {', '.join(schema.names)}")
        if target.at_most is not None and target.at_most not in schema.names:
            raise invalid_dataset(
                f"{path.name}: no column {target.at_most}; it has {', '.join(schema.names)}"
            )
        id_name = id_column(schema, str(path))
        names = [name for name in (id_name, column, target.at_most) if name is not None]
        if twice := [name for name in names if schema.names.count(name) > 1]:
            raise invalid_dataset(f"{path.name}: there is more than one column {twice[0]}; keep one")
        table = pq.read_table(path, columns=list(dict.fromkeys(names)))
    except (OSError, pa.ArrowException) as error:
        message = f"{path} is no readable Parquet file: {error}"
        raise InputError(ErrorCode.INPUT_UNREADABLE, message) from error
    for name in names[-1 if target.at_most is None else -2 :]:
        kind = schema.field(name).type
        if not (pt.is_floating(kind) or pt.is_integer(kind) or pt.is_decimal(kind)):
            examples = ", ".join(repr(value) for value in table[name].to_pylist()[:3])
            raise invalid_dataset(
                f"{path.name}: all {table.num_rows} targets in column {name} are {kind}, not numbers: "
                f"{examples} …"
            )
    # open_sources reports a null id with its row; here rows only need names
    ids = string_column(table[id_name]) if id_name else [None] * table.num_rows
    return RawLabels(
        ids=[f"row {row}" if given is None else escaped(given) for row, given in enumerate(ids)],
        targets=table[column].to_pylist(),
        limits=table[target.at_most].to_pylist() if target.at_most else [None] * table.num_rows,
        column=column,
        table=path,
    )


def _checked(raw: RawLabels, target: Target) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels and limits as kdist, 1/Å."""
    values = _numbers(raw, raw.targets)
    limits = _numbers(raw, raw.limits)
    if not len(values):
        raise invalid_dataset(f"{raw.table.name} has no rows")
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
        raise invalid_dataset(
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


def _numbers(raw: RawLabels, cells: Sequence[object]) -> NDArray[np.float64]:
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
        raise invalid_dataset(
            f"{some(text, len(cells), 'targets')} in column {raw.column} are text, not numbers"
        )
    return values


def _complain(raw: RawLabels, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        named = [f"{raw.ids[row]} ({raw.targets[row]})" for row in np.flatnonzero(wrong)]
        raise invalid_dataset(f"{some(named, len(wrong), 'targets')} in column {raw.column} are {what}")
