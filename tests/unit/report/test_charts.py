"""Charts as SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from goldilocks_batch.report.charts import distribution, pace, percentiles
from goldilocks_batch.report.histogram import Histogram

MARKS = [(0.1, "0.10 AiiDA stringent", False), (0.177, "0.177 constant as safe", True), (9.0, "far", False)]


def counted(count: int, groups: int = 1) -> Histogram:
    random = np.random.default_rng(0)
    histogram = Histogram(1e-3, 10.0, 4096, groups)
    histogram.add(np.exp(random.normal(-1.3, 0.5, count)), random.integers(0, groups, count))
    return histogram


def charts(count: int) -> dict[str, str]:
    edges = np.linspace(0, 9, 11).tolist()
    return {
        "one": distribution(
            counted(count), "one", "x", marks=MARKS, second=(counted(count), "more"), label="a"
        ),
        "ratio": distribution(counted(count), "ratio", "x", times=True, size=(940.0, 270.0)),
        "groups": percentiles(counted(count, 4), ["a", "b", "c", "d"], "groups", "x", MARKS[1:2]),
        "pace": pace(edges, list(range(10)), [3.0], "h"),
    }


@pytest.mark.parametrize("count", [1, 2, 30, 5000])
def test_charts_are_sound_and_take_their_colours_from_the_page(count: int) -> None:
    drawn = charts(count)
    ids: list[str] = []
    for name, svg in drawn.items():
        root = ElementTree.fromstring(svg)  # noqa: S314 - ours
        assert root.tag.endswith("}svg")
        assert root.get("viewBox")
        assert root.get("width") is root.get("height") is None
        assert not re.findall(r"#[0-9a-f]{6}\b", svg)
        assert "<style" not in svg
        assert "font-family" not in svg
        assert not re.findall(r"(?:href|src)=\"(?!#)", svg)
        used = re.findall(r"(?:href=\"#|url\(#)([^\")]+)", svg)
        found = re.findall(r"\bid=\"([^\"]+)\"", svg)
        assert set(used) <= set(found)
        assert all(each.startswith(name) for each in found)
        ids += found
    assert len(ids) == len(set(ids))


def test_the_same_figures_give_the_same_bytes() -> None:
    assert charts(100) == charts(100)


def test_words_stay_words() -> None:
    texts = " ".join(ElementTree.fromstring(charts(100)["one"]).itertext())  # noqa: S314 - ours
    assert all(words in texts for _, words, _ in MARKS)
    assert "structures" in texts


@pytest.mark.parametrize("count", [1, 3, 200])
def test_every_axis_has_ticks_enough_to_read_a_value(count: int) -> None:
    for name in ("one", "ratio", "groups"):
        root = ElementTree.fromstring(charts(count)[name])  # noqa: S314 - ours
        ticks = [g for g in root.iter() if re.search(r"-xtick_\d+$", g.get("id", ""))]
        assert len(ticks) >= 2, name


def test_nothing_counted_is_no_chart() -> None:
    nothing = Histogram(1e-3, 10.0, 4096)
    assert distribution(nothing, "a", "x") == percentiles(nothing, ["a"], "b", "x") == ""
    assert pace([], [], [], "s") == ""
