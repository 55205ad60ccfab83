"""Headless Chromium; where there is none, tests are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goldilocks_batch import write_report
from tests.report_runs import folder_of, rows


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    # where the suite was asked for by name, a test that cannot run has failed
    give_up = pytest.fail if os.environ.get("GOLDILOCKS_NEED_BROWSER") else pytest.skip
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        give_up("no Chromium here: make test-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        give_up("playwright, which drives the browser, is not installed: make test-browser")
    with sync_playwright() as driver:
        # root, as in containers, has no sandbox; the pages are our own
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages about runs of every kind."""
    folder = tmp_path_factory.mktemp("pages")
    table = rows(3000, seed=1)
    place = table.schema.get_field_index("constant_kdist")
    small = [
        None if n is None else 0.119 if n <= 4 else 0.1769 for n in table["n_sites_primitive"].to_pylist()
    ]
    two = table.set_column(place, table.schema.field(place), [small])
    made = {
        "two": folder_of(folder / "two", two, resolved={"small_constant": [4, 0.119]}),
        "many": folder_of(folder / "many", rows(3000), parts=30),
        "hostile": folder_of(folder / "hostile", rows(300, failed=0.3, hostile=True)),
        "one": folder_of(folder / "one", rows(1, failed=0.0)),
        "failed": folder_of(folder / "failed", rows(40, failed=1.0)),
        "empty": folder_of(folder / "empty", rows(0), expected=10),
        "unfinished": folder_of(folder / "unfinished", rows(50), expected=90),
    }
    return {name: write_report(run).path for name, run in made.items()}
