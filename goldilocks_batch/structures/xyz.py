"""Extended XYZ: one frame, its cell in the comment line (https://github.com/libAtoms/extxyz)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage
from goldilocks_batch.structures.checks import from_cartesian
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.labels import of_label, of_type
from goldilocks_batch.structures.numerals import ends_in_a_number, number, periodicity
from goldilocks_batch.structures.outcome import Reading, ReadOptions, refuse
from goldilocks_batch.structures.species import atomic_number

__all__ = ["read_xyz"]

_LABELS = ("species", "element", "elements", "symbols", "symbol")
_MOMENTS = ("magmoms", "magmom", "initial_magmoms", "moments", "spin", "spins")


def read_xyz(text: str, options: ReadOptions) -> Reading:
    """Read one frame.

    Args:
        text: of the file.
        options: limits and what is accepted.

    Raises:
        StructureError: PARSE_FAILED, lines or columns are missing; SEVERAL_STRUCTURES; LATTICE_ZERO, no cell.
    """
    lines = re.split(r"\r\n|\r|\n", text)
    try:
        sites = int(lines[0])
    except ValueError:
        message = f"the first line holds {lines[0].strip()[:60]!r}; the number of atoms is expected"
        refuse(ErrorCode.PARSE_FAILED, message)
    if sites > options.max_sites:
        message = f"{sites} sites are announced, the limit is {options.max_sites}"
        refuse(ErrorCode.TOO_MANY_SITES, message, Stage.CHECK)
    if sites < 1:
        refuse(ErrorCode.NO_STRUCTURE, "the file announces no atoms")
    header = _header(lines[1] if len(lines) > 1 else "")
    rows = [line.split() for line in lines[2 : 2 + sites]]
    _expect_one_frame(lines, sites)
    columns = _columns(header.get("properties", "species:S:1:pos:R:3"))
    width = max(stop for _, stop in columns.values())
    short = next((i for i, row in enumerate(rows) if len(row) < width), len(rows))
    if short < sites:
        message = f"{sites} atoms of {width} columns are announced, atom {short + 1} is missing or incomplete"
        refuse(ErrorCode.PARSE_FAILED, f"{message}; the file seems cut short")
    pbc = periodicity(header["pbc"]) if "pbc" in header else np.ones(3, dtype=bool)
    lattice = _lattice(header, pbc)
    cart = np.array([_floats(row, columns, "pos") for row in rows]).reshape(sites, 3)
    numbers = _elements(rows, columns)
    found = from_cartesian(lattice, cart, numbers, pbc)
    flags = (*found.flags, *_flags(header, rows, columns))
    if ends_in_a_number(text) and len(lines) == 2 + sites and columns["pos"][1] == width:
        flags = (*flags, "ends_abruptly")
    return Reading(found.crystal, flags)


def _header(line: str) -> dict[str, str]:
    """Keys in lower case and values as text; keys that differ in case alone must agree."""
    found: dict[str, str] = {}
    for key, value in _entries(line):
        name = key.lower()
        if name in ("lattice", "pbc", "properties") and found.get(name, value) != value:
            refuse(ErrorCode.PARSE_FAILED, f"the comment line gives {name} twice, with different values")
        found[name] = value
    return found


_CLOSING = {'"': '"', "'": "'", "{": "}", "[": "]"}
_WORD = re.compile(r"[^\s=]+")
_BARE = re.compile(r"\S*")
_SPACE = re.compile(r"\s*")


def _entries(line: str) -> Iterator[tuple[str, str]]:
    """The ``key=value`` pairs of a comment line, in one pass; words without a value are passed over.

    A value may stand in quotes or brackets, which nest if they are square.
    """
    at, unclosed = 0, ""
    while (at := _end(_SPACE, line, at)) < len(line):
        opening = line[at] if line[at] in "\"'" and line[at] not in unclosed else ""
        stop = _closed(line, at) if opening else 0
        if stop:
            key, at = line[at + 1 : stop - 1], stop
        else:
            unclosed += opening
            stop = max(_end(_WORD, line, at), at + 1)
            key, at = line[at:stop], stop
        equals = _end(_SPACE, line, at)
        if line[equals : equals + 1] != "=":
            at = equals
            continue
        at = _end(_SPACE, line, equals + 1)
        opening = line[at : at + 1]
        stop = _closed(line, at) if opening in _CLOSING and opening not in unclosed else 0
        if stop:
            value = line[at:stop] if opening == "[" else line[at + 1 : stop - 1]
        else:
            unclosed += opening if opening in _CLOSING else ""
            stop = _end(_BARE, line, at)
            value = line[at:stop]
        at = stop
        yield key, value


def _end(pattern: re.Pattern[str], line: str, at: int) -> int:
    found = pattern.match(line, at)
    return found.end() if found else at


def _closed(line: str, at: int) -> int:
    """The place after the quote or bracket that closes the one at ``at``; 0 if none does."""
    opening = line[at]
    closing = _CLOSING[opening]
    if opening != "[":
        stop = line.find(closing, at + 1)
        while stop > 0 and line[stop - 1] == "\\" and closing in "\"'":
            stop = line.find(closing, stop + 1)
        return stop + 1
    depth = 0
    for found in re.compile(r"[\[\]]").finditer(line, at):
        depth += 1 if found[0] == "[" else -1
        if depth == 0:
            return found.end()
    return 0


def _expect_one_frame(lines: list[str], sites: int) -> None:
    rest = [line for line in lines[2 + sites :] if line.strip()]
    if not rest:
        return
    if rest[0].strip().isdigit():
        refuse(ErrorCode.SEVERAL_STRUCTURES, "the file holds several frames, one is expected")
    message = f"{len(rest)} lines more than the {sites} atoms announced"
    refuse(ErrorCode.PARSE_FAILED, f"{message}; correct the number on the first line")


def _columns(properties: str) -> dict[str, tuple[int, int]]:
    """Return where the columns of each property start and stop."""
    fields = properties.split(":")
    columns: dict[str, tuple[int, int]] = {}
    at = 0
    widths = fields[2::3]
    if len(fields) % 3 or not all(width.isdigit() and 0 < int(width) < 1000 for width in widths):
        message = f"Properties is {properties[:60]!r}; name:type:columns, repeated, is expected"
        refuse(ErrorCode.PARSE_FAILED, message)
    for name, width in zip(fields[::3], map(int, widths), strict=True):
        columns[name.lower()] = (at, at + width)
        at += width
    named = {"z", *_LABELS} & columns.keys()
    if columns.get("pos", (0, 0))[1] - columns.get("pos", (0, 0))[0] != 3 or not named:
        message = f"Properties is {properties[:60]!r}; pos:R:3 and species:S:1 or Z:I:1 are needed"
        refuse(ErrorCode.PARSE_FAILED, message)
    return columns


def _lattice(header: dict[str, str], pbc: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The ``(3, 3)`` lattice, zero where there is none and no axis is periodic."""
    given = header.get("lattice")
    if given is None:
        if not pbc.any():
            return np.zeros((3, 3))
        message = 'no Lattice in the comment line: a molecule, not a crystal; add Lattice="ax ay az bx …"'
        refuse(ErrorCode.LATTICE_ZERO, message, Stage.CHECK)
    words = re.sub(r"[\[\](){},;]", " ", given).split()
    try:
        values = [number(word) for word in words]
    except ValueError:
        values = []
    if len(values) != 9:
        refuse(
            ErrorCode.PARSE_FAILED, f"Lattice is {given[:60]!r}; nine numbers are expected, vector by vector"
        )
    return np.array(values).reshape(3, 3)


def _floats(row: list[str], columns: dict[str, tuple[int, int]], name: str) -> list[float]:
    start, stop = columns[name]
    try:
        return [number(word) for word in row[start:stop]]
    except ValueError:
        refuse(ErrorCode.PARSE_FAILED, f"column {name} holds {' '.join(row[start:stop])[:60]!r}, no numbers")


def _elements(rows: list[list[str]], columns: dict[str, tuple[int, int]]) -> NDArray[np.int64]:
    """Return ``(n_sites,)`` atomic numbers; names and numbers must agree where both are given."""
    name = next((name for name in _LABELS if name in columns), None)
    by_number = None
    if "z" in columns:
        by_number = [_of_number(row[columns["z"][0]]) for row in rows]
    if name is None:
        return np.array(by_number, dtype=np.int64)
    found = [_of_name(row[columns[name][0]]) for row in rows]
    if by_number is not None and by_number != found:
        place = next(i for i, (a, b) in enumerate(zip(found, by_number, strict=True)) if a != b)
        message = (
            f"atom {place + 1} is {SYMBOLS[found[place]]} by name, {SYMBOLS[by_number[place]]} by number Z"
        )
        refuse(ErrorCode.CONTENT_MISMATCH, f"{message}; correct the one or the other")
    return np.array(found, dtype=np.int64)


def _of_number(word: str) -> int:
    if not word.isdigit() or not 0 < int(word) < len(SYMBOLS):
        message = f"atomic numbers must be 1 to {len(SYMBOLS) - 1}, found {word[:20]}"
        refuse(ErrorCode.SPECIES_UNKNOWN, message, Stage.CHECK)
    return int(word)


def _of_name(word: str) -> int:
    if word.isdigit():
        return _of_number(word)
    if re.fullmatch(r"[A-Za-z]{1,2}", word):
        return atomic_number(word.title())
    atom = of_type(word) or of_label(word)
    if atom is None or atom.hydrogens:
        return atomic_number(word)  # which refuses all but an element with a charge
    return atom.number


def _flags(
    header: dict[str, str], rows: list[list[str]], columns: dict[str, tuple[int, int]]
) -> tuple[str, ...]:
    flags = []
    charge: Any = header.get("charge", header.get("total_charge"))
    if charge is not None and _is_not_zero([charge]):
        flags.append("charged")
    for name in _MOMENTS:
        if name in columns and any(_is_not_zero(row[slice(*columns[name])]) for row in rows):
            flags.append("magnetic")
            break
    return tuple(flags)


def _is_not_zero(words: list[str]) -> bool:
    try:
        return any(abs(number(word)) > 1e-3 for word in words)
    except ValueError:
        return False
