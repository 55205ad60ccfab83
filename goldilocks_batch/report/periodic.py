"""Periodic tables: what each cell shows and its colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.report.elements import PLACES
from goldilocks_batch.structures.crystal import SYMBOLS

__all__ = ["Cell", "Periodic", "periodic"]


@dataclass(frozen=True, slots=True)
class Cell:
    """An element.

    Attributes:
        symbol: its symbol.
        row: in the table, counted from 1.
        column: likewise.
        text: the value as it is written in the cell; empty where there is none.
        tip: the value in words.
        color: of the cell; empty where there is no value.
        light: whether text on it is light.
    """

    symbol: str
    row: int
    column: int
    text: str
    tip: str
    color: str
    light: bool


@dataclass(frozen=True, slots=True)
class Periodic:
    """A periodic table.

    Attributes:
        cells: all elements.
        colors: of its scale, from the least to the most.
        least: the scale's lower end as text.
        most: its upper end.
    """

    cells: tuple[Cell, ...]
    colors: tuple[str, ...]
    least: str
    most: str


def periodic(
    values: NDArray[np.floating],
    text: Callable[[float], str],
    tips: Sequence[str],
    *,
    logarithmic: bool,
) -> Periodic | None:
    """A table of values by atomic number.

    The scale is *cividis* of Nuñez, Anderton and Renslow (2018), made for all kinds of colour vision.

    Args:
        values: ``(119,)``; NaN for nothing.
        text: writes one.
        tips: what is told of each element, ``(119,)``.
        logarithmic: whether the colours are.

    Returns:
        The table; None without any value.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    known = np.isfinite(values)
    if not known.any():
        return None
    scaled = np.log(values, where=known, out=np.full(len(values), np.nan)) if logarithmic else values
    # a few elements far from the others would leave these one colour
    low, high = (float(end) for end in np.quantile(scaled[known], (0.05, 0.95)))
    scale = colormaps["cividis"]
    cells = []
    for symbol, row, column in PLACES:
        number = SYMBOLS.index(symbol)
        if not known[number]:
            cells.append(Cell(symbol, row, column, "", f"{symbol}: none", "", False))
            continue
        place = min(max((float(scaled[number]) - low) / (high - low), 0.0), 1.0) if high > low else 0.5
        color = scale(place)[:3]
        written = text(float(values[number]))
        cells.append(Cell(symbol, row, column, written, tips[number], to_hex(color), _is_dark(color)))
    colors = tuple(to_hex(scale(place)) for place in np.linspace(0, 1, 9))
    least, most = (text(float(np.exp(end) if logarithmic else end)) for end in (low, high))
    beyond = scaled[known].min() < low, scaled[known].max() > high
    return Periodic(
        tuple(cells), colors, f"≤ {least}" if beyond[0] else least, f"≥ {most}" if beyond[1] else most
    )


def _is_dark(color: Sequence[float]) -> bool:
    """Whether white has more contrast with a colour than black, by the relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.179
