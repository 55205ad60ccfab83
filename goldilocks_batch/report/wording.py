"""Numbers, symbols and comparisons as the page writes them."""

from __future__ import annotations

import math
import re

__all__ = ["distance", "number", "percent", "saved", "short", "space_group", "subscripts"]

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits and commas between thousands; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def distance(value: float | None) -> str:
    """A k-distance, 1/Å, to the third decimal; a dash for none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def percent(share: float) -> str:
    """A share in per cent, with a digit behind the point where it is small."""
    if not math.isfinite(share):
        return "–"
    value = 100 * share
    if 0 < value < 0.1:
        return "<\N{NO-BREAK SPACE}0.1\N{NO-BREAK SPACE}%"
    return f"{value:.{int(0 < value < 10)}f}\N{NO-BREAK SPACE}%"


def short(value: float) -> str:
    """A count in at most four characters."""
    if value < 1000:
        return f"{value:.0f}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if value < 999.5 * size:
            scaled = value / size
            return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"
    return "≥1T"


def saved(ours: int, others: int) -> str:
    """What is saved against other meshes, in words; empty where nothing is, or it is not known."""
    if not others or not ours or ours == others:
        return ""
    share = 100.0 * (ours - others) / others
    if abs(share) < 1:
        return f"{abs(share):.1f}\N{NO-BREAK SPACE}% {'fewer' if share <= 0 else 'more'}"
    return f"{abs(share):.0f}\N{NO-BREAK SPACE}% {'fewer' if share <= 0 else 'more'}"


def space_group(symbol: str) -> str:
    """A Hermann-Mauguin symbol as it is printed: ``P6_3/mmc`` with a subscript, ``R-3m`` with a bar."""
    symbol = re.sub(r"_(\d)", lambda found: subscripts(found[1]), symbol)
    return re.sub(r"-(\d)", "\\1\N{COMBINING OVERLINE}", symbol)


def subscripts(formula: str) -> str:
    """A formula as it is printed: ``Al2O3`` with its counts below the line."""
    return formula.translate(_SUBSCRIPTS)
