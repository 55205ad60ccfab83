"""Pages of entries as one Parquet manifest in the dialect of OPTIMADE."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.structures.databases.harvest import Harvest
from goldilocks_batch.structures.databases.pages import address
from goldilocks_batch.structures.databases.query import Query
from goldilocks_batch.structures.sources.parquet import DATABASES_KEY, origin_of

__all__ = ["FETCHED_SCHEMA", "read_origin", "write_fetched"]

_GROUP_ROWS = 1000
_VECTORS = pa.list_(pa.list_(pa.float64()))

FETCHED_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False, metadata={"text": "provider/id"}),
        pa.field("provider", pa.string(), nullable=False, metadata={"text": "the database"}),
        pa.field("url", pa.string(), nullable=False, metadata={"text": "where the entry is found"}),
        pa.field("last_modified", pa.string(), metadata={"text": "by what the provider says"}),
        pa.field("license", pa.string(), metadata={"text": "of the provider's entries, where it says"}),
        pa.field("lattice_vectors", _VECTORS, metadata={"unit": "Å", "text": "rows a, b, c"}),
        pa.field("cartesian_site_positions", _VECTORS, metadata={"unit": "Å", "text": "one row a site"}),
        pa.field("species_at_sites", pa.list_(pa.string()), metadata={"text": "names in species"}),
        pa.field("species", pa.string(), metadata={"text": "what the names stand for, as JSON"}),
        pa.field("dimension_types", pa.list_(pa.int64()), metadata={"text": "1 where periodic"}),
        pa.field("structure_features", pa.list_(pa.string()), metadata={"text": "of OPTIMADE"}),
    ]
)
"""Columns of a fetched manifest; what a provider left out, or gave in another form, is null."""


def write_fetched(harvests: Sequence[Harvest], query: Query, output: Path, fetched: str) -> None:
    """Write all entries of all providers, in their order, as given.

    Structures that are of no use are there too: each has a row, and a run says what is wrong with it.

    Args:
        harvests: what the providers gave.
        query: that they were asked.
        output: the file; one that is there is replaced when the new one is whole.
        fetched: when, ISO 8601.

    Raises:
        RunError: WRITE_FAILED.
    """
    origin = {"version": 1, "fetched": fetched, "filter": query.filter, "limit": query.limit}
    about = [_about(harvest) for harvest in harvests]
    schema = FETCHED_SCHEMA.with_metadata({DATABASES_KEY: json.dumps({**origin, "providers": about})})
    with (
        atomic_path(output) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        rows: list[dict[str, Any]] = []
        for harvest in harvests:
            for row in _rows(harvest, query.limit):
                rows.append(row)
                if len(rows) == _GROUP_ROWS:
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def read_origin(path: Path) -> dict[str, Any] | None:
    """Return what a fetched manifest says of its making; None for any other file."""
    try:
        return origin_of(pq.read_schema(path))
    except (OSError, pa.ArrowException):
        return None


def _about(harvest: Harvest) -> dict[str, Any]:
    return {
        "name": harvest.provider.name,
        "url": harvest.provider.url,
        "rows": harvest.rows,
        "returned": harvest.returned,
        "duplicates": harvest.duplicates,
        "limited": harvest.limited,
        "problem": harvest.problem,
        **harvest.about,
    }


def _rows(harvest: Harvest, limit: int) -> Iterator[dict[str, Any]]:
    if harvest.store is None:
        return
    provider, license_text = harvest.provider, harvest.about.get("license")
    written: set[str] = set()
    for page in harvest.store.pages():
        for name, properties in page.entries.items():
            if name in written or len(written) == limit:
                continue
            written.add(name)
            yield {
                "id": f"{provider.name}/{name}",
                "provider": provider.name,
                "url": address(provider.url, name),
                "license": license_text,
                **{column: read(properties.get(column)) for column, read in _READERS.items()},
            }


def _vectors(value: Any) -> Any:
    """Lists of numbers; null where something else is among them."""
    try:
        return [row if row is None else [_number(part) for part in _list(row)] for row in _list(value)]
    except (TypeError, OverflowError):
        return None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _number(value: Any) -> float | None:
    if isinstance(value, bool | str):
        raise TypeError
    return None if value is None else float(value)


def _names(value: Any) -> Any:
    sound = isinstance(value, list) and all(part is None or isinstance(part, str) for part in value)
    return [part if part is None else _text(part) for part in value] if sound else None


def _flags(value: Any) -> Any:
    if value is None:
        return [1, 1, 1]  # as of every crystal of which nothing is said
    return value if isinstance(value, list) and all(part in (0, 1) for part in value) else None


def _text(value: Any) -> Any:
    """Text as Parquet takes it: half of a pair of surrogates is none."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else None


_READERS: dict[str, Callable[[Any], Any]] = {
    "last_modified": _text,
    "lattice_vectors": _vectors,
    "cartesian_site_positions": _vectors,
    "species_at_sites": _names,
    # none given: names are elements then
    "species": lambda value: "[]" if value is None else json.dumps(value),
    "dimension_types": _flags,
    "structure_features": _names,
}
