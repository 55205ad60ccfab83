"""Checkpoints read without torch: importing it costs every process a second and 200 MB.

A file of torch is an archive: a pickle of the objects, and a record of bytes for each storage that tensors
look into.  A pickle is a program; this one is refused unless it uses nothing but the operations and names
that tensors in plain containers need, and each of those names leads to a stand-in of this module.  What is
refused here is left to torch itself.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.safe_pickle import RefusedError, Unpickler

__all__ = ["NotPlain", "read_plain"]

#: What plain containers, numbers, texts and references to storages need.
_OPERATIONS = frozenset(
    """
    PROTO STOP MARK BINPUT LONG_BINPUT BINGET LONG_BINGET NONE NEWTRUE NEWFALSE BININT BININT1 BININT2
    BINFLOAT BINUNICODE EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM
    SETITEMS GLOBAL REDUCE BUILD BINPERSID
    """.split()
)
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
}


class NotPlain(Exception):  # noqa: N818 - no error: torch is asked then
    """The file holds more than tensors of plain numbers in plain containers, or is damaged."""


class _Dict(dict[Any, Any]):
    """Stand-in for ordered dictionaries; attributes, which Lightning sets, are dropped."""

    def __setstate__(self, _state: object) -> None:
        """Keep nothing."""


class _Fixed:
    """A stand-in that no pickle can change."""

    __slots__ = ()

    def __setstate__(self, _state: object) -> None:
        raise NotPlain("it sets attributes of what it names")


class _Kind(_Fixed):
    """Stand-in for a class of storages."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)


class _Tensor(_Fixed):
    """Stand-in for the function that makes a tensor: a view of a storage."""

    __slots__ = ()

    def __call__(
        self, storage: object, offset: object, shape: object, strides: object, *_further: object
    ) -> NDArray[Any]:
        """The numbers of a tensor; not a copy."""
        (first,), lengths, steps = _numbers((offset,)), _numbers(shape), _numbers(strides)
        if not isinstance(storage, np.ndarray) or len(lengths) != len(steps):
            raise NotPlain("a tensor is malformed")
        if 0 in lengths:
            return np.empty(lengths, storage.dtype)
        last = first + sum((n - 1) * step for n, step in zip(lengths, steps, strict=True))
        if math.prod(lengths) > len(storage) or last >= len(storage):
            raise NotPlain("a tensor is larger than its storage")
        return np.lib.stride_tricks.as_strided(
            storage[first:], lengths, [storage.itemsize * step for step in steps], writeable=False
        )


def _numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or any(type(number) is not int or number < 0 for number in value):
        raise NotPlain("a tensor's place or shape is not of numbers")
    return value


_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor(),
    **{("torch", name): _Kind(dtype) for name, dtype in _STORAGES.items()},
}


class _Unpickler(Unpickler):
    """Finds the numbers of tensors in the other members of the archive."""

    def __init__(self, archive: zipfile.ZipFile, record: str) -> None:
        super().__init__(archive.read(record), _NAMES, _OPERATIONS, "no plain checkpoint")
        self._archive = archive
        self._root = record.removesuffix("data.pkl")
        self._storages: dict[str, NDArray[Any]] = {}

    def persistent_load(self, reference: object) -> NDArray[Any]:
        """The numbers of a storage, wherever they once lay."""
        match reference:
            case ("storage", _Kind() as kind, str(key), str(_), int(count)):
                pass
            case _:
                raise NotPlain("a reference is none to a storage")
        if key not in self._storages:
            content = self._archive.read(f"{self._root}data/{key}")
            self._storages[key] = np.frombuffer(content, kind.dtype)
        found = self._storages[key]
        if found.dtype != kind.dtype or len(found) != count:
            raise NotPlain(f"storage {key} is not of {count} numbers of {kind.dtype}")
        return found


def read_plain(path: Path) -> Any:
    """What a file of torch holds: plain containers, with arrays, not to be written to, for tensors.

    Args:
        path: the file, known to unpack to no more than it is.

    Raises:
        NotPlain: only torch can tell what it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (record,) = (
                name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")
            )
            order = f"{record.removesuffix('data.pkl')}byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise NotPlain("its numbers are big-endian")
            return _Unpickler(archive, record).load()
    except NotPlain:
        raise
    except RefusedError as refusal:
        raise NotPlain(f"it {refusal}") from refusal
    except Exception as error:  # a malformed pickle can make the unpickler raise nearly anything
        raise NotPlain(f"{type(error).__name__}: {error}") from error
