"""Dask's dashboard: only where it was asked for, and can be had."""

from __future__ import annotations

import contextlib
import logging
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from goldilocks_batch.execution.dask.local import LocalPool
from goldilocks_batch.execution.dask.pool import dashboard_options


@contextlib.contextmanager
def pool(dashboard: str | None) -> Iterator[LocalPool]:
    made = LocalPool(1, dashboard)
    try:
        yield made
    finally:
        made.close()


def answer(made: LocalPool) -> int:
    server = made.target.scheduler.http_server
    try:
        with urllib.request.urlopen(f"http://{server.address}:{server.port}/status") as page:
            return int(page.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_there_is_none_unless_asked_for() -> None:
    with pool(None) as made:
        assert made.dashboard is None
        assert answer(made) == 404


def test_one_that_is_asked_for_answers_on_this_machine() -> None:
    pytest.importorskip("bokeh")
    with pool("127.0.0.1:0") as made:
        assert made.dashboard is not None
        assert made.dashboard.startswith("http://127.0.0.1:")
        assert answer(made) == 200


def test_without_bokeh_there_is_none_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "bokeh", raising=False)
    monkeypatch.setattr(sys, "path", [])
    with caplog.at_level(logging.WARNING):
        assert dashboard_options("127.0.0.1:8787") == {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    assert "goldilocks-batch[dashboard]" in caplog.text
    caplog.clear()
    dashboard_options(None)
    assert not caplog.records
