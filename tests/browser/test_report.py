"""The page about a run in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

KINDS = ["many", "two", "hostile", "one", "failed", "empty", "unfinished"]

#: What the tests below ask of a page.
_ASKED = (Path(__file__).with_name("asked.js")).read_text(encoding="utf-8")


class Seen:
    """A page that is open, and what it did."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))


Opens = Callable[..., Seen]


@pytest.fixture
def opened(chromium: Any, pages: dict[str, Path]) -> Iterator[Opens]:
    contexts = []

    def open_page(kind: str, width: int = 1200, scheme: str = "light") -> Seen:
        contexts.append(chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme))
        contexts[-1].add_init_script(_ASKED)
        seen = Seen(contexts[-1].new_page())
        seen.page.goto(pages[kind].as_uri())
        return seen

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_console_is_silent_and_nothing_is_asked_for(opened: Opens, kind: str) -> None:
    seen = opened(kind)
    for button in seen.page.locator("th button, .switch button").all():
        button.evaluate("button => button.click()")
    seen.page.wait_for_timeout(200)
    assert seen.said == []
    assert [url for url in seen.asked if url != seen.page.url and not url.startswith("data:")] == []
    assert seen.page.evaluate("window.stolen") is None


def test_the_policy_of_the_page_would_stop_what_got_in(opened: Opens) -> None:
    seen = opened("many")
    seen.page.evaluate("intrude()")
    seen.page.wait_for_timeout(200)
    assert seen.page.evaluate("window.stolen") is None
    assert len([line for line in seen.said if "Content Security Policy" in line]) == 2


def test_tables_sort_up_and_down(opened: Opens) -> None:
    page = opened("many").page
    table = page.locator("#densest table")
    heads = table.locator("thead th")
    for place in range(heads.count()):
        button = heads.nth(place).locator("button")
        if not button.count():
            continue
        numeric = "num" in (heads.nth(place).get_attribute("class") or "")
        for direction in ("descending", "ascending") if numeric else ("ascending", "descending"):
            button.click()
            assert heads.nth(place).get_attribute("aria-sort") == direction
            assert table.locator("[aria-sort]").count() == 1
            cells = table.locator(f"tbody tr td:nth-child({place + 1})")
            if numeric:
                values = [float(v) for v in cells.evaluate_all("cells => cells.map(c => c.dataset.v)") if v]
                assert values == sorted(values, reverse=direction == "descending")
            else:
                key = "(a, b) => a.localeCompare(b, 'en', {numeric: true})"
                texts = cells.all_inner_texts()
                ordered = page.evaluate(f"texts => texts.toSorted({key})", texts)
                assert texts == (ordered if direction == "ascending" else ordered[::-1]) or len(
                    set(texts)
                ) < len(texts)
    assert table.locator("tbody tr").count() == 20


@pytest.mark.parametrize("width", [360, 768, 1200])
@pytest.mark.parametrize("kind", KINDS)
def test_pages_fit_their_width_and_charts_can_be_read(opened: Opens, kind: str, width: int) -> None:
    page = opened(kind, width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("overlaps()") == []
    assert page.evaluate("beyond()") == []
    sizes = page.evaluate("charts().map(svg => svg.getBoundingClientRect()).map(b => [b.width, b.height])")
    assert len(sizes) == (0 if kind in ("failed", "empty") else 6 + (kind == "many"))
    assert all(wide >= 250 and high >= 60 for wide, high in sizes)
    smallest = page.evaluate(
        "Math.min(99, ...charts().map(s => 11 * s.getBoundingClientRect().width / s.viewBox.baseVal.width))"
    )
    assert smallest >= 8
    assert page.locator(".el").count() in (0, 118, 236, 354)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["many", "failed", "unfinished"])
def test_text_stands_out_in_light_and_dark(opened: Opens, kind: str, scheme: str) -> None:
    page = opened(kind, scheme=scheme).page
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == scheme
    contrast, where = page.evaluate("least_contrast()")
    assert contrast >= 4.5, where


def test_colours_follow_the_system_or_the_switch(opened: Opens) -> None:
    page = opened("many", scheme="dark").page
    paper = "getComputedStyle(document.body).backgroundColor"
    words = "getComputedStyle(document.querySelector('.chart svg text')).fill"
    dark, dark_words = page.evaluate(paper), page.evaluate(words)
    page.get_by_role("button", name="Light").click()
    light, light_words = page.evaluate(paper), page.evaluate(words)
    assert light != dark
    assert light_words != dark_words
    page.reload()
    assert page.evaluate(paper) == light
    page.get_by_role("button", name="Auto").click()
    assert page.evaluate(paper) == dark
    page.emulate_media(color_scheme="light")
    assert page.evaluate(paper) == light
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(paper) == dark


def test_on_paper_it_is_light_unfolded_and_whole(opened: Opens) -> None:
    page = opened("many", scheme="dark").page
    assert page.locator("details:not([open])").count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not page.locator("details:not([open])").count()
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    page.set_viewport_size({"width": 700, "height": 900})  # A4 without its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count()
    assert page.pdf(format="A4").startswith(b"%PDF")
