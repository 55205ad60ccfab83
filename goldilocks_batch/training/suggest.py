"""Which structures are most worth labelling next.

A label teaches most where the model is unsure (a wide interval) and where it has seen nothing alike (far from
the training set).  Taking the highest scores one by one would label one family many times over, so every
choice also counts as seen from then on: the next one is as far as possible from the training set *and* from
what has been chosen (greedy k-centre, Gonzalez 1985), each distance weighted by the interval's width.  Where
the training set is not at hand, as with a published model, the widest interval begins and distances are from
what has been chosen alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.errors import ConfigError, ErrorCode, InputError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.models.trained import read_trained
from goldilocks_batch.results.folder import read_results
from goldilocks_batch.results.record import RunRecord
from goldilocks_batch.runs.manifest import MANIFEST_SCHEMA
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.read import load
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import open_sources
from goldilocks_batch.training.dataset import matrix
from goldilocks_batch.training.features import FeatureSet, cached_features
from goldilocks_batch.training.labels import read_structures
from goldilocks_batch.training.resources import Resources, checked_schema, folder_of
from goldilocks_batch.training.selection import Suggestions, suggest

__all__ = ["suggest_next"]

_WITHOUT_NETWORK = "comp_struct_soap_lattice.v1"
_COLUMNS = ["id", "source", "row", "status", "formula", "kdist_lower", "kdist_median", "kdist_upper"]


def suggest_next(
    results: Path,
    count: int,
    output: Path,
    *,
    training: Path | None = None,
    schema: str | None = None,
    resources: Resources | None = None,
) -> int:
    """Choose among the structures of a finished run; write them, best first, as a compact manifest.

    Beside the structure, as it was supplied, a row has ``formula``, ``kdist_lower``, ``kdist_median``,
    ``kdist_upper``, ``interval_width`` (log of upper over lower), ``distance_from_training`` and ``score``.
    Rows that failed, whose model gives no interval, or that have no features are no candidates.

    Args:
        results: the run's output folder; its inputs must still be where they were.
        count: how many.
        output: the manifest.
        training: the structures that have labels already, in a layout of
            :mod:`~goldilocks_batch.training.labels`.
        schema: the features that say what is alike; None for those of the run's model if it was trained with
            this package, else for all that need no network.
        resources: how features are had.

    Returns:
        How many were written: ``count``, or all candidates if there are fewer.

    Raises:
        ConfigError: CONFIG_INVALID, the count is not positive.
        InputError: INPUT_EMPTY, no row is a candidate; INPUT_NOT_FOUND, the folder holds no run, or its
            inputs are gone.
        RunError: there are no results, or the manifest cannot be written.
    """
    resources = resources or Resources()
    if count < 1:
        raise ConfigError(ErrorCode.CONFIG_INVALID, f"asked for {count} suggestions; at least 1 is needed")
    table = _candidates(results)
    record = _record(results)
    features = _features(record, schema, resources)
    known = None
    if training is not None:
        _, known = _described(read_structures(training), training, features, resources)
    references = _references(record, table["row"].to_numpy())
    good, values = _described(references, results, features, resources)
    table = table.take(good)
    bounds = np.column_stack([table[name].to_numpy() for name in ("kdist_lower", "kdist_upper")])
    chosen = suggest(values, bounds, known, count)
    picked = table.take(chosen.rows)
    crystals = [load(references[good[row]], max_sites=sys.maxsize) for row in chosen.rows]
    _write(picked, crystals, chosen, output)
    return len(chosen.rows)


def _candidates(results: Path) -> pa.Table:
    table = read_results(results, _COLUMNS)
    usable = pc.and_(pc.equal(table["status"], "ok"), pc.is_valid(table["kdist_upper"]))
    table = table.filter(usable).drop_columns("status")
    if not table.num_rows:
        message = f"no row of {results} has an interval; a constant model, for one, gives none"
        raise InputError(ErrorCode.INPUT_EMPTY, message)
    return table


def _record(results: Path) -> RunRecord:
    record = RunRecord(results)
    if not record.read():
        raise InputError(
            ErrorCode.INPUT_NOT_FOUND, f"{results} holds no run.json; expected a run's output folder"
        )
    return record


def _features(record: RunRecord, schema: str | None, resources: Resources) -> FeatureSet:
    """The features asked for, or those of the run's model."""
    if schema is not None:
        return resources.features(checked_schema(schema))
    model = folder_of(Path(record.values["config"]["model"]))
    if (model / "manifest.json").is_file():
        return resources.features_of(read_trained(model).record)
    return resources.features(_WITHOUT_NETWORK)


def _described(
    references: Sequence[Reference], where: Path, features: FeatureSet, resources: Resources
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which of some structures have features, and their features."""
    described = cached_features(references, features, resources.cache, compute=resources.compute)
    good = np.flatnonzero(described["error_code"].is_null().to_numpy())
    if not len(good):
        raise InputError(ErrorCode.INPUT_EMPTY, f"no structure of {where} has the features {features.schema}")
    return good, matrix(described.take(good)["features"], len(features.columns))


def _references(record: RunRecord, rows: NDArray[np.int64]) -> list[Reference]:
    """The inputs of a run at some rows."""
    inputs = [Path(entry["path"]) for entry in record.values["inputs"]]
    config = record.values["config"]
    reading = {name: config[name] for name in RunConfig().reading if name in config}  # older ones have fewer
    sources = open_sources(inputs, **reading)
    if sources.rows != record.values["rows"]:
        message = (
            f"the inputs of {record.path} have {sources.rows} rows now, {record.values['rows']} when it ran"
        )
        raise InputError(ErrorCode.INPUT_UNREADABLE, message)
    wanted = set(rows.tolist())
    pieces = sources.pieces(0, sources.rows)
    numbered = enumerate(reference for piece in pieces for reference in piece.read())
    return [reference for row, reference in numbered if row in wanted]


def _write(picked: pa.Table, crystals: list[Crystal], chosen: Suggestions, output: Path) -> None:
    structures = {
        "id": picked["id"],
        "source": picked["source"],
        "cell": [crystal.lattice.ravel() for crystal in crystals],
        "frac": [crystal.frac.ravel() for crystal in crystals],
        "numbers": [crystal.numbers.astype(np.uint8) for crystal in crystals],
        "pbc": [crystal.pbc for crystal in crystals],
    }
    table = pa.table(structures, schema=MANIFEST_SCHEMA)
    for name in ("formula", "kdist_lower", "kdist_median", "kdist_upper"):
        table = table.append_column(name, picked[name])
    scores = {
        "interval_width": chosen.width,
        "distance_from_training": chosen.distance,
        "score": chosen.score,
    }
    for name, values in scores.items():
        table = table.append_column(name, pa.array(values, from_pandas=True))
    with atomic_path(output) as temporary:
        pq.write_table(table, temporary, compression="zstd")
