"""POSCAR and CONTCAR, versions 4 and 5, as VASP reads them.

After the manual (https://www.vasp.at/wiki/index.php/POSCAR): one scaling factor (negative: the volume of
the cell) or one for each Cartesian axis, all of which scale Cartesian positions as well; numbers may be
written as in Fortran, and what follows them on a line is not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage
from goldilocks_batch.structures.checks import from_cartesian
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.labels import of_type
from goldilocks_batch.structures.numerals import ends_in_a_number, number
from goldilocks_batch.structures.outcome import Reading, ReadOptions, refuse

__all__ = ["read_poscar"]

_FLAG = re.compile(r"\.?[tf](?:rue|alse)?\.?", re.IGNORECASE)
_ALONE = re.compile(r"([A-Za-z]{1,2})(?:[_/].*|\d+)?")


def read_poscar(text: str, options: ReadOptions) -> Reading:
    """Read the structure in a POSCAR.

    Args:
        text: of the file.
        options: limits and what is accepted.

    Raises:
        StructureError: PARSE_FAILED, a line is missing or not what belongs there; SPECIES_UNKNOWN, the
            elements are not named; CONTENT_MISMATCH, elements beside positions are not those of the header.
    """
    lines = re.split(r"\r\n|\r|\n", text)
    if len(lines) < 7:
        refuse(ErrorCode.PARSE_FAILED, f"no POSCAR: {len(lines)} lines, at least 8 are expected")
    lattice, scale = _cell(lines)
    header = _header(lines)
    total = sum(header.counts)
    if total > options.max_sites:
        message = f"{total} sites are announced, the limit is {options.max_sites}"
        refuse(ErrorCode.TOO_MANY_SITES, message, Stage.CHECK)
    if total < 1:
        refuse(ErrorCode.NO_STRUCTURE, "the POSCAR announces no atoms")
    rows = _rows(lines, header.first, total)
    positions = np.array([_numbers(lines, line, 3, "a position") for line in rows]).reshape(total, 3)
    numbers, flags = _elements(lines, rows, header)
    if ends_in_a_number(text) and rows[-1] == len(lines) - 1:
        flags = (*flags, "ends_abruptly")
    if header.cartesian:
        found = from_cartesian(lattice, positions * scale, numbers, np.ones(3, dtype=bool))
        return Reading(found.crystal, flags)
    return Reading(Crystal(lattice, positions, numbers), flags)


@dataclass(frozen=True, slots=True)
class _Header:
    """What stands before the positions.

    Attributes:
        symbols: of each kind, empty in version 4.
        counts: of each kind.
        cartesian: what positions are.
        first: number of the first position's line.
    """

    symbols: list[str]
    counts: list[int]
    cartesian: bool
    first: int


def _words(line: str) -> list[str]:
    return re.split(r"[!#]", line, maxsplit=1)[0].split()


def _numbers(lines: list[str], line: int, count: int, what: str) -> list[float]:
    """The first numbers of a line."""
    shown = _line(lines, line).strip()
    try:
        found = [number(word) for word in shown.split()[:count]]
    except ValueError:
        found = []
    if len(found) < count:
        held = f"{shown[:60]!r}" if shown else "nothing"
        refuse(ErrorCode.PARSE_FAILED, f"line {line + 1} holds {held}; {what} is expected, {count} numbers")
    return found


def _cell(lines: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ``(3, 3)`` lattice in Å and the ``(3,)`` factors that also scale Cartesian positions."""
    factors = []
    for word in _words(lines[1]):
        try:
            factors.append(number(word))
        except ValueError:
            break
    if len(factors) not in (1, 3):
        message = f"line 2 holds {lines[1].strip()[:60]!r}; one scaling factor is expected, or three"
        refuse(ErrorCode.PARSE_FAILED, message)
    vectors = np.array([_numbers(lines, line, 3, "a lattice vector") for line in (2, 3, 4)]).reshape(3, 3)
    scale = np.array(factors if len(factors) == 3 else factors * 3)
    if (scale == 0).any():
        refuse(ErrorCode.LATTICE_ZERO, f"the scaling factor on line 2 is zero: {lines[1].strip()[:60]}")
    if len(factors) == 3 and (scale < 0).any():
        message = f"of three scaling factors on line 2 none may be negative: {lines[1].strip()[:60]}"
        refuse(ErrorCode.PARSE_FAILED, message)
    if scale[0] < 0:  # the volume of the cell
        volume = abs(float(np.linalg.det(vectors)))
        if not volume > 0:
            refuse(ErrorCode.LATTICE_COLLAPSED, "the lattice vectors lie in a plane", Stage.CHECK)
        scale = np.full(3, (-scale[0] / volume) ** (1 / 3))
    return vectors * scale, scale


def _header(lines: list[str]) -> _Header:
    line, symbols = 5, []
    while line < len(lines) and (words := _words(lines[line])) and not words[0].isdigit():
        symbols += words
        line += 1
        if line > 5 + 200:
            break
    counts: list[int] = []
    while line < len(lines) and (words := _words(lines[line])) and words[0].isdigit():
        for word in words:
            if not word.isdigit():
                break
            counts.append(int(word))
        line += 1
        if len(counts) >= len(symbols):  # kinds may be spread over several lines
            break
    if not counts or (symbols and len(symbols) != len(counts)):
        message = f"{len(symbols)} kinds of atoms are named and {len(counts)} numbers of atoms given"
        refuse(ErrorCode.PARSE_FAILED, f"{message}; as many are expected, on lines 6 and 7")
    if _words(_line(lines, line))[:1] and _words(lines[line])[0][0] in "sS":
        line += 1
    mode = _words(_line(lines, line))
    if not mode or not mode[0][0].isalpha():
        message = (
            f"line {line + 1} holds {_line(lines, line).strip()[:60]!r}; Direct or Cartesian is expected"
        )
        refuse(ErrorCode.PARSE_FAILED, message)
    return _Header(symbols, counts, mode[0][0] in "cCkK", line + 1)


def _line(lines: list[str], line: int) -> str:
    return lines[line] if line < len(lines) else ""


def _rows(lines: list[str], first: int, total: int) -> range:
    """The lines of the positions; there must be as many as announced, together, and no more."""
    present = 0
    while present < total and first + present < len(lines) and lines[first + present].strip():
        present += 1
    if present < total:
        rest = "; an empty line stands between them" if any(map(str.strip, lines[first + present :])) else ""
        message = f"{total} atoms are announced, {present} positions found{rest}"
        refuse(ErrorCode.PARSE_FAILED, f"{message}; the file seems cut short or its numbers of atoms wrong")
    after = _line(lines, first + total).split()
    if after and re.fullmatch(r"[-+.\deEdD]+", after[0]):
        message = f"{total} atoms are announced and more positions follow (line {first + total + 1})"
        refuse(ErrorCode.PARSE_FAILED, f"{message}; correct the numbers of atoms")
    return range(first, first + total)


def _element(word: str) -> int | None:
    """The element of a name in the header: a symbol in any case, with a charge or a potential's name."""
    plain = re.split(r"[_/]", word)[0]
    if re.fullmatch(r"[A-Za-z]{1,2}\d+\.\d+", plain):  # a pseudo-hydrogen that saturates a surface
        return None
    atom = of_type(plain)
    if atom is None and plain.upper() == "T":
        return 1
    return None if atom is None or atom.hydrogens else atom.number


def _elements(lines: list[str], rows: range, header: _Header) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return ``(n_sites,)`` atomic numbers from the header, else from words beside the positions."""
    beside = _beside(lines, rows)
    kinds = header.symbols
    flags: tuple[str, ...] = ()
    if not kinds and beside is not None:
        return np.array(beside, dtype=np.int64), ()
    if not kinds:  # version 4: by custom the first line names the kinds
        kinds = _words(lines[0])
        flags = ("species_from_comment",)
        known = [_ALONE.fullmatch(word) is not None and _element(word) is not None for word in kinds]
        if len(kinds) != len(header.counts) or not all(known):
            message = "the POSCAR does not name its elements (VASP 4 format); add a line with their symbols"
            refuse(ErrorCode.SPECIES_UNKNOWN, f"{message} before their numbers", Stage.CHECK)
    numbers: list[int] = []
    for word, count in zip(kinds, header.counts, strict=True):
        z = _element(word)
        if z is None:
            refuse(ErrorCode.SPECIES_UNKNOWN, f"species {word[:40]!r} is no chemical element", Stage.CHECK)
        numbers += [z] * count
    if beside is not None and beside != numbers:
        place = next(i for i, (a, b) in enumerate(zip(beside, numbers, strict=True)) if a != b)
        message = f"the header makes atom {place + 1} {SYMBOLS[numbers[place]]}, the word beside its position"
        refuse(
            ErrorCode.CONTENT_MISMATCH, f"{message} {SYMBOLS[beside[place]]}; correct the one or the other"
        )
    return np.array(numbers, dtype=np.int64), flags


def _beside(lines: list[str], rows: range) -> list[int] | None:
    """The elements named at the end of the positions' lines, None unless every line names one."""
    found = []
    for line in rows:
        words = [word for word in _words(lines[line])[3:] if not _FLAG.fullmatch(word)]
        match = _ALONE.fullmatch(words[-1]) if words else None
        z = _element(match[1]) if match else None
        if z is None:
            return None
        found.append(z)
    return found
