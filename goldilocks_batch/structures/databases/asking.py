"""One question to a provider over HTTP: answered in bounded time and space, or not at all.

The client of optimade-python-tools (``OptimadeClient``, version 1.5.0) pages, and asks several providers side
by side, but not as is needed here.  It keeps all entries in memory, cannot go on where another process
stopped (issue 1900 of Materials-Consortia/optimade-python-tools, open), gives up at a 502 or 503, repeats
after a 429 without regard to ``Retry-After`` and without end (its count of attempts begins anew with each),
bounds neither the size of an answer nor the time it takes, and follows links to any host.  So questions go
through the HTTP library that it uses too, httpx2; filters are checked by its parser.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit, urlunsplit

from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.versions import versions
from goldilocks_batch.structures.databases.trouble import Trouble, plain

if TYPE_CHECKING:
    import httpx2

__all__ = ["Asker", "Patience", "Refused", "followed"]

#: Answers after which the same question may be answered another time.
_PASSING = {408, 429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 5
#: s without a byte after which a connection is given up.
_SILENCE = 30.0
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Patience:
    """How much is borne.

    Attributes:
        retries: how often a question is asked again.
        first_wait: s before the first time, and twice as long before each other; providers that say how long
            to wait are waited for that long.
        longest_wait: s; who asks for longer is given up for now.
        answer: s that a whole answer may take.
        largest: bytes that it may have, expanded.
    """

    retries: int = 4
    first_wait: float = 1.0
    longest_wait: float = 300.0
    answer: float = 120.0
    largest: int = 64 * 2**20


class Refused(Trouble):
    """The provider does not take the question.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Passing(Exception):  # noqa: N818 - caught where it is raised
    """No answer this time.

    Attributes:
        wait: s that the provider asks for, if it does.
        slow: it took too long, and will hardly be quicker; it is asked once more.
    """

    def __init__(self, message: str, wait: float | None = None, *, slow: bool = False) -> None:
        super().__init__(message)
        self.wait, self.slow = wait, slow


class Asker:
    """Asks providers; to be used as an asynchronous context.

    Args:
        patience: how much is borne.

    Raises:
        ConfigError: CONFIG_INVALID, what the extra ``databases`` installs is not there.
    """

    def __init__(self, patience: Patience) -> None:
        try:
            import httpx2
            import optimade.filterparser  # noqa: F401 - of the same extra; queries were not checked without
        except ImportError as error:
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"databases are asked with packages that are not installed ({error.name}): "
                "pip install 'goldilocks-batch[databases]'",
            ) from error
        self.patience = patience
        self._errors = (httpx2.TransportError, httpx2.DecodingError)
        self._silent = httpx2.TimeoutException
        self._bad_address = (httpx2.InvalidURL, UnicodeError)
        self._client: httpx2.AsyncClient = httpx2.AsyncClient(
            headers={
                "User-Agent": f"goldilocks-batch/{versions()['goldilocks-batch']}",
                "Accept": "application/vnd.api+json, application/json",
            },
            timeout=httpx2.Timeout(min(_SILENCE, patience.answer)),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def json(
        self, url: str, waits: Callable[[float, str], None] = lambda _s, _w: None
    ) -> dict[str, Any]:
        """Return the JSON object at an address.

        Args:
            url: of the question.
            waits: told of seconds of waiting, and why.

        Raises:
            Trouble: there is no such answer, however often it is asked.
        """
        wait = self.patience.first_wait
        for attempt in range(self.patience.retries + 1):
            try:
                body = await self._within_time(url)
                break
            except _Passing as passing:
                if attempt == self.patience.retries or (passing.slow and attempt):
                    times = f", asked {attempt + 1} times" if attempt else ""
                    raise Trouble(f"{passing}{times}") from passing
                pause = passing.wait if passing.wait is not None else wait * (1 + random.random() / 4)  # noqa: S311
                if pause > self.patience.longest_wait:
                    message = f"{passing}, and asks to wait {pause:,.0f} s: run the same command again then"
                    raise Trouble(message) from passing
                waits(pause, str(passing))
                await asyncio.sleep(pause)
                wait *= 2
        return _object(body)

    async def _within_time(self, url: str) -> bytes:
        try:
            async with asyncio.timeout(self.patience.answer):
                return await self._answer(url)
        except TimeoutError as error:
            raise _Passing(f"gave no whole answer within {self.patience.answer:g} s", slow=True) from error
        except self._silent as error:
            said = f"said nothing for {min(_SILENCE, self.patience.answer):g} s"
            raise _Passing(said, slow=True) from error
        except self._errors as error:
            said = plain(error) or type(error).__name__
            raise _Passing(f"cannot be reached, or broke off: {said}") from error
        except self._bad_address as error:
            raise Trouble(f"is at no address: {plain(error)}") from error

    async def _answer(self, url: str) -> bytes:
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._client.stream("GET", url) as response:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = followed(url, response.headers["location"])
                    continue
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > self.patience.largest:
                        raise Trouble(f"gave an answer of more than {self.patience.largest:,} bytes")
                if response.status_code == 200:
                    return bytes(body)
                said = f"answered HTTP {response.status_code}{_detail(bytes(body))}"
                if response.status_code in _PASSING:
                    raise _Passing(said, _seconds(response.headers.get("retry-after")))
                raise Refused(response.status_code, said)
        raise Trouble(f"redirects more than {_MOST_REDIRECTS} times")


def followed(base: str, link: str) -> str:
    """Return where a provider's link leads: another page of the same host.

    Links without encryption of a host that was asked with it are followed with it.

    Args:
        base: address of the answer that holds the link.
        link: absolute or relative.

    Raises:
        Trouble: it leads to another host, or nowhere.
    """
    try:
        here, there = urlsplit(base), urlsplit(urljoin(base, link))
        ports = [part.port or _PORTS.get(part.scheme) for part in (here, there)]
    except ValueError as error:
        raise Trouble(f"links to {plain(link)!r}, which is no address") from error
    if there.scheme not in _PORTS or there.hostname is None or there.username is not None:
        raise Trouble(f"links to {plain(link)!r}, which is no address")
    usual = all(port in _PORTS.values() for port in ports)
    if here.hostname != there.hostname or (ports[0] != ports[1] and not usual):
        there_is = plain(there.netloc.rpartition("@")[2])
        raise Trouble(f"links to another host, {there_is}, which is not followed")
    if here.scheme == "https":
        there = there._replace(scheme="https", netloc=here.netloc)
    return urlunsplit(there._replace(fragment=""))


def _seconds(header: str | None) -> float | None:
    """The seconds of a ``Retry-After``, which is a number or a date (RFC 9110, section 10.2.3)."""
    if not header:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        when = email.utils.parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    now = datetime.now(UTC)
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())


def _detail(body: bytes) -> str:
    """What an answer that is an error says, if it says it as OPTIMADE does."""
    try:
        first = _object(body)["errors"][0]
        return f": {plain(first.get('detail') or first['title'])}"
    except (Trouble, LookupError, TypeError, AttributeError):
        return ""


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        begins = plain(body[:80].decode("utf-8", "replace"), 60)
        raise Trouble(f"answered what is no JSON; it begins {begins!r}") from error
    if not isinstance(content, dict):
        raise Trouble(f"answered JSON that is no object but a {type(content).__name__}")
    return content
