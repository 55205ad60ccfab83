"""Standard output: lines and tables that lose nothing, whatever the width."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["console", "drawn", "duration", "print_table", "rounded"]

#: Columns of a pipe, which has none: no row of a table is ever broken there.
_ENDLESS = 100_000


class _Lines(Console):
    """A console whose lines of text keep their length: paths and commands in them are there to be copied."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As a console does."""
        if all(isinstance(text, str) for text in objects):
            options = {"soft_wrap": True, "markup": False, **options}
        super().print(*objects, **options)


def console() -> Console:
    """Standard output; plain when piped, a line for each row of a table then."""
    if sys.stdout.isatty():
        return _Lines(highlight=False)
    return _Lines(highlight=False, width=_ENDLESS, no_color=True)


def print_table(
    out: Console,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    right: Sequence[str] = (),
) -> None:
    """Print a table; where it is too wide, its texts are folded, and at last its rows are printed as lists.

    Args:
        out: from :func:`console`.
        headings: of the columns, all empty for none.
        rows: their texts.
        title: printed above.
        right: headings of the columns that hold numbers.
    """
    found = [list(row) for row in rows]
    if title:
        out.print(title, style="italic" if out.is_terminal else None)
    if not out.is_terminal:
        _print_plain(out, headings, found, right)
        return
    table = drawn(headings, found, right=right)
    if Measurement.get(out, out.options.update(max_width=_ENDLESS), table).minimum <= out.width:
        out.print(table)
        return
    wide = max(map(len, headings))
    for row in found:
        for heading, text in zip(headings, row, strict=True):
            if text:
                out.print(f"{heading:<{wide}}  {text}" if wide else text)
        out.print()


def drawn(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """The table that :func:`print_table` prints on a terminal."""
    table = Table(box=None, show_header=any(headings), pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _print_plain(
    out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]
) -> None:
    """A line for each row, however long, and no space at its end."""
    lines = [list(headings), *rows] if any(headings) else list(rows)
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = []
        for heading, width, text in zip(headings, widths, line, strict=True):
            pad = " " * (width - cell_len(text))
            cells.append(pad + text if heading in right else text + pad)
        out.print("  ".join(cells).rstrip())


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
