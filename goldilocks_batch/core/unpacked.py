"""Compressed bytes as they were, unless they claim to be far more than they are."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable

from goldilocks_batch.core.safe_pickle import RefusedError

__all__ = ["unpacked"]

#: What any file may unpack to, bytes: this, and so much more for each of its own bytes.  Forests, whose
#: arrays are mostly numbers that differ, shrink three- to tenfold.
_ALWAYS, _PER_BYTE, _MOST = 2**26, 100, 4 * 2**30
#: Memory that unpacking LZMA may take; its highest preset takes 65 MiB.
_LZMA_MEMORY = 2**28


def unpacked(data: bytes) -> bytes:
    """The content of bytes that joblib may have compressed, by zlib, gzip, bz2, xz, lzma or lz4.

    The first bytes tell which; anything else is given back as it is.

    Raises:
        RefusedError: it unpacks to more than a hundred times its size (and 64 MiB), or 4 GiB.
        ValueError: it is damaged, cut short or followed by something else, or its kind cannot be read here.
    """
    for beginning, unpack in _KINDS.items():
        if data.startswith(beginning):
            limit = min(_MOST, _ALWAYS + _PER_BYTE * len(data))
            return unpack(data, limit)
    return data


def _limited(content: bytes, limit: int, whole: bool, rest: bytes) -> bytes:
    if len(content) > limit:
        raise RefusedError(f"unpacks to more than {limit} bytes, which no file of its size should")
    if not whole:
        raise ValueError("its compressed content is cut short")
    if rest:
        raise ValueError(f"its compressed content is followed by {len(rest)} other bytes")
    return content


def _zlib(data: bytes, limit: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    unpacker = zlib.decompressobj(wbits)
    try:
        content = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise ValueError(f"its compressed content is damaged: {error}") from error
    return _limited(content, limit, unpacker.eof, unpacker.unused_data)


def _gzip(data: bytes, limit: int) -> bytes:
    return _zlib(data, limit, zlib.MAX_WBITS + 16)


def _bz2(data: bytes, limit: int) -> bytes:
    unpacker = bz2.BZ2Decompressor()
    try:
        content = unpacker.decompress(data, limit + 1)
    except OSError as error:
        raise ValueError(f"its compressed content is damaged: {error}") from error
    return _limited(content, limit, unpacker.eof, unpacker.unused_data)


def _lzma(data: bytes, limit: int) -> bytes:
    unpacker = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    try:
        content = unpacker.decompress(data, limit + 1)
    except lzma.LZMAError as error:
        if "memory" in str(error).lower():
            raise RefusedError(f"wants more than {_LZMA_MEMORY} bytes of memory to be unpacked") from error
        raise ValueError(f"its compressed content is damaged: {error}") from error
    return _limited(content, limit, unpacker.eof, unpacker.unused_data)


def _lz4(data: bytes, limit: int) -> bytes:
    try:
        from lz4.frame import LZ4FrameDecompressor
    except ModuleNotFoundError as error:
        raise ValueError("it is compressed by lz4, which takes the package lz4: pip install lz4") from error
    unpacker = LZ4FrameDecompressor()
    try:
        content = unpacker.decompress(data, max_length=limit + 1)
    except RuntimeError as error:
        raise ValueError(f"its compressed content is damaged: {error}") from error
    return _limited(content, limit, unpacker.eof, unpacker.unused_data or b"")


def _of_old(_data: bytes, _limit: int) -> bytes:
    raise ValueError("it is of a joblib before 0.10; dump it anew with a newer one")


#: By the first bytes, as in joblib's own table.
_KINDS: dict[bytes, Callable[[bytes, int], bytes]] = {
    b"ZF": _of_old,
    b"\x78": _zlib,
    b"\x1f\x8b": _gzip,
    b"BZ": _bz2,
    b"\xfd7zXZ": _lzma,
    b"\x5d\x00": _lzma,
    b"\x04\x22\x4d\x18": _lz4,
}
