"""The tables in a folder of studies: all structures, labels, labels and limits, of what has ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from goldilocks_batch.convergence.protocol import described
from goldilocks_batch.convergence.table import studies_schema
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.core.temporary import sweep_beside
from goldilocks_batch.results.part import read_part
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.structures.sources.sourceset import SourceSet
from goldilocks_batch.training.protocols import ENDED_KEY, PROTOCOL_KEY, ended_of

__all__ = ["LABELS", "LIMITS", "STUDIES", "count_limits", "forget_tables", "tabled", "write_tables"]

#: Every structure; those with labels; those with labels or limits.
STUDIES, LABELS, LIMITS = "studies.parquet", "labels.parquet", "labels-and-limits.parquet"


def write_tables(
    folder: Path,
    parts: Parts,
    sources: SourceSet,
    tolerances: Sequence[float],
    protocol: Mapping[str, object],
) -> int:
    """Write the tables of the studies that have ended, rows in the order of the inputs.

    Tables of some studies say in their metadata of how many.

    Args:
        folder: where they are written.
        parts: results of the studies.
        sources: the structures, in the order of the inputs.
        tolerances: of the labels, meV per atom.
        protocol: what they are labels of.

    Returns:
        How many studies there are in the tables; 0 if none has ended, and nothing is written.

    Raises:
        RunError: ROWS_LOST, a part is damaged; WRITE_FAILED.
        InputError: the inputs cannot be read any more.
    """
    if not parts.scan().parts:
        return 0
    table = parts.table()
    place = {name: row for row, name in enumerate(i for batch in sources.ids() for i in batch)}
    rows = np.array([place[name] for name in table["id"].to_pylist()])
    table = table.set_column(table.column_names.index("row"), "row", pa.array(rows)).take(
        pa.array(rows.argsort())
    )
    versions = sorted({version for version in table["code_version"].to_pylist() if version})
    about = {PROTOCOL_KEY: json.dumps(described(dict(protocol), versions), sort_keys=True).encode()}
    if table.num_rows < sources.rows:
        about[ENDED_KEY] = json.dumps({"ended": table.num_rows, "of": sources.rows}).encode()
    schema = studies_schema(tolerances)
    table = table.cast(schema).replace_schema_metadata({**schema.metadata, **about})
    labelled = pc.equal(table["status"], "label")
    limited = pc.equal(labelled, pa.scalar(False))
    for tolerance in tolerances:
        limited = pc.and_(limited, pc.is_valid(table[f"k_dist_at_most_{tolerance:g}mev"]))
    for name, chosen in (
        (STUDIES, table),
        (LABELS, table.filter(labelled)),
        (LIMITS, table.filter(pc.or_(labelled, limited))),
    ):
        sweep_beside(folder / name)
        with atomic_path(folder / name) as temporary:
            pq.write_table(chosen, temporary, compression="zstd")
    return table.num_rows


def forget_tables(folder: Path) -> None:
    """Remove the tables, which tell of other studies than there will be."""
    for name in (STUDIES, LABELS, LIMITS):
        (folder / name).unlink(missing_ok=True)


def tabled(folder: Path) -> tuple[int, int] | None:
    """Studies in a folder's tables, and studies in all; None if there are no tables."""
    path = folder / STUDIES
    if not path.exists():
        return None
    ended, rows = ended_of(path), pq.read_metadata(path).num_rows
    return (rows, rows) if ended is None else ended


def count_limits(parts: Parts) -> int:
    """Studies of which a limit is known, and no label."""
    return sum(
        pc.sum(pc.equal(read_part(part.path, ["status"])["status"], "limit")).as_py() or 0
        for part in parts.scan().parts
        if part.report.failed
    )
