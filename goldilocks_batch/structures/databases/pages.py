"""A provider's answer, page by page: what is in a page, and where the next one is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from goldilocks_batch.structures.databases.asking import followed
from goldilocks_batch.structures.databases.providers import Provider
from goldilocks_batch.structures.databases.trouble import Trouble, plain

__all__ = ["FIELDS", "Page", "address", "first_page", "page_of"]

FIELDS = (
    "lattice_vectors",
    "cartesian_site_positions",
    "species_at_sites",
    "species",
    "dimension_types",
    "structure_features",
    "last_modified",
)
"""Properties of an entry that are asked for; all are of the OPTIMADE specification 1.2."""
_LONGEST_DELAY = 60.0
"""s between two pages at most, whatever a provider asks for."""
_ENTRIES = 200
"""Entries of a page that are asked for; providers may give fewer."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        url: of the question.
        entries: the properties of entries, by id; each once.
        received: how many entries there were, with those that occur twice.
        following: where the next page is, None after the last one.
        returned: entries that the query has, by what the provider says; None if it does not say.
        delay: s that the provider asks to wait before the next question.
    """

    url: str
    entries: dict[str, dict[str, Any]]
    received: int
    following: str | None
    returned: int | None
    delay: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For the disk."""
        return {name: getattr(self, name) for name in self.__slots__}


def first_page(provider: Provider, filter_text: str, limit: int, *, sized: bool = True) -> str:
    """Return the address of a query's first page.

    Args:
        provider: of the entries.
        filter_text: of the query; empty for all.
        limit: entries that are wanted.
        sized: ask for pages of a certain size; not all providers take that.
    """
    asked = {"filter": filter_text} if filter_text else {}
    asked["response_fields"] = ",".join(FIELDS)
    if sized:
        asked["page_limit"] = str(min(_ENTRIES, limit))
    return f"{provider.url}/v1/structures?{urlencode(asked, quote_via=quote)}"


def address(provider_url: str, entry: str) -> str:
    """Return where an entry is found again."""
    return f"{provider_url}/v1/structures/{quote(entry, safe='')}"


def page_of(url: str, answer: dict[str, Any]) -> Page:
    """Read a page.

    Only what is needed is looked at: OPTIMADE's own models refuse an answer for any slip in the rest of it.

    Args:
        url: of the question.
        answer: as JSON.

    Raises:
        Trouble: it is no list of structures, or says where more is in no way that can be followed.
    """
    listed, about = answer.get("data"), answer.get("meta")
    if not isinstance(listed, list):
        keys = plain(", ".join(map(str, answer))) or "none"
        raise Trouble(f"answered JSON without a list of entries (data); its keys are {keys}")
    about = about if isinstance(about, dict) else {}
    entries: dict[str, dict[str, Any]] = {}
    for entry in listed:
        name, properties = _entry(entry)
        if name in entries and entries[name] != properties:
            raise Trouble(f"gave two entries with the id {plain(name)!r} that differ")
        entries[name] = properties
    more = about.get("more_data_available")
    following = _following(url, answer, bool(more))
    returned = about.get("data_returned")
    known = isinstance(returned, int) and not isinstance(returned, bool) and returned >= 0
    delay = about.get("request_delay")
    wait = min(float(delay), _LONGEST_DELAY) if isinstance(delay, int | float) and 0 < delay < 1e9 else 0.0
    following = None if more is False else following
    return Page(url, entries, len(listed), following, returned if known else None, wait)


def _entry(entry: Any) -> tuple[str, dict[str, Any]]:
    name = entry.get("id") if isinstance(entry, dict) else None
    properties = entry.get("attributes") if isinstance(entry, dict) else None
    if not isinstance(name, str | int) or isinstance(name, bool) or not isinstance(properties, dict):
        found = plain(json.dumps(entry), 80)
        raise Trouble(f"answered an entry without id or attributes: {found}")
    kind = entry.get("type", "structures")
    if kind != "structures":
        raise Trouble(f"answered an entry of the type {plain(kind, 40)!r}, structures were asked for")
    name = str(name).encode("utf-8", "backslashreplace").decode()  # as Parquet takes it
    return name, {field: properties.get(field) for field in FIELDS}


def _following(url: str, answer: dict[str, Any], more: bool) -> str | None:
    links = answer.get("links")
    link = links.get("next") if isinstance(links, dict) else None
    if isinstance(link, dict):
        link = link.get("href")
    if link is not None and not isinstance(link, str):
        raise Trouble("links to a next page by what is no address")
    if not link:
        if more:
            raise Trouble("says that there are more entries and does not say where")
        return None
    return followed(url, link)
