"""Ids as names of files and folders: safe on every file system, unique whatever it makes of letters' case."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

__all__ = ["Names", "lone_name", "safe_name"]

#: Characters beside letters, digits and ``_.-~`` that are kept.
_KEPT = "+=,@"
#: Bytes of the longest name; what is longer is cut, and ends in a digest of the id.
_LONGEST = 120
_DIGITS = 16
#: What stands before a digest; no name has it otherwise.
_DIGEST = "%~"
#: What Windows takes for devices, whatever ending they have.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def safe_name(structure_id: str) -> str:
    """A name for an id; different ids have different names.

    Characters that a file system, a shell or an archive could take for something else are percent-encoded,
    as in URLs; ``urllib.parse.unquote`` gives the id back, unless it was cut.
    """
    name = quote(structure_id, safe=_KEPT, errors="surrogatepass")
    if not name:
        return "%"
    if name[0] in ".-~" or _DEVICES.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if name.endswith("."):
        name = f"{name[:-1]}%2E"
    return name if len(name) <= _LONGEST else _told_apart(name, structure_id)


def lone_name(structure_id: str) -> str:
    """A name for one id of many that are not known, unique whatever a file system makes of letters' case.

    The name of an id without capital letters is :func:`safe_name`'s; any other one has a digest added.
    """
    name = safe_name(structure_id)
    return name if _DIGEST in name or name == name.lower() else _told_apart(name, structure_id)


def _told_apart(name: str, structure_id: str) -> str:
    """The name, cut if it must be, with a digest of the id, which alone tells it from all others."""
    digest = hashlib.sha256(structure_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{name[: _LONGEST - len(_DIGEST) - _DIGITS]}{_DIGEST}{digest}"


class Names:
    """Names for many ids, known beforehand; those that differ by letters' case alone get a digest added.

    Args:
        ids: all of them, in batches; 8 bytes are kept for each while they are looked at.
    """

    def __init__(self, ids: Iterable[list[str]]) -> None:
        hashes = [np.fromiter(map(_folded, batch), dtype=np.int64, count=len(batch)) for batch in ids]
        ordered: NDArray[np.int64] = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *hashes]))
        self._alike = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())

    def __getitem__(self, structure_id: str) -> str:
        """The name of an id."""
        name = safe_name(structure_id)
        if _folded(structure_id) not in self._alike or _DIGEST in name:
            return name
        return _told_apart(name, structure_id)


def _folded(structure_id: str) -> int:
    return hash(safe_name(structure_id).lower())
