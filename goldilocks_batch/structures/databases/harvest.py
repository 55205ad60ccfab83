"""All pages of a query, of one provider after the other or of several at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from goldilocks_batch.structures.databases.asking import Asker, Patience, Refused
from goldilocks_batch.structures.databases.pages import Page, first_page, page_of
from goldilocks_batch.structures.databases.providers import Provider, found
from goldilocks_batch.structures.databases.query import Query
from goldilocks_batch.structures.databases.store import Store
from goldilocks_batch.structures.databases.trouble import Trouble, plain

__all__ = ["Harvest", "Silent", "Watch", "harvest"]


class Watch(Protocol):
    """Told of progress; the command line draws it."""

    def found(self, provider: str, rows: int, total: int | None) -> None:
        """So many entries of a provider are there, of so many that will be, where that is known."""

    def waits(self, provider: str, seconds: float, why: str) -> None:
        """A provider has not answered, and is asked again after a while."""

    def ended(self, provider: str) -> None:
        """Nothing more is asked of a provider."""


class Silent:
    """Tells nobody."""

    def found(self, provider: str, rows: int, total: int | None) -> None:
        """Say nothing."""

    def waits(self, provider: str, seconds: float, why: str) -> None:
        """Say nothing."""

    def ended(self, provider: str) -> None:
        """Say nothing."""


@dataclass(slots=True)
class Harvest:
    """What a provider gave.

    Attributes:
        provider: who was asked.
        store: the pages; None if the provider was not found.
        rows: different entries, no more than the limit.
        returned: entries that the query has, by what the provider says.
        duplicates: entries that came twice, and are kept once.
        limited: there are more entries, beyond the limit.
        problem: why not all entries are there, or may not be; empty if all are.
        about: what the provider says of itself: ``license``, ``api_version``.
        seen: a hash of each entry, by id.
    """

    provider: Provider
    store: Store | None = None
    rows: int = 0
    returned: int | None = None
    duplicates: int = 0
    limited: bool = False
    problem: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict, repr=False)

    def take(self, page: Page) -> int:
        """Count a page's entries; return how many of them are new.

        What has changed between pages is noted as a problem; what is there is kept.
        """
        new = 0
        self.duplicates += page.received - len(page.entries)
        for name, properties in page.entries.items():
            content = hash(repr(properties))
            if name not in self.seen:
                self.seen[name] = content
                new += 1
                continue
            self.duplicates += 1
            if self.seen[name] != content:
                self.problem = f"changed while it was read: entry {plain(name, 60)!r} is another now"
        if page.returned is not None:
            if self.returned not in (None, page.returned):
                self.problem = (
                    f"changed while it was read: it had {self.returned:,} entries, then {page.returned:,}; "
                    "some may be missing"
                )
            self.returned = page.returned
        return new


def harvest(
    providers: Sequence[Provider], query: Query, folder: Path, patience: Patience, watch: Watch
) -> list[Harvest]:
    """Ask providers side by side for all entries of a query that are not on disk yet.

    Args:
        providers: who is asked.
        query: for what.
        folder: for pages.
        patience: with each question.
        watch: told of progress.

    Returns:
        For each provider what it gave, and what was wrong with it; one that is down is no exception.

    Raises:
        ConfigError: what databases are asked with is not installed.
        RunError: WRITE_FAILED.
    """

    async def all_of_them() -> list[Harvest]:
        async with Asker(patience) as asker:
            tasks = (_one(provider, query, folder, asker, watch) for provider in providers)
            return await asyncio.gather(*tasks)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(all_of_them())
    with ThreadPoolExecutor(1) as pool:  # in a notebook, whose loop is busy with this very call
        return pool.submit(lambda: asyncio.run(all_of_them())).result()


async def _one(provider: Provider, query: Query, folder: Path, asker: Asker, watch: Watch) -> Harvest:
    result = Harvest(provider)
    try:
        provider = result.provider = await found(provider, asker.json)
        result.store = Store(folder, provider, query.filter)
        await _pages(result, result.store, query, asker, watch)
    except Trouble as trouble:
        result.problem = str(trouble)
    result.rows = min(len(result.seen), query.limit)
    watch.ended(provider.name)
    return result


async def _pages(result: Harvest, store: Store, query: Query, asker: Asker, watch: Watch) -> None:
    """Ask for the pages that are not there."""
    provider = result.provider
    pages = store.begin()
    end = store.end
    if end is not None and end.get("problem"):  # it had changed: what is there does not go together
        store.discard()
        pages, end = [], None
    for page in pages:
        result.take(page)
    result.about = store.about or {}
    if not result.about:
        result.about = await _described(provider, asker)
        store.describe(result.about)
    received = sum(page.received for page in pages)
    asked = {page.url for page in pages}
    url = pages[-1].following if pages else first_page(provider, query.filter, query.limit)

    def tell() -> None:
        total = result.returned if result.returned is None else min(result.returned, query.limit)
        watch.found(provider.name, min(len(result.seen), query.limit), total)

    def waits(seconds: float, why: str) -> None:
        watch.waits(provider.name, seconds, why)

    tell()
    while url is not None and len(result.seen) < query.limit:
        if url in asked:
            raise Trouble("links from page to page in a circle, without an end")
        asked.add(url)
        try:
            page = page_of(url, await asker.json(url, waits))
        except Refused as refused:
            if asked != {url} or refused.status not in (400, 403, 413, 422):
                raise
            url = first_page(provider, query.filter, query.limit, sized=False)
            page = page_of(url, await asker.json(url, waits))
            asked.add(url)
        if not result.take(page) and page.following is not None:
            raise Trouble(f"repeats itself: a page after {len(result.seen):,} entries holds nothing new")
        store.add(page)
        received += page.received
        url = page.following
        tell()
        if url is not None:
            await asyncio.sleep(page.delay)
    beyond = len(result.seen) > query.limit
    result.limited = beyond or (url is not None and len(result.seen) >= query.limit)
    if url is None and not result.problem and result.returned is not None and received < result.returned:
        result.problem = f"ended after {received:,} of {result.returned:,} entries"
    if url is None or result.problem:
        store.finish(problem=result.problem)


async def _described(provider: Provider, asker: Asker) -> dict[str, Any]:
    """Licence and version of the interface, where the provider tells them."""
    about: dict[str, Any] = {"license": None, "api_version": None}
    with contextlib.suppress(Trouble):
        told = (await asker.json(f"{provider.url}/v1/info")).get("data")
        attributes = told.get("attributes") if isinstance(told, dict) else None
        if isinstance(attributes, dict):
            about["license"] = _license(attributes)
            version = attributes.get("api_version")
            about["api_version"] = plain(version, 40) if isinstance(version, str) else None
    return about


def _license(attributes: dict[str, Any]) -> str | None:
    """The licence of the entries: OPTIMADE 1.2 gives SPDX names, or the address of a text."""
    listed = attributes.get("available_licenses_for_entries") or attributes.get("available_licenses")
    if isinstance(listed, list) and listed:
        return plain(", ".join(map(str, listed)))
    given = attributes.get("license")
    if isinstance(given, dict):
        given = given.get("href")
    return plain(given) if isinstance(given, str) and given else None
