"""What is asked of databases: a filter in OPTIMADE's language, put together from what people know."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from urllib.parse import unquote

from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.text import nearest
from goldilocks_batch.structures.species import NUMBERS

__all__ = ["LIMIT", "SCHEME", "Query", "combined", "is_database", "parsed", "shown"]

LIMIT = 100_000
"""Entries that are taken of a provider if nobody says how many; the largest databases have millions."""
SCHEME = "optimade:"
"""What an input begins with that is to be fetched: ``optimade:mc3d?filter=nelements=2``."""

_OPTIONS = ("filter", "elements", "formula", "nsites_max", "n")
_SYMBOLS = set(NUMBERS) - {"D", "T"}
_COUNTED = re.compile(r"([A-Z][a-z]?)(\d*)")


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked.

    Attributes:
        filter: in OPTIMADE's filter language; empty for all structures.
        limit: entries of a provider at most.
    """

    filter: str = ""
    limit: int = LIMIT


def combined(
    text: str | None = None,
    elements: Sequence[str] = (),
    formula: str | None = None,
    nsites_max: int | None = None,
) -> str:
    """Return one filter that asks for all of several things.

    Args:
        text: a filter of the asker's own.
        elements: that must all be in the structure, others may be too.
        formula: in any notation without parentheses; structures of the same reduced formula are meant.
        nsites_max: sites in the cell at most.

    Raises:
        ConfigError: CONFIG_INVALID, the filter is none, or a symbol is no element's.
    """
    parts = []
    if text and text.strip():
        _check(text)
        parts.append(text.strip())
    if elements:
        unknown = [name for name in elements if name not in _SYMBOLS]
        if unknown:
            hint = nearest(unknown[0], _SYMBOLS)
            raise ConfigError(ErrorCode.CONFIG_INVALID, f"'{unknown[0]}' is no element's symbol: {hint}")
        parts.append("elements HAS ALL " + ",".join(f'"{name}"' for name in dict.fromkeys(elements)))
    if formula:
        parts.append(f'chemical_formula_reduced="{_reduced(formula)}"')
    if nsites_max is not None:
        parts.append(f"nsites<={nsites_max}")
    return parts[0] if len(parts) == 1 else " AND ".join(f"({part})" for part in parts)


def _check(text: str) -> None:
    """Parse a filter as OPTIMADE's own tools do, before anybody is asked; without them providers judge it."""
    try:
        from optimade.exceptions import BadRequest
        from optimade.filterparser import LarkParser
    except ImportError:
        return
    try:
        LarkParser().parse(text)
    except BadRequest as error:
        said = " ".join(str(error.detail or error).split())[:300]
        message = f"the filter {text!r} is not in OPTIMADE's language: {said}"
        raise ConfigError(ErrorCode.CONFIG_INVALID, message) from error


def _reduced(formula: str) -> str:
    """The formula as OPTIMADE writes it: elements in alphabetical order, counts without a common divisor."""
    counts: dict[str, int] = {}
    plain = formula.replace(" ", "")
    if not re.fullmatch(r"([A-Z][a-z]?\d*)+", plain):
        message = f"the formula '{formula}' is not understood: elements and whole counts are, such as Al2O3"
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    for name, count in _COUNTED.findall(plain):
        if name not in _SYMBOLS or not int(count or 1):
            message = f"'{name}{count}' in the formula '{formula}' is no element with its count"
            raise ConfigError(ErrorCode.CONFIG_INVALID, message)
        counts[name] = counts.get(name, 0) + int(count or 1)
    divisor = gcd(*counts.values())
    parts = ((name, count // divisor) for name, count in sorted(counts.items()))
    return "".join(name + (str(count) if count > 1 else "") for name, count in parts)


def is_database(path: Path) -> bool:
    """Whether an input is one to be fetched, and no file."""
    return str(path).startswith(SCHEME)


def shown(path: object) -> str:
    """Return an input as it was written: a path has single slashes only."""
    return re.sub(rf"^({SCHEME}(?:[\w.-]+=)?https?):/+", r"\1://", str(path))


def parsed(text: str) -> tuple[str, Query]:
    """Return the provider and the query of an input such as ``optimade:mc3d?elements=Si,O&nsites_max=40``.

    Options are those of ``goldilocks-batch fetch``; ``%xx`` stands for a character as in addresses.

    Raises:
        ConfigError: CONFIG_INVALID, it is none such.
    """
    text = shown(text)
    provider, _, options = text.removeprefix(SCHEME).partition("?")
    given: dict[str, str] = {}
    for option in filter(None, options.split("&")):
        name, _, value = option.partition("=")
        name = name.replace("-", "_")
        if name not in _OPTIONS:
            hint = nearest(name, list(_OPTIONS))
            raise ConfigError(ErrorCode.CONFIG_INVALID, f"{text}: no option '{name}' of a database: {hint}")
        given[name] = unquote(value)
    numbers: dict[str, int | None] = {}
    for name in ("nsites_max", "n"):
        value = given.get(name, "")
        if value and (not value.isdecimal() or len(value) > 9 or int(value) < 1):
            raise ConfigError(ErrorCode.CONFIG_INVALID, f"{text}: {name} is '{value}', no positive number")
        numbers[name] = int(value) if value else None
    elements = [name for name in re.split(r"[,\s]+", given.get("elements", "")) if name]
    asked = combined(given.get("filter"), elements, given.get("formula"), numbers["nsites_max"])
    return provider, Query(asked, numbers["n"] or LIMIT)
