"""Standard output: lines and tables that lose nothing, whatever the width."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich.console import Console

__all__ = ["console", "duration", "ignored_files", "print_table", "rounded"]

#: Columns of a pipe, which has none: no row of a table is ever broken there.
_ENDLESS = 100_000
_GAP = "  "
#: Columns that a text takes at least which may be broken anywhere.
_SHORTEST = 12
#: Endings of ignored files that are named.
_ENDINGS = 12


class _Lines(Console):
    """A console whose lines of text keep their length: paths and commands in them are there to be copied."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As a console does."""
        if all(isinstance(text, str) for text in objects):
            options = {"soft_wrap": True, **options}
        super().print(*objects, **options)


def ignored_files(counts: Mapping[str, int]) -> str:
    """A line on files of the inputs that were not read, by ending; nothing if there are none."""
    if not counts:
        return ""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{ending} {count:,}" for ending, count in ordered[:_ENDINGS])
    more = ", …" if len(ordered) > _ENDINGS else ""
    return f"other files in the inputs, which are not read: {sum(counts.values()):,} ({listed}{more})"


def console() -> Console:
    """Standard output; plain when piped, a line for each row of a table then."""
    if sys.stdout.isatty():
        return _Lines(highlight=False, markup=False, emoji=False)
    return _Lines(highlight=False, markup=False, emoji=False, width=_ENDLESS, no_color=True)


def print_table(
    out: Console,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    header: bool = True,
    indent: int = 0,
    right: Sequence[str] = (),
    broken: Sequence[str] = (),
) -> None:
    """Print a table; where it is too wide, its texts are wrapped, and at last its rows are printed as lists.

    Args:
        out: from :func:`console`.
        headings: of the columns.
        rows: their texts.
        title: printed above.
        header: print the headings.
        indent: columns left free on the left.
        right: headings of the columns that hold numbers.
        broken: headings of columns whose texts may be broken anywhere, such as paths; others are broken
            between words.
    """
    found = [list(row) for row in rows]
    if title:
        out.print(title, style="italic" if out.is_terminal else None)
    room, may_break = out.width - indent, [heading in broken for heading in headings]
    shown = list(headings)
    lines = [shown, *found] if header else found
    if out.is_terminal and not _fit(lines, room):  # headings are broken between the words of a name
        shown[:] = [heading.replace("_", " ") for heading in headings]
    widths = _widths(lines, room, may_break)
    if widths is None:
        _print_lists(out, headings if header else [""] * len(headings), found)
        return
    for number, line in enumerate(lines):
        style = "bold" if line is shown and number == 0 else None
        cells = [
            textwrap.wrap(text, width, break_long_words=heading in broken, break_on_hyphens=False)
            for heading, width, text in zip(headings, widths, line, strict=True)
        ]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = [
                part.rjust(width) if heading in right else part.ljust(width)
                for heading, width, part in zip(headings, widths, parts, strict=True)
            ]
            out.print((" " * indent + _GAP.join(padded)).rstrip(), style=style if out.is_terminal else None)


def _fit(lines: Sequence[Sequence[str]], room: int) -> bool:
    """Whether no text need be wrapped."""
    widest = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return sum(widest) + len(_GAP) * (len(widest) - 1) <= room


def _widths(lines: Sequence[Sequence[str]], room: int, broken: Sequence[bool]) -> list[int] | None:
    """Widths of the columns: those of the texts, or less where texts can be wrapped; None without room."""
    if not lines:
        return []
    columns = list(zip(*lines, strict=True))
    wanted = [max(1, *map(len, column)) for column in columns]
    least = [
        min(wide, _SHORTEST) if may_break else max(map(len, " ".join((*column, "-")).split()))
        for column, wide, may_break in zip(columns, wanted, broken, strict=True)
    ]
    room -= len(_GAP) * (len(columns) - 1)
    if sum(wanted) <= room:
        return wanted
    left = room - sum(least)
    if left < 0:
        return None
    lacking = sum(wanted) - sum(least)
    return [few + left * (wide - few) // lacking for few, wide in zip(least, wanted, strict=True)]


def _print_lists(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    wide = max(map(len, headings))
    for row in rows:
        for heading, text in zip(headings, row, strict=True):
            if text:
                out.print(f"{heading:<{wide}}  {text}" if wide else text)
        out.print()


def duration(seconds: float) -> str:
    """``H:MM:SS``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def rounded(rate: float) -> str:
    """Two significant digits: ``0.024``, ``1.3``, ``350``, ``12,000``."""
    if not rate:
        return "0"
    value = float(f"{rate:.1e}")
    return f"{value:,.{max(1 - math.floor(math.log10(abs(value))), 0)}f}"
