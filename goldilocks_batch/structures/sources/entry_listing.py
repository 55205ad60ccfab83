"""Which entries a JSON file holds, and where: they are read later, each by itself."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from goldilocks_batch.structures.json_text import FORMS, WRAPPERS, holds_structure
from goldilocks_batch.structures.sources.files import MAX_BYTES
from goldilocks_batch.structures.sources.formats import safe_text

__all__ = ["Entry", "entries_of", "lines_of"]

_ID_NAMES = ("id", "material_id", "jid", "mat_id", "entry_id", "structure_id", "immutable_id", "_id")
#: Where lists of entries stand in the answers and dumps of databases.
_LISTS = ("data", "entries", "structures", "materials", "docs", "results")
_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\n\r]*")


class Entry(NamedTuple):
    """An entry of a file.

    Attributes:
        id: its own, or the file's stem, a colon and its number.
        start: where its text begins in the file, expanded if it is compressed; bytes.
        size: of its text, bytes.
    """

    id: str
    start: int
    size: int


def lines_of(stream: IO[bytes], stem: str, id_name: str | None, ignored: Counter[str]) -> Iterator[Entry]:
    """The entries of a file of JSON Lines, one a line.

    OPTIMADE's header and its lines of other types than structures are counted as ignored.

    Args:
        stream: of the file.
        stem: of its name.
        id_name: where entries keep their ids, if under none of the usual names.
        ignored: counts lines that are no structures, by type.
    """
    at = number = 0
    while line := stream.readline(MAX_BYTES + 1):
        size = len(line)
        while not line.endswith(b"\n") and (more := stream.readline(MAX_BYTES + 1)):
            size, line = size + len(more), more  # too long to be one structure; its end is looked for
        start, at = at, at + size
        if size > MAX_BYTES:
            yield Entry(f"{stem}:{number}", start, size)
            number += 1
            continue
        if not line.strip(_MARK + b" \t\r\n"):
            continue
        try:
            value = json.loads(line.removeprefix(_MARK))
        except (ValueError, RecursionError):
            value = None  # its row fails when it is read
        kind = _other_kind(value)
        if kind:
            ignored[kind] += 1
            continue
        yield Entry(_id(value, None, id_name) or f"{stem}:{number}", start, size)
        number += 1


def _other_kind(value: Any) -> str:
    """What a line of an OPTIMADE dump holds in place of a structure, nothing for what may be one."""
    if not isinstance(value, dict):
        return ""
    if "x-optimade" in value:
        return "(header)"
    kind = value.get("type")
    if isinstance(kind, str) and kind != "structures" and not holds_structure(value):
        return f"({safe_text(kind)[:40]})"
    return ""


class _Part(NamedTuple):
    """An item of a list or object: what is kept of it, for its value may be large.

    Attributes:
        key: its name in an object.
        start, end: where its text stands, characters.
        id: its id, nothing if it has none.
        kind: what it is in place of a structure, nothing if it may be one.
        holds: whether it is, or holds, a structure.
    """

    key: str | None
    start: int
    end: int
    id: str
    kind: str
    holds: bool


def entries_of(data: bytes, stem: str, id_name: str | None, ignored: Counter[str]) -> list[Entry] | None:
    """The entries of a JSON file: of a list, of an answer's or dump's list, or of a table by ids.

    Args:
        data: of the file.
        stem: of its name.
        id_name: where entries keep their ids, if under none of the usual names.
        ignored: counts entries that are no structures, by type.

    Returns:
        None for a file of one value, whatever it is; it is read as one structure.

    Raises:
        ValueError: the text ends, or is damaged, amid a list of entries.
    """
    mark = len(_MARK) if data.startswith(_MARK) else 0
    try:
        text = data[mark:].decode("utf-8")
    except UnicodeDecodeError:
        return None
    at = _skipped(text, 0)
    parts: list[_Part] = []
    if text[at : at + 1] == "[":
        at = _scan(text, at, id_name, parts)
        if len(parts) < 2:
            return None
    elif text[at : at + 1] == "{":
        nested: list[_Part] = []
        try:
            at = _scan(text, at, id_name, parts, nested)
        except ValueError:
            if nested:
                raise
            return None
        keys = {part.key for part in parts}
        if any(form <= keys for form in FORMS.values()):
            return None
        if any(part.holds and part.key in WRAPPERS for part in parts):
            return None
        if not nested and (len(parts) < 2 or not all(part.holds for part in parts)):
            return None
        parts = nested or parts
    else:
        return None
    if at < len(text):
        raise ValueError(f"something follows its end, at character {at}")
    return list(_entries(text, parts, mark, stem, ignored))


def _entries(text: str, parts: list[_Part], mark: int, stem: str, ignored: Counter[str]) -> Iterator[Entry]:
    plain, at, place, number = text.isascii(), 0, mark, 0
    for part in parts:
        if part.kind:
            ignored[part.kind] += 1
            continue
        # places in the text are characters, those in the file bytes
        place += part.start - at if plain else len(text[at : part.start].encode())
        size = part.end - part.start if plain else len(text[part.start : part.end].encode())
        yield Entry(part.id or f"{stem}:{number}", place, size)
        at, place, number = part.end, place + size, number + 1


def _id(value: Any, key: str | None, id_name: str | None) -> str:
    """The id of an entry; nothing if it has none."""
    if key is not None and id_name is None:
        return safe_text(key)
    if not isinstance(value, dict):
        return ""
    places = [value, *(value[name] for name in ("attributes", "data") if isinstance(value.get(name), dict))]
    for name in (id_name,) if id_name else _ID_NAMES:
        for place in places:
            given = place.get(name)
            if isinstance(given, str | int) and not isinstance(given, bool) and str(given):
                return safe_text(str(given))
    return ""


def _skipped(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _scan(
    text: str, at: int, id_name: str | None, parts: list[_Part], nested: list[_Part] | None = None
) -> int:
    """Note the items of the list or object that begins at a place; return the place after it and its space.

    Args:
        text: JSON.
        at: where it begins.
        id_name: where entries keep their ids.
        parts: its items are added here.
        nested: items of its first list of entries are added here, if it is an object.

    Raises:
        ValueError: the text is damaged, or ends before it does.
    """
    decoder = json.JSONDecoder()
    opening = text[at]
    closing = {"[": "]", "{": "}"}[opening]
    at = _skipped(text, at + 1)
    while text[at : at + 1] != closing or parts:
        key = None
        if opening == "{":
            key, at = decoder.raw_decode(text, at)
            at = _skipped(text, at)
            if not isinstance(key, str) or text[at : at + 1] != ":":
                raise ValueError(f"no name at character {at}")
            at = _skipped(text, at + 1)
        start = at
        if key in _LISTS and nested == [] and text[at : at + 1] == "[":
            at = _scan(text, at, id_name, nested)
            parts.append(_Part(key, start, at, "", "", False))
        else:
            try:
                value, at = decoder.raw_decode(text, at)
            except ValueError as error:
                raise ValueError(f"it is cut or damaged after {len(parts):,} whole items: {error}") from error
            holds = holds_structure(value)
            parts.append(_Part(key, start, at, _id(value, key, id_name), _other_kind(value), holds))
            at = _skipped(text, at)
        if text[at : at + 1] == closing:
            return _skipped(text, at + 1)
        if text[at : at + 1] != ",":
            raise ValueError(f"it is cut or damaged after {len(parts):,} whole items, at character {at}")
        at = _skipped(text, at + 1)
    return _skipped(text, at + 1)
