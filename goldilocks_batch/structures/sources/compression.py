"""Files that are compressed by themselves: ``.gz``, ``.bz2`` and ``.xz``, told by their names."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any

__all__ = ["COMPRESSED", "DAMAGED", "expanded", "opened", "plain_name"]

COMPRESSED: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""What opens a compressed file or stream, by the ending of its name."""
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What is raised by a stream that cannot be expanded."""


def plain_name(name: str) -> str:
    """Return a name without the ending of a compression, if it has one."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in COMPRESSED and path.stem else name


def expanded(name: str, data: bytes, limit: int) -> bytes:
    """Return the content of a file, expanded if its name says that it is compressed.

    Args:
        name: of the file.
        data: its bytes.
        limit: bytes of content that are expanded at most.

    Raises:
        OSError, EOFError, zlib.error, lzma.LZMAError: the data are damaged or cut (:data:`DAMAGED`).
    """
    expand = COMPRESSED.get(PurePosixPath(name).suffix.lower())
    if expand is None:
        return data
    with expand(io.BytesIO(data)) as stream:
        content: bytes = stream.read(limit)
    return content


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading its content, expanded if its name says that it is compressed.

    Raises:
        OSError: it cannot be opened.
    """
    expand = COMPRESSED.get(path.suffix.lower())
    if expand is None:
        return path.open("rb")
    stream: IO[bytes] = expand(path)
    return stream
