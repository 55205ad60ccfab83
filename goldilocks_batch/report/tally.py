"""What the page tells of the rows, gathered in one pass over the result files, a batch at a time.

Memory does not grow with the number of rows: distributions are counted in narrow logarithmic bins, and of
rows themselves only the leading ones and a few examples of failures are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.report.elements import elements_of
from goldilocks_batch.report.histogram import Histogram
from goldilocks_batch.report.picks import Picks
from goldilocks_batch.results.part import Part
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.symmetry import SYSTEMS

__all__ = ["HARMLESS", "SIZES", "Code", "Tally", "gathered"]

#: Atoms in the primitive cell: the largest number of each class.
SIZES = {
    "1 to 4": 4,
    "5 to 10": 10,
    "11 to 20": 20,
    "21 to 40": 40,
    "41 to 80": 80,
    "81 to 160": 160,
    "more": 2**31 - 1,
}
#: Flags that tell how a row was read or computed, and make neither the structure nor the bounds doubtful;
#: the axes of a vacuum are told beside the vacuum itself.
HARMLESS = frozenset(
    "left_handed_cell cell_completed special_position_completed symmetry_by_number single_site "
    "single_site_supercell no_line_graph cpu_fallback vacuum_a vacuum_b vacuum_c".split()
)

#: Rows of a batch, of a table of leading rows, and examples of a code.
_BATCH, _PICKED, _EXAMPLES = 65_536, 20, 3
_SHOWN = (
    "id source row formula space_group_symbol n_sites_primitive kdist kdist_lower kdist_median kdist_upper "
    "mesh n_kpoints_irreducible training_distance flags"
).split()
_COUNTED = (
    "status stage error_code error_message space_group_number constant_kdist constant_n_kpoints_irreducible"
).split()

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Code:
    """Rows that failed with one code.

    Attributes:
        rows: how many.
        stages: where they stopped.
        examples: a few of them.
    """

    rows: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What was gathered.

    Attributes:
        rows: those that were seen.
        ok: those that went well.
        kdist: of the recommended mesh, 1/Å.
        median: kdist_median, 1/Å.
        systems: kdist by crystal system, in the order of ``SYSTEMS``.
        sizes: kdist by the primitive cell's atoms, in the order of ``SIZES``.
        elements: kdist_median by atomic number, or kdist of a model that gives no median.
        holding: rows with a known formula by atomic number.
        failing: of these, those that failed.
        unknown: failed rows without a formula.
        ratio: upper over lower bound.
        distance: to the training structures.
        spent: irreducible k-points over those of the constant that is as safe.
        points: irreducible k-points.
        weights: the sum of these by bin, as ``points`` has them.
        constants: rows by constant kdist, 1/Å.
        denser: rows whose kdist is below their constant.
        codes: failures by code.
        densest: rows with most irreducible k-points.
        widest: rows with the largest upper over lower bound.
        doubtful: rows with most flags that make them so.
    """

    rows: int = 0
    ok: int = 0
    kdist: Histogram = field(default_factory=lambda: Histogram(1e-3, 10.0, 4096))
    median: Histogram = field(default_factory=lambda: Histogram(1e-3, 10.0, 4096))
    systems: Histogram = field(default_factory=lambda: Histogram(1e-3, 10.0, 4096, len(SYSTEMS)))
    sizes: Histogram = field(default_factory=lambda: Histogram(1e-3, 10.0, 4096, len(SIZES)))
    elements: Histogram = field(default_factory=lambda: Histogram(1e-3, 10.0, 2048, len(SYMBOLS)))
    holding: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(SYMBOLS), dtype=np.int64))
    failing: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(SYMBOLS), dtype=np.int64))
    unknown: int = 0
    ratio: Histogram = field(default_factory=lambda: Histogram(1.0, 100.0, 1024))
    distance: Histogram = field(default_factory=lambda: Histogram(0.1, 100.0, 1024))
    spent: Histogram = field(default_factory=lambda: Histogram(2.0**-10, 2.0**10, 960))
    points: Histogram = field(default_factory=lambda: Histogram(1.0, 1e9, 1024))
    weights: Floats = field(default_factory=lambda: np.zeros(1024))
    constants: Counter[float] = field(default_factory=Counter)
    denser: int = 0
    codes: dict[str, Code] = field(default_factory=dict)
    densest: Picks = field(default_factory=lambda: Picks(_PICKED, tuple(_SHOWN)))
    widest: Picks = field(default_factory=lambda: Picks(_PICKED, tuple(_SHOWN)))
    doubtful: Picks = field(default_factory=lambda: Picks(_PICKED, tuple(_SHOWN)))

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch; columns that older versions did not write may be missing."""
        ok = np.asarray(pc.fill_null(pc.equal(batch.column("status"), "ok"), False))
        self.rows += len(ok)
        self.ok += int(ok.sum())
        self._count_failures(batch, ok)
        kdist, median = _numbers(batch, "kdist"), _numbers(batch, "kdist_median")
        self._count_elements(batch, ok, np.where(np.isnan(median), kdist, median))
        self._count_bounds(batch, ok, kdist, median)
        self._count_points(batch, ok)

    def _count_failures(self, batch: pa.RecordBatch, ok: NDArray[np.bool_]) -> None:
        failed = np.flatnonzero(~ok)
        if not len(failed):
            return
        names = ["id", "source", "row", "stage", "error_code", "error_message", "formula"]
        table = batch.select([n for n in names if n in batch.schema.names]).take(pa.array(failed))
        codes = table.column("error_code").to_pylist()
        stages = table.column("stage").to_pylist()
        for (code, stage), count in Counter(zip(codes, stages, strict=True)).items():
            found = self.codes.setdefault(str(code), Code())
            found.rows += count
            found.stages[str(stage)] += count
        for code in dict.fromkeys(codes):
            wanted = _EXAMPLES - len(self.codes[str(code)].examples)
            if wanted > 0:
                places = [place for place, other in enumerate(codes) if other == code][:wanted]
                self.codes[str(code)].examples += table.take(pa.array(places)).to_pylist()

    def _count_elements(self, batch: pa.RecordBatch, ok: NDArray[np.bool_], kdist: Floats) -> None:
        formulas = batch.column("formula")
        known = np.asarray(pc.is_valid(formulas))
        self.unknown += int((~known & ~ok).sum())
        encoded = formulas.dictionary_encode()
        places, numbers = elements_of(encoded.dictionary.to_pylist())
        # rows of each formula, then each row once for each of its elements
        indices = np.asarray(pc.fill_null(encoded.indices, -1))
        starts = np.searchsorted(places, np.arange(len(encoded.dictionary) + 1))
        lengths = np.where(indices >= 0, np.diff(starts)[indices] if len(starts) > 1 else 0, 0)
        rows = np.repeat(np.arange(len(ok)), lengths)
        inside = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        element = numbers[starts[indices[rows]] + inside]
        self.holding += np.bincount(element, minlength=len(SYMBOLS))
        self.failing += np.bincount(element[~ok[rows]], minlength=len(SYMBOLS))
        good = ok[rows]
        self.elements.add(kdist[rows[good]], element[good])

    def _count_bounds(
        self, batch: pa.RecordBatch, ok: NDArray[np.bool_], kdist: Floats, median: Floats
    ) -> None:
        self.kdist.add(kdist[ok])
        self.median.add(median[ok])
        constant = np.where(ok, _numbers(batch, "constant_kdist"), np.nan)
        values, rows = np.unique(constant[np.isfinite(constant)], return_counts=True)
        self.constants.update(dict(zip(values.tolist(), rows.tolist(), strict=True)))
        self.denser += int((kdist < constant).sum())
        for numbers, last, counts in (
            (_numbers(batch, "space_group_number"), list(SYSTEMS.values()), self.systems),
            (_numbers(batch, "n_sites_primitive"), list(SIZES.values()), self.sizes),
        ):
            known = ok & ~np.isnan(numbers)
            counts.add(kdist[known], np.searchsorted(last, numbers[known]).clip(0, len(last) - 1))
        ratio = _numbers(batch, "kdist_upper") / _numbers(batch, "kdist_lower")
        self.ratio.add(ratio[ok])
        self.widest.add(batch, np.where(ok, ratio, np.nan))
        distance = _numbers(batch, "training_distance")
        self.distance.add(np.maximum(distance[ok], 1e-9))  # a structure of the training set has 0
        flags = _doubts(batch)
        # those of equal number by their distance, which is far below 1e3 here
        closeness = np.nan_to_num(distance, nan=0.0).clip(0, 1e3) / 1e4
        self.doubtful.add(batch, np.where(ok & (flags > 0), flags + closeness, np.nan))

    def _count_points(self, batch: pa.RecordBatch, ok: NDArray[np.bool_]) -> None:
        points = _numbers(batch, "n_kpoints_irreducible")
        constant = _numbers(batch, "constant_n_kpoints_irreducible")
        self.spent.add((points / constant)[ok])
        self.points.add(points[ok])
        known = points[ok & ~np.isnan(points)]
        bins = np.searchsorted(self.points.edges, known, side="right").clip(1, len(self.weights)) - 1
        self.weights += np.bincount(bins, weights=known, minlength=len(self.weights))
        self.densest.add(batch, np.where(ok, points, np.nan))

    def share_of_densest(self, share: float) -> float:
        """The share of all irreducible k-points that the densest rows have, a share of all; NaN of none."""
        counts, sums = self.points.counts[0][::-1], self.weights[::-1]
        if not counts.sum():
            return float("nan")
        rows = np.append(0, np.cumsum(counts)) / counts.sum()
        spent = np.append(0.0, np.cumsum(sums)) / sums.sum()
        return float(np.interp(share, rows, spent))


def gathered(parts: tuple[Part, ...]) -> Tally:
    """Read the result files that count, a batch at a time.

    Raises:
        RunError: ROWS_LOST, a file is damaged.
    """
    tally = Tally()
    for part in parts:
        try:
            for batch in _batches(part):
                tally.add(batch)
        except (OSError, pa.ArrowException, KeyError) as error:
            raise RunError(
                ErrorCode.ROWS_LOST,
                f"{part.path} is damaged ({error}): remove it and run the same command again to compute its "
                "rows anew",
            ) from error
    return tally


def _batches(part: Part) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
        names = [name for name in file.schema_arrow.names if name in {*_SHOWN, *_COUNTED}]
        yield from file.iter_batches(batch_size=_BATCH, columns=names)


def _numbers(batch: pa.RecordBatch, name: str) -> Floats:
    """A column as float64, NaN where it is null or not there."""
    if name not in batch.schema.names:
        return np.full(batch.num_rows, np.nan)
    return np.asarray(batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _doubts(batch: pa.RecordBatch) -> Floats:
    """How many flags of each row make it doubtful, ``(n,)``."""
    if "flags" not in batch.schema.names:
        return np.zeros(batch.num_rows)
    flags = batch.column("flags")
    values = pc.list_flatten(flags)
    parents = np.asarray(pc.list_parent_indices(flags))
    counted = ~np.asarray(pc.is_in(values, value_set=pa.array(sorted(HARMLESS), pa.string())))
    return np.bincount(parents[counted], minlength=batch.num_rows).astype(np.float64)
