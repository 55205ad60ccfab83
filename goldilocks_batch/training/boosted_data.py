"""Labels at several tolerances and their structures, as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.crystal import SYMBOLS, formula
from goldilocks_batch.structures.sources.columns import string_column
from goldilocks_batch.structures.sources.dialects import id_column
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.state import digest_of_file
from goldilocks_batch.training.dataset import matrix
from goldilocks_batch.training.features import FeatureSet, cached_features
from goldilocks_batch.training.label_tables import invalid_dataset, some
from goldilocks_batch.training.labelled import Labelled
from goldilocks_batch.training.labels import read_structures
from goldilocks_batch.training.resources import Resources
from goldilocks_batch.training.tolerances import intervals

__all__ = ["BoostedData", "read_boosted_data"]


@dataclass(frozen=True, slots=True, eq=False)
class BoostedData:
    """Labelled structures; n rows, t tolerances.

    Attributes:
        ids: ``(n,)``.
        features: ``(n, k)`` float64.
        kdist: ``(n, t)`` 1/Å; NaN where a study has no label.
        at_least: ``(n, t)`` labels that are known to be no smaller, and no more.
        supplied: ``(n, 3, 3)`` cells as supplied, Å.
        formulas: ``(n,)`` reduced.
        n_elements: ``(n,)``.
        element_counts: structures that hold an element, by symbol.
        largest: sites of the largest primitive cell.
        left_out: structures without features, by error code.
        name: of the file of labels.
        sha256: of that file.
    """

    ids: NDArray[np.str_]
    features: NDArray[np.float64]
    kdist: NDArray[np.float64]
    at_least: NDArray[np.bool_]
    supplied: NDArray[np.float64]
    formulas: NDArray[np.str_]
    n_elements: NDArray[np.int64]
    element_counts: Mapping[str, int]
    largest: int
    left_out: Mapping[str, int]
    name: str
    sha256: str

    def take(self, rows: NDArray[Any]) -> Self:
        """Some of the rows; counts stay those of the whole."""
        return replace(
            self,
            ids=self.ids[rows],
            features=self.features[rows],
            kdist=self.kdist[rows],
            at_least=self.at_least[rows],
            supplied=self.supplied[rows],
            formulas=self.formulas[rows],
            n_elements=self.n_elements[rows],
        )

    def labelled(self, tolerances: tuple[float, ...]) -> Labelled:
        """What a boosted model learns from."""
        low, high = intervals(self.kdist, self.supplied, self.at_least)
        return Labelled(self.features, tolerances, low, high, self.formulas, np.ones(len(self.ids)))


def read_boosted_data(
    path: Path,
    columns: Mapping[float, str],
    features: FeatureSet,
    resources: Resources,
    structures: Path | None = None,
    *,
    complete: bool = True,
    at_least: Mapping[float, str] | None = None,
) -> BoostedData:
    """Read labels and compute features.

    Args:
        path: a Parquet manifest of labels, with its structures or without.
        columns: column of labels by tolerance, meV per atom.
        features: which.
        resources: how they are had.
        structures: the manifest of the structures, joined by id; None if they are in ``path``.
        complete: whether every row must have every label.
        at_least: by tolerance, column that is true where a label is known to be no smaller, and no more.

    Raises:
        InputError: a file cannot be read; DATASET_INVALID, a column is missing, labels are missing or not
            positive, ids are without a structure, or no structure has features.
    """
    ids, kdist = _labels(path, columns, complete=complete)
    open_ended = _flags(path, sorted(columns), at_least or {}, len(ids))
    references = read_structures(structures or path)
    if structures is not None:
        known = {reference.id: reference for reference in references}
        missing = [name for name in ids if name not in known]
        if missing:
            raise InputError(
                ErrorCode.DATASET_INVALID,
                f"{some(missing, len(ids), 'ids')} of {path.name} have no structure in {structures.name}",
            )
        references = tuple(known[name] for name in ids)
    return _described(references, np.array(ids), kdist, open_ended, path, features, resources)


def _labels(
    path: Path, columns: Mapping[float, str], *, complete: bool
) -> tuple[list[str], NDArray[np.float64]]:
    if path.is_dir():
        raise invalid_dataset(
            f"{path} is a folder; boosted trees take a Parquet manifest with a column of labels a tolerance"
        )
    try:
        schema = pq.read_schema(path)
        absent = [name for name in columns.values() if name not in schema.names]
        if absent:
            raise invalid_dataset(
                f"{path.name}: no column {', '.join(absent)}; it has {', '.join(schema.names)}. Say in a "
                "--config which one holds the labels of a tolerance: columns: {1: NAME}"
            )
        name = id_column(schema, str(path))
        table = pq.read_table(path, columns=[*([name] if name else []), *columns.values()])
    except (OSError, pa.ArrowException) as error:
        message = f"{path} is no readable Parquet file: {error}"
        raise InputError(ErrorCode.INPUT_UNREADABLE, message) from error
    given = string_column(table[name]) if name else [None] * table.num_rows
    ids = [f"row {row}" if own is None else str(own) for row, own in enumerate(given)]
    repeated = [own for own, count in Counter(ids).items() if count > 1]
    if repeated:
        raise InputError(ErrorCode.DUPLICATE_ID, f"{some(repeated, len(ids), 'ids')} occur more than once")
    values = [table[columns[tolerance]].to_pylist() for tolerance in sorted(columns)]
    kdist = np.array([[np.nan if v is None else float(v) for v in column] for column in values]).T
    kdist = kdist.reshape(len(ids), len(columns))
    if complete and np.isnan(kdist).any():
        lacking = [ids[row] for row in np.flatnonzero(np.isnan(kdist).any(axis=1))]
        raise invalid_dataset(f"{some(lacking, len(ids), 'rows')} lack a label: fill them or drop the rows")
    wrong = np.flatnonzero((~np.isnan(kdist) & ~((kdist > 0.005) & (kdist < 5.0))).any(axis=1))
    if len(wrong):
        named = [ids[row] for row in wrong]
        raise invalid_dataset(f"{some(named, len(ids), 'rows')} have labels outside 0.005 to 5 1/Å")
    if complete and (np.diff(np.log(kdist), axis=1) < -1e-4).any():
        named = [ids[row] for row in np.flatnonzero((np.diff(np.log(kdist), axis=1) < -1e-4).any(axis=1))]
        raise invalid_dataset(
            f"{some(named, len(ids), 'rows')} have a smaller k-distance at a larger tolerance: are columns "
            "exchanged?"
        )
    return ids, kdist


def _flags(path: Path, tolerances: list[float], columns: Mapping[float, str], rows: int) -> NDArray[np.bool_]:
    """``(n, t)`` whether a label is only known to be no smaller."""
    found = np.zeros((rows, len(tolerances)), dtype=bool)
    for place, tolerance in enumerate(tolerances):
        if tolerance in columns:
            try:
                column = pq.read_table(path, columns=[columns[tolerance]]).column(0)
                found[:, place] = np.array(column.to_pylist(), dtype=bool)
            except (pa.ArrowException, OSError, IndexError) as error:
                raise invalid_dataset(f"{path.name}: no column {columns[tolerance]}: {error}") from error
    return found


def _described(
    references: tuple[Reference, ...],
    ids: NDArray[np.str_],
    kdist: NDArray[np.float64],
    at_least: NDArray[np.bool_],
    path: Path,
    features: FeatureSet,
    resources: Resources,
) -> BoostedData:
    table = cached_features(references, features, resources.cache, compute=resources.compute)
    good = np.flatnonzero(table["error_code"].is_null().to_numpy())
    left_out = Counter(code for code in table["error_code"].to_pylist() if code is not None)
    if not len(good):
        raise InputError(ErrorCode.DATASET_INVALID, f"none of the {len(ids)} structures has features")
    table = table.take(good)
    numbers = [np.array(found, dtype=np.int64) for found in table["numbers"].to_pylist()]
    counts = Counter(z for found in numbers for z in set(found.tolist()))
    return BoostedData(
        ids=ids[good],
        features=matrix(table["features"], len(features.columns)),
        kdist=kdist[good],
        at_least=at_least[good],
        supplied=matrix(table["supplied"], 9).reshape(-1, 3, 3),
        formulas=np.array([formula(found) for found in numbers]),
        n_elements=np.array([len(np.unique(found)) for found in numbers]),
        element_counts={SYMBOLS[z]: counts[z] for z in sorted(counts)},
        largest=max(len(found) for found in numbers),
        left_out=dict(sorted(left_out.items())),
        name=path.name,
        sha256=digest_of_file(path),
    )
