"""What it takes to cite a run and to repeat it, and where its rows came from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from goldilocks_batch.artifacts.registry import ModelEntry, load_registry
from goldilocks_batch.core.errors import ModelError

__all__ = ["Links", "entry_of", "inputs_of", "yaml_of"]

#: What is shown of an input apart from the rest.
_USUAL = ("path", "kind", "rows", "digest")
_DATABASES = "databases"
#: Metadata of a Parquet file that say nothing of where its rows come from.
_FORMAT = (b"ARROW:schema", b"pandas", b"goldilocks_batch.manifest", b"goldilocks_batch.databases")
#: Columns of manifests that may hold the web address of a row's origin.
_ORIGINS = ("url", "source")
#: Characters of a value.
_LONGEST = 300
_WEB = ("https://", "http://")
_ROW = re.compile(r"(?P<path>/.*\.(?:parquet|pq)):(?P<row>\d+)", re.IGNORECASE | re.DOTALL)


class Links:
    """Where rows came from, as links; manifests are opened once."""

    def __init__(self) -> None:
        self._manifests: dict[str, Any] = {}

    def __call__(self, row_id: str, source: str) -> str:
        """A link to the origin of a row; empty where none can be made.

        A manifest that names the origin of its rows in a column ``url`` or ``source`` is asked for it, if
        its row still has this id.

        Args:
            row_id: the structure's id.
            source: a web address, or the path of a file, archive or manifest with the member or row after
                a colon.
        """
        found = _ROW.fullmatch(source)
        if found is not None:
            source = self._origin(found["path"], int(found["row"]), row_id) or source
        return _address(source)

    def _origin(self, path: str, row: int, row_id: str) -> str:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            if path not in self._manifests:
                self._manifests[path] = pq.ParquetFile(path) if Path(path).is_file() else None
            manifest = self._manifests[path]
            names = [] if manifest is None else [n for n in _ORIGINS if n in manifest.schema_arrow.names]
            if not names or "id" not in manifest.schema_arrow.names:
                return ""
            for group in range(manifest.num_row_groups):
                rows = manifest.metadata.row_group(group).num_rows
                if row < rows:
                    values = manifest.read_row_group(group, ["id", *names]).slice(row, 1).to_pylist()[0]
                    origins = [str(values[name]) for name in names] if values["id"] == row_id else []
                    return next((origin for origin in origins if origin.startswith(_WEB)), "")
                row -= rows
        except (OSError, ValueError, pa.ArrowException):
            self._manifests[path] = None
        return ""


def _address(source: str) -> str:
    """The web address itself, or that of the file; empty for anything else."""
    if source.startswith(_WEB):
        try:
            return source if urlsplit(source).hostname else ""
        except ValueError:
            return ""
    if not source.startswith("/") or "\x00" in source:
        return ""
    # a path may hold colons itself: the longest one that is there
    for end in [len(source), *(found.start() for found in reversed([*re.finditer(":", source)]))][:8]:
        path = Path(source[:end])
        try:
            if path.is_file():
                return path.as_uri()
        except (OSError, ValueError):
            return ""
    return ""


def entry_of(record: Mapping[str, Any]) -> ModelEntry | None:
    """The registry's entry of a run's model, None of a trained one."""
    named = record.get("config", {}).get("registry")
    try:
        registry = load_registry(Path(named) if named else None)
    except ModelError:
        return None
    return registry.models.get(str(record.get("model", {}).get("model")))


def inputs_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The inputs of a run: the usual fields by name, and what else is known of them.

    Under ``more`` are other fields, and the metadata of a manifest that is still there; ``fetched``,
    ``filter`` and ``providers`` tell of databases.
    """
    found = []
    for entry in record.get("inputs", []):
        values = {name: entry.get(name, "") for name in _USUAL}
        usual = (*_USUAL, _DATABASES)
        more = {key: _text(value) for key, value in entry.items() if key not in usual and value}
        more |= _metadata(str(entry.get("path", "")))
        found.append({**values, "more": more, **_databases(entry.get(_DATABASES))})
    return found


def _databases(origin: object) -> dict[str, Any]:
    """Of an input that was fetched: when and by which filter, and the providers as rows of a table."""
    told: Mapping[str, Any] = origin if isinstance(origin, Mapping) else {}
    listed = told.get("providers")
    providers = [
        {key: _text(provider.get(key) or "") for key in ("name", "rows", "license", "url", "api_version")}
        for provider in (listed if isinstance(listed, list) else [])[:50]
        if isinstance(provider, Mapping)
    ]
    for provider in providers:
        provider["href"] = _address(provider["url"])
    return {
        "fetched": _text(told.get("fetched") or ""),
        "filter": _text(told.get("filter") or ""),
        "providers": providers,
    }


def _metadata(path: str) -> dict[str, str]:
    """What a manifest says of itself, such as provider and licence, if it is still there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.lower().endswith((".parquet", ".pq")) or not Path(path).is_file():
        return {}
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, ValueError, pa.ArrowException):
        return {}
    found: dict[str, str] = {}
    for key, value in list(metadata.items())[:50]:
        if key in _FORMAT:
            continue
        text = value.decode("utf-8", "replace")
        try:
            found[key.decode("utf-8", "replace")] = _text(json.loads(text))
        except (ValueError, RecursionError):
            found[key.decode("utf-8", "replace")] = _text(text)
    return found


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in list(value.items())[:20])[:_LONGEST]
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value[:20]))[:_LONGEST]
    return str(value)[:_LONGEST]


def yaml_of(record: Mapping[str, Any]) -> str:
    """The configuration of a run as a file that ``run --config`` reads."""
    import yaml

    return yaml.safe_dump(dict(record.get("config", {})), sort_keys=False, allow_unicode=True)
