"""A training set in memory: features, labels, and what an evaluation wants to group them by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldilocks_batch.config.training import Target
from goldilocks_batch.core.errors import ErrorCode, GoldilocksError, InputError
from goldilocks_batch.results.schema import failure_schema
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal, formula
from goldilocks_batch.structures.symmetry import SYSTEMS
from goldilocks_batch.training.features import Compute, FeatureSet, cached_features
from goldilocks_batch.training.labels import Labels, read_labels

__all__ = ["Dataset", "load_dataset", "matrix"]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled structures as arrays; row i is the same structure in all of them.

    Attributes:
        ids: ``(n,)`` str.
        formulas: ``(n,)`` str, reduced.
        features: ``(n, k)`` float64.
        kdist: ``(n,)`` float64, 1/Å; NaN where only a limit is known.
        at_most: ``(n,)`` float64, 1/Å, a limit that the true label does not exceed; infinite for a label.
        lattices: ``(n, 3, 3)`` float64, Å, primitive cells.
        supplied: ``(n, 3, 3)`` float64, Å, cells as supplied.
        crystals: ``(n,)`` of :class:`~goldilocks_batch.structures.crystal.Crystal`, primitive cells.
        n_sites: ``(n,)`` int64, of the primitive cell.
        n_elements: ``(n,)`` int64.
        systems: ``(n,)`` str, crystal systems.
        elements: symbols that occur, by atomic number.
        failures: the structures that have no features and are in no array, in the failure schema.
        labels: where the rows are from.
    """

    ids: NDArray[np.str_]
    formulas: NDArray[np.str_]
    features: NDArray[np.float64]
    kdist: NDArray[np.float64]
    at_most: NDArray[np.float64]
    lattices: NDArray[np.float64]
    supplied: NDArray[np.float64]
    crystals: NDArray[np.object_]
    n_sites: NDArray[np.int64]
    n_elements: NDArray[np.int64]
    systems: NDArray[np.str_]
    elements: tuple[str, ...]
    failures: pa.Table
    labels: Labels

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def left_out(self) -> dict[str, int]:
        """How many structures have no features, by error code."""
        return dict(sorted(Counter(self.failures["error_code"].to_pylist()).items()))

    @property
    def cells(self) -> list[Crystal]:
        """The primitive cells as a list."""
        return list(self.crystals)

    @property
    def censored(self) -> NDArray[np.bool_]:
        """``(n,)`` rows of which only a limit is known."""
        return np.isfinite(self.at_most)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """Some of the rows; ``elements`` and ``failures`` stay those of the whole."""
        names = [f.name for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)]
        changed: dict[str, Any] = {name: getattr(self, name)[rows] for name in names}
        return replace(self, **changed)

    def without(self, failures: Mapping[int, GoldilocksError]) -> Self:
        """Itself without the rows that have failed since, which join ``failures``.

        Raises:
            InputError: DATASET_INVALID, no row is left.
        """
        if not failures:
            return self
        left = np.setdiff1d(np.arange(len(self)), list(failures))
        if not len(left):
            first = next(iter(failures.values()))
            raise InputError(ErrorCode.DATASET_INVALID, f"no structure can be used; first: {first}")
        source = {reference.id: reference.source for reference in self.labels.references}
        rows = [
            {
                "id": str(self.ids[row]),
                "source": source.get(str(self.ids[row])),
                "stage": str(error.stage),
                "error_code": str(error.code),
                "error_message": error.message,
            }
            for row, error in failures.items()
        ]
        more = pa.Table.from_pylist(rows, schema=failure_schema())
        return replace(self.take(left), failures=pa.concat_tables([self.failures, more]))

    def for_training(self) -> Self:
        """Itself, if every row has a label.

        Raises:
            InputError: DATASET_INVALID, of some rows only a limit is known.
        """
        if self.censored.any():
            named = ", ".join(self.ids[self.censored][:5])
            raise InputError(
                ErrorCode.DATASET_INVALID,
                f"{int(self.censored.sum())} of {len(self)} rows have a limit and no label ({named} …); they "
                "can judge a model, not train one: drop them",
            )
        return self


def load_dataset(
    path: Path,
    target: Target,
    features: FeatureSet,
    *,
    cache: Path | None = None,
    compute: Compute | None = None,
) -> Dataset:
    """Read labels, structures and features.

    Structures that cannot be read or have no features are left out, and listed in ``failures``.

    Args:
        path: see :mod:`~goldilocks_batch.training.labels`.
        target: which column holds the label, and what it means.
        features: which features.
        cache: folder of the feature cache; None for none.
        compute: does the work; see :func:`~goldilocks_batch.training.features.cached_features`.

    Raises:
        InputError: as :func:`~goldilocks_batch.training.labels.read_labels`, or no structure has features.
    """
    labels = read_labels(path, target)
    table = cached_features(labels.references, features, cache, compute=compute)
    good = np.flatnonzero(table["error_code"].is_null().to_numpy())
    failures = _failures(labels, table)
    if not len(good):
        counts = ", ".join(f"{n} {code}" for code, n in Counter(failures["error_code"].to_pylist()).items())
        first = failures["error_message"][0]
        message = f"none of the {len(labels.references)} structures has features: {counts}; first: {first}"
        raise InputError(ErrorCode.DATASET_INVALID, message)
    table = table.take(good)
    numbers = [np.array(found, dtype=np.int64) for found in table["numbers"].to_pylist()]
    lattices = matrix(table["lattice"], 9).reshape(-1, 3, 3)
    ends = np.searchsorted(list(SYSTEMS.values()), table["space_group"].to_numpy())
    return Dataset(
        ids=np.array([labels.references[row].id for row in good]),
        formulas=np.array([formula(found) for found in numbers]),
        features=matrix(table["features"], len(features.columns)),
        kdist=labels.kdist[good],
        at_most=labels.at_most[good],
        lattices=lattices,
        supplied=matrix(table["supplied"], 9).reshape(-1, 3, 3),
        crystals=_crystals(lattices, table["frac"].to_pylist(), numbers, table["pbc"].to_pylist()),
        n_sites=np.array([len(found) for found in numbers]),
        n_elements=np.array([len(np.unique(found)) for found in numbers]),
        systems=np.array(list(SYSTEMS))[ends],
        elements=tuple(SYMBOLS[z] for z in np.unique(np.concatenate(numbers))),
        failures=failures,
        labels=labels,
    )


def _crystals(
    lattices: NDArray[np.float64],
    frac: Sequence[Sequence[float]],
    numbers: Sequence[NDArray[np.int64]],
    pbc: Sequence[Sequence[bool]],
) -> NDArray[np.object_]:
    found = np.empty(len(numbers), dtype=object)
    for row, (lattice, flat, species, periodic) in enumerate(zip(lattices, frac, numbers, pbc, strict=True)):
        found[row] = Crystal(lattice, np.array(flat).reshape(-1, 3), species, np.array(periodic))
    return found


def _failures(labels: Labels, table: pa.Table) -> pa.Table:
    """Which structures have no features, and why."""
    rows = [
        {"id": reference.id, "source": reference.source, **failure}
        for reference, failure in zip(
            labels.references,
            table.select(["stage", "error_code", "error_message"]).to_pylist(),
            strict=True,
        )
        if failure["error_code"] is not None
    ]
    return pa.Table.from_pylist(rows, schema=failure_schema())


def matrix(column: pa.ChunkedArray, width: int) -> NDArray[np.float64]:
    """A column of lists of one length as ``(n, width)``."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix: NDArray[np.float64] = np.array(flat, dtype=np.float64).reshape(-1, width)
    return matrix
