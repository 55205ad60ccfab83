"""``featurize``: the feature table by itself, for training and for a look inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.artifacts.find import find_network
from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.core.temporary import sweep_beside
from goldilocks_batch.core.versions import versions
from goldilocks_batch.results.part import Part, read_part
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.schema import failure_schema
from goldilocks_batch.results.shards import Identity
from goldilocks_batch.runs.run import Assignment, Observer, Silent, carry_out
from goldilocks_batch.screening.featurization import Featurization
from goldilocks_batch.structures.sources.sourceset import open_sources

__all__ = ["FeatureSummary", "featurize"]


@dataclass(frozen=True, slots=True)
class FeatureSummary:
    """What was written.

    Attributes:
        path: the feature table.
        rows: its rows.
        failed: structures without features.
        failures_path: the table that lists them, None if there are none.
    """

    path: Path
    rows: int
    failed: int
    failures_path: Path | None


def featurize(config: RunConfig, output: Path, *, observer: Observer | None = None) -> FeatureSummary:
    """Write the features of every structure to one Parquet file, a named float64 column each.

    Parts are kept in ``<output>.parts`` until all are there, so that an interrupted call goes on where it
    stopped.  Structures without features are listed in ``<output>.failures.parquet``.

    Args:
        config: inputs, artifacts and execution options; those about bounds and meshes are not used.
        output: the file to write; an existing one is replaced.
        observer: told of progress.

    Raises:
        InputError, ModelError, RunError: as :func:`goldilocks_batch.run`.
        KeyboardInterrupt: on interruption, with the parts kept.
    """
    observer = observer or Silent()
    sources = open_sources(config.inputs, **config.reading)
    work = Featurization(
        find_network(config.choice),
        config.max_sites,
        allow_missing_hydrogens=config.allow_missing_hydrogens,
    )
    digests = [str(entry["digest"]) for entry in sources.describe()]
    identity = Identity(
        {"inputs": digests, "model": work.identity(), "version": versions()["goldilocks-batch"]}
    )
    folder = output.with_name(output.name + ".parts")
    assignment = Assignment(work, sources, Parts(folder, identity.fingerprint))
    if carry_out(assignment, config, ModelKind.FOREST, observer) == "interrupted":
        raise KeyboardInterrupt
    parts = assignment.parts.scan().parts
    summary = _merged(parts, output)
    for part in parts:
        part.path.unlink()
    folder.rmdir()
    return summary


def _merged(parts: Sequence[Part], output: Path) -> FeatureSummary:
    """Stream the parts into one table of features and one of failures."""
    failures_path = output.with_name(output.name.removesuffix(".parquet") + ".failures.parquet")
    for path in (output, failures_path):
        sweep_beside(path)
    schema = pq.read_schema(parts[0].path)
    wanted = [name for name in schema.names if name == "id" or name not in failure_schema().names]
    features = pa.schema([schema.field(name) for name in wanted])
    failures: list[pa.Table] = []
    rows = 0
    with (
        atomic_path(output) as temporary,
        pq.ParquetWriter(temporary, features, compression="zstd") as writer,
    ):
        for part in parts:
            table = read_part(part.path)
            failed = table["error_code"].is_valid()
            failures.append(table.filter(failed).select(failure_schema().names))
            good = table.filter(failed.to_numpy() == np.False_).select(wanted)
            rows += good.num_rows
            writer.write_table(good.cast(features))
    refused = pa.concat_tables(failures)
    if refused.num_rows:
        with atomic_path(failures_path) as temporary:
            pq.write_table(refused, temporary)
    else:
        failures_path.unlink(missing_ok=True)
    return FeatureSummary(output, rows, refused.num_rows, failures_path if refused.num_rows else None)
