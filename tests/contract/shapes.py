"""What is frozen of a value: its keys and types, and the values that never vary."""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

#: Tells for the place of a value, ``run.config.model``, whether the value itself is frozen or only its type.
Keep = Callable[[str], bool]

#: Dictionaries longer than this are keyed by data (elements, say), so the keys are not frozen.
_KEYED_BY_DATA = 40
#: Digits that vary from run to run or from machine to machine: digests and cache keys.
_DIGEST = re.compile(r"[0-9a-f]{16,}")


def nothing(_place: str) -> bool:
    """Keep no values."""
    return False


def ending(*names: str) -> Keep:
    """Keep the values whose place ends with one of these names."""
    return lambda place: place.endswith(tuple(f".{name}" for name in names)) or place in names


def shape(value: object, keep: Keep = nothing, place: str = "") -> object:
    """The keys of a JSON value, with values where they are kept, and the names of types elsewhere."""
    if isinstance(value, dict):
        inside = {key: shape(item, keep, f"{place}.{key}") for key, item in value.items()}
        if len(inside) > _KEYED_BY_DATA:
            return {"<any key>": _distinct(list(inside.values()))}
        return inside
    if isinstance(value, list):
        if keep(place) and not any(isinstance(item, dict | list) for item in value):
            return value
        return _distinct([shape(item, keep, place) for item in value])
    if value is None or keep(place):
        return value
    return f"<{type(value).__name__}>"


def _distinct(values: list[object]) -> list[object]:
    """The different ones, in order of their first appearance."""
    return list({json.dumps(value, sort_keys=True): value for value in values}.values())


def json_file(path: Path, keep: Keep = nothing) -> object:
    """The shape of a JSON file."""
    return shape(json.loads(path.read_text(encoding="utf-8")), keep)


def parquet_file(path: Path, keep: Keep = nothing) -> dict[str, Any]:
    """Columns with types and metadata, in order, and the keys of the footer; JSON in it is opened."""
    schema = pq.read_schema(path)
    footer = pq.read_metadata(path).metadata or {}
    return {
        "columns": [_field(field) for field in schema],
        "footer": {
            key.decode(): _footer_value(value.decode(), keep, key.decode())
            for key, value in sorted(footer.items())
            if key != b"ARROW:schema"  # Arrow's own
        },
    }


def _field(field: pa.Field) -> str:
    required = "" if field.nullable else " not null"
    unit = (field.metadata or {}).get(b"unit", b"").decode()
    return f"{field.name}: {field.type}{required}" + (f" [{unit}]" if unit else "")


def _footer_value(text: str, keep: Keep, place: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return shape(value, keep, place)


def arrays_file(path: Path) -> object:
    """Names, types and numbers of dimensions of the arrays in a safetensors file, from its header."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    metadata = header.pop("__metadata__", {})
    arrays = {name: f"{entry['dtype']}, {len(entry['shape'])}-d" for name, entry in header.items()}
    return {"arrays": arrays, "metadata": shape(metadata)}


def files_in(folder: Path, *, hidden: bool = True) -> list[str]:
    """Every file below a folder; digests in names are replaced."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    seen = {_DIGEST.sub("<digest>", name) for name in names}
    return sorted(name for name in seen if hidden or not name.rpartition("/")[2].startswith("."))


def folder(path: Path, keep: Keep = nothing) -> dict[str, Any]:
    """Every file of a folder, with what it holds where that is a record, a table or arrays."""
    openers: dict[str, Callable[[Path], object]] = {
        ".json": lambda file: json_file(file, keep),
        ".parquet": lambda file: parquet_file(file, keep),
        ".safetensors": arrays_file,
    }
    found: dict[str, object] = {}
    for file in sorted(path.rglob("*")):
        if file.is_file():
            name = _DIGEST.sub("<digest>", file.relative_to(path).as_posix())
            found[name] = openers[file.suffix](file) if file.suffix in openers else "<file>"
    return found


def differences(frozen: Any, found: Any, place: str = "") -> list[str]:
    """What was added, removed or changed, a line each; empty if the two are equal."""
    if isinstance(frozen, dict) and isinstance(found, dict):
        lines = []
        for key in sorted({*frozen, *found}):
            inside = f"{place} > {key}" if place else key
            if key not in found:
                lines.append(f"removed: {inside}, which was {_said(frozen[key])}")
            elif key not in frozen:
                lines.append(f"added: {inside}, {_said(found[key])}")
            else:
                lines += differences(frozen[key], found[key], inside)
        return lines
    if isinstance(frozen, list) and isinstance(found, list) and frozen != found:
        before, after = Counter(map(_said, frozen)), Counter(map(_said, found))
        where = f"{place}: " if place else ""
        lines = [f"removed: {where}{item}" for item in (before - after).elements()]
        lines += [f"added: {where}{item}" for item in (after - before).elements()]
        return lines or [f"changed: {where}the order is {_said(found)}, it was {_said(frozen)}"]
    # 1 and True, 1 and 1.0 are equal in Python, and different in a record
    if json.dumps(frozen, sort_keys=True) != json.dumps(found, sort_keys=True):
        return [f"changed: {place}: it is {_said(found)}, it was {_said(frozen)}"]
    return []


def _said(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 300 else text[:300] + " …"
