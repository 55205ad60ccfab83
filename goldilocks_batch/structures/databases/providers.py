"""Who is asked: databases by their names, or by the base URL of their OPTIMADE interface."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.text import nearest
from goldilocks_batch.structures.databases.trouble import Trouble, plain

__all__ = ["BUILT_IN", "Provider", "found", "named"]

_MATERIALS_CLOUD = "https://optimade.materialscloud.org/main"

BUILT_IN: dict[str, tuple[str, str]] = {
    "mc3d": (f"{_MATERIALS_CLOUD}/mc3d-pbesol-v2", "MC3D, Materials Cloud, relaxed with PBEsol, version 2"),
    "mc3d-pbesol-v1": (f"{_MATERIALS_CLOUD}/mc3d-pbesol-v1", "MC3D, relaxed with PBEsol, version 1"),
    "mc3d-pbe-v1": (f"{_MATERIALS_CLOUD}/mc3d-pbe-v1", "MC3D, relaxed with PBE"),
    "mc2d": (f"{_MATERIALS_CLOUD}/mc2d", "MC2D, Materials Cloud: two-dimensional materials"),
    "mp": ("https://optimade.materialsproject.org", "Materials Project"),
    "jarvis": ("https://jarvis.nist.gov/optimade/jarvisdft", "JARVIS-DFT, NIST"),
    "oqmd": ("https://oqmd.org/optimade", "Open Quantum Materials Database"),
    "alexandria": ("https://alexandria.icams.rub.de/pbe", "Alexandria, relaxed with PBE"),
    "alexandria-pbesol": ("https://alexandria.icams.rub.de/pbesol", "Alexandria, relaxed with PBEsol"),
    "cod": ("https://www.crystallography.net/cod/optimade", "Crystallography Open Database"),
    "tcod": ("https://www.crystallography.net/tcod/optimade", "Theoretical Crystallography Open Database"),
    "nomad": ("https://nomad-lab.eu/prod/v1/optimade", "NOMAD"),
}
"""Base URLs of databases, and what they are; as the providers publish them, seen in 2026."""
_INDEX = "https://providers.optimade.org"
_INDEX_SETTING = "GOLDILOCKS_OPTIMADE_INDEX"
"""Environment variable with the base URL of another index of providers than the public one."""
_NAME = re.compile(r"[\w][\w.-]*")


@dataclass(frozen=True, slots=True)
class Provider:
    """A database.

    Attributes:
        name: what its ids begin with.
        url: base URL of its interface, without version; empty until the index has been asked.
    """

    name: str
    url: str = ""


def named(text: str) -> Provider:
    """Return the provider that a name, a base URL, or ``NAME=URL`` stands for.

    Raises:
        ConfigError: CONFIG_INVALID, it is none of these.
    """
    name, _, url = text.partition("=") if re.match(r"[\w.-]+=https?://", text) else ("", "", text)
    if "://" in url:
        return Provider(name or _short(url), _base(url))
    if text.lower() in BUILT_IN:
        return Provider(text.lower(), BUILT_IN[text.lower()][0])
    if not re.fullmatch(rf"{_NAME.pattern}(/{_NAME.pattern})?", text):
        message = (
            f"'{text}' is no database: give a name ({', '.join(BUILT_IN)}), a base URL that begins with "
            "https://, or NAME=URL"
        )
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    return Provider(text)


def _base(url: str) -> str:
    """A base URL without what is after it."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        secret = parts.username is not None
    except ValueError:
        sound = secret = False
    if secret:  # not repeated here
        message = "an address with a user's name is not taken: manifests and records would hold it"
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    if not sound:
        raise ConfigError(ErrorCode.CONFIG_INVALID, f"'{url}' is no address of an OPTIMADE interface")
    plain_url = url.partition("?")[0].rstrip("/").removesuffix("/structures").removesuffix("/links")
    return re.sub(r"/v\d+(\.\d+)*$", "", plain_url.rstrip("/"))


def _short(url: str) -> str:
    """Host and path of a base URL."""
    parts = urlsplit(_base(url))
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


async def found(provider: Provider, ask: Callable[[str], Awaitable[Any]]) -> Provider:
    """Return a provider with its URL, from the public index if it is in no table here.

    Args:
        provider: by name.
        ask: gives the JSON at an address.

    Raises:
        Trouble: the index cannot be asked, or does not know it.
    """
    if provider.url:
        return provider
    index = os.environ.get(_INDEX_SETTING, _INDEX).rstrip("/")
    wanted, _, child = provider.name.partition("/")
    hint = nearest(provider.name, list(BUILT_IN))
    try:
        known = _links(await ask(f"{index}/v1/links"))
    except Trouble as trouble:
        message = f"is in no table here ({hint}), and the public index cannot be asked: {trouble}"
        raise Trouble(message) from trouble
    if not known.get(wanted):
        raise Trouble(f"is in no table here and not in the public index: {hint}")
    children = _links(await ask(f"{known[wanted]}/v1/links"), "child")
    if child and child not in children:
        raise Trouble(f"has no database '{child}'; it has: {_listed(wanted, children)}")
    if not child and len(children) != 1:
        raise Trouble(f"has several databases, name one: {_listed(wanted, children)}")
    return Provider(provider.name, children[child] if child else next(iter(children.values())))


def _listed(provider: str, children: dict[str, str]) -> str:
    return ", ".join(plain(f"{provider}/{child}") for child in children) or "none"


def _links(answer: Any, kind: str = "external") -> dict[str, str]:
    """Base URLs in an answer of an index, by id; those without one are left out."""
    links: dict[str, str] = {}
    listed = answer.get("data") if isinstance(answer, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        about = entry.get("attributes") if isinstance(entry, dict) else None
        if not isinstance(about, dict) or about.get("link_type") != kind:
            continue
        url = about.get("base_url")
        if isinstance(url, dict):
            url = url.get("href")
        if isinstance(url, str) and url:
            try:
                links[str(entry.get("id"))] = _base(url)
            except ConfigError:
                continue
    return links
