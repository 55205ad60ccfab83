"""The page's charts, drawn by matplotlib as SVG whose colours are those of the page's style sheet.

Text stays text, and every colour is a variable of the style sheet, so that a chart follows the page from
light to dark.  The same figures give the same bytes with the same matplotlib.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from goldilocks_batch.report.histogram import Histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Mark", "distribution", "pace", "percentiles"]

#: A value that is marked on an axis, the words beside it, and whether it is one of the page's own.
Mark = tuple[float, str, bool]

#: Colours that stand for variables of the style sheet until the SVG is written.
_INK, _MUTED, _LINE, _MAIN, _SECOND, _ACCENT, _FILL = (f"#00000{place}" for place in range(1, 8))
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _LINE: "--line",
    _MAIN: "--blue",
    _SECOND: "--second",
    _ACCENT: "--gold",
    _FILL: "--fill",
}
#: Round numbers, coarse ones first; those of ratios are powers of two where there is room.
_TICKS = tuple(
    tuple(float(f"{step}e{power}") for power in range(-3, 5) for step in steps)
    for steps in (
        (1, 2, 3, 5, 7),
        (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8),
        tuple(x / 10 for x in range(10, 100)),
    )
)
_DOUBLES = tuple(2.0**power for power in range(-10, 11))
_TEXT = 11.0


def distribution(
    shown: Histogram,
    name: str,
    axis: str,
    *,
    second: tuple[Histogram, str] | None = None,
    label: str = "",
    marks: Sequence[Mark] = (),
    factor: int = 24,
    size: tuple[float, float] = (420.0, 270.0),
    times: bool = False,
) -> str:
    """A histogram on a logarithmic axis, with values marked on it.

    Args:
        shown: drawn filled.
        name: of the chart, for ids in the SVG.
        axis: label of the axis.
        second: drawn as a line, with its label.
        label: of the filled one, where there are two.
        marks: each has a line, and its words above the bars in a row of its own.
        factor: bins joined to one.
        size: width and height, px.
        times: the values are ratios, written ``2×``.

    Returns:
        The SVG; empty if nothing was counted.
    """
    counts, edges = shown.coarse(factor)
    if not len(counts):
        return ""
    figure, axes = _figure(size)
    axes.stairs(counts, edges, fill=True, facecolor=_FILL, edgecolor="none")
    axes.stairs(counts, edges, color=_MAIN, lw=1.6, label=label or None)
    highest = int(counts.max())
    low, high = edges[0], edges[-1]
    if second is not None and second[0].totals[0]:
        more, others = second[0].coarse(factor)
        axes.stairs(more, others, color=_SECOND, lw=1.6, ls=(0, (4, 1.6)), label=second[1])
        highest, low, high = max(highest, int(more.max())), min(low, others[0]), max(high, others[-1])
    low, high = _span(low, high, marks, size[0])
    axes.set_xlim(low, high)
    _logarithmic(axes, size[0], times=times)
    rows = len(marks) + (second is not None)
    # each row of words takes so many px of what the axes have, some 60 px less than the figure
    room = 15.0 * rows / (size[1] - 60.0)
    axes.set_ylim(0, 1.06 * highest / (1 - room))
    _mark(axes, marks, size, first=int(second is not None))
    axes.set_xlabel(axis)
    axes.set_ylabel("structures")
    _whole_numbers(axes)
    if second is not None:
        axes.legend(frameon=False, loc="upper right", ncols=2, labelcolor=_INK, handlelength=1.6,
                    borderaxespad=0.15, columnspacing=1.2, fontsize=_TEXT)  # fmt: skip
    return _svg(figure, name)


def percentiles(
    counted: Histogram, labels: Sequence[str], name: str, axis: str, marks: Sequence[Mark] = ()
) -> str:
    """A line for each group: 5 to 95 % of its rows, the middle half, the median; empty without any rows."""
    used = [group for group, total in enumerate(counted.totals) if total]
    if not used:
        return ""
    size = (420.0, 84.0 + 27.0 * len(used) + 15.0 * len(marks))
    figure, axes = _figure(size)
    found = [counted.quantiles((0.05, 0.25, 0.5, 0.75, 0.95), group) for group in used]
    for place, (least, low, middle, high, most) in enumerate(found):
        axes.plot([least, most], [place, place], color=_MAIN, lw=1.4, solid_capstyle="butt")
        axes.plot([low, high], [place, place], color=_MAIN, lw=9, solid_capstyle="round", alpha=0.45)
        axes.plot([middle], [place], "o", color=_MAIN, ms=6.5, mec=_INK, mew=0.8)
    ends = [value for row in found for value in (row[0], row[-1])]
    axes.set_xlim(*_span(min(ends), max(ends), marks, size[0]))
    _logarithmic(axes, size[0])
    axes.set_ylim(len(used) - 0.4, -0.6 - 0.56 * len(marks))
    _mark(axes, marks, size)
    axes.set_yticks(range(len(used)), [labels[group] for group in used])
    axes.tick_params(axis="y", length=0, labelcolor=_INK)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    most = max(len(f"{counted.totals[group]:,}") for group in used)
    for place, group in enumerate(used):
        axes.annotate(
            f"{counted.totals[group]:,}",
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(8 + 7.2 * most, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=_MUTED,
        )
    axes.set_xlabel(axis)
    return _svg(figure, name)


def pace(times: Sequence[float], rates: Sequence[float], begins: Iterable[float], unit: str) -> str:
    """Rows a second over working time.

    Args:
        times: edges of the intervals, in the unit, ``(n + 1,)``.
        rates: rows a second in each, ``(n,)``.
        begins: where further attempts begin.
        unit: of the times.
    """
    if not len(rates):
        return ""
    figure, axes = _figure((420.0, 230.0))
    axes.stairs(rates, times, fill=True, facecolor=_FILL, edgecolor="none")
    axes.stairs(rates, times, color=_MAIN, lw=1.6)
    for begin in begins:
        axes.axvline(begin, color=_MUTED, lw=1.0, ls=":")
    axes.set_xlim(times[0], times[-1])
    axes.set_ylim(0, 1.12 * max(rates) or 1)
    axes.set_xlabel(f"working time, {unit}")
    axes.set_ylabel("rows a second")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    return _svg(figure, "pace")


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    """A figure of so many px with one pair of axes in the page's style."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {
        "font.size": _TEXT,
        "axes.labelsize": _TEXT,
        "xtick.labelsize": _TEXT,
        "ytick.labelsize": _TEXT,
        "axes.edgecolor": _LINE,
        "axes.labelcolor": _MUTED,
        "text.color": _INK,
        "xtick.color": _LINE,
        "ytick.color": _LINE,
        "xtick.labelcolor": _MUTED,
        "ytick.labelcolor": _MUTED,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": _LINE,
        "grid.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "ytick.major.size": 0,
    }
    with rc_context(style):
        figure = Figure(figsize=(size[0] / 72.0, size[1] / 72.0), layout="constrained")
        return figure, figure.add_subplot()


def _span(low: float, high: float, marks: Sequence[Mark], width: float) -> tuple[float, float]:
    """Ends of a logarithmic axis that holds these values, the marks, and the words to their right."""
    low = min([low, *(mark[0] for mark in marks)]) / 1.12
    length = np.log(max([high, *(mark[0] for mark in marks)]) * 1.12 / low)
    for value, words, own in marks:
        taken = (6.6 if own else 6.2) * len(words) + 12.0
        free = 1 - min(taken / (width - 70.0), 0.8)
        length = max(length, np.log(value / low) / free)
    return float(low), float(low * np.exp(length))


def _mark(axes: Axes, marks: Sequence[Mark], size: tuple[float, float], first: int = 0) -> None:
    """Lines at values, each with its words to the right in a row of its own, above the lines to the right."""
    step = 15.0 / (size[1] - 60.0)
    for row, (value, words, own) in enumerate(sorted(marks, key=lambda mark: mark[0]), first):
        height = 1 - step * (row + 0.5)
        color = _ACCENT if own else _MUTED
        axes.axvline(value, 0, height, color=color, lw=1.8 if own else 1.1, ls="-" if own else (0, (3, 2)))
        axes.annotate(
            words,
            (value, height),
            xycoords=("data", "axes fraction"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=_INK if own else _MUTED,
            fontsize=_TEXT,
            fontweight="bold" if own else "normal",
        )


def _logarithmic(axes: Axes, width: float, *, times: bool = False) -> None:
    """A logarithmic axis with plain numbers at round ticks that leave each other room."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    kept: list[float] = []
    for ticks in (_DOUBLES, *_TICKS) if times else _TICKS:
        kept = []
        for tick in ticks:
            room = np.log(tick / kept[-1]) / np.log(high / low) * width if kept else width
            if low <= tick <= high and room > 38.0:
                kept.append(tick)
        if len(kept) >= 3:
            break
    axes.set_xticks(kept, [_ratio(tick) if times else f"{tick:,.10g}" for tick in kept])
    axes.set_xticks([], minor=True)


def _ratio(value: float) -> str:
    return f"{value:g}×" if value >= 1 or (1 / value) % 1 else f"1/{1 / value:g}"


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element that fills the width it is given."""
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            text,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>\s*", "", svg, flags=re.DOTALL)  # it would be that of the whole page
    svg = re.sub(r"font-family: [^;\"]*(; )?", "", svg)
    svg = re.sub(r'<svg ([^>]*?)(?: width="[^"]*")? height="[^"]*"([^>]*)>', r"<svg \1\2>", svg, count=1)
    svg = re.sub(r' width="[\d.]+pt"', "", svg, count=1)
    # charts share one page, and ids must not meet
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg).replace("url(#", f"url(#{name}-")
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip()
