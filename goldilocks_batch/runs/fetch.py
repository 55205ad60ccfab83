"""Structures of databases as a manifest, for a run or by themselves."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.errors import ConfigError, ErrorCode, InputError, RunError
from goldilocks_batch.core.temporary import sweep_beside
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.lock import locked
from goldilocks_batch.results.record import now
from goldilocks_batch.structures.databases.asking import Patience
from goldilocks_batch.structures.databases.harvest import Silent, Watch, harvest
from goldilocks_batch.structures.databases.providers import Provider, named
from goldilocks_batch.structures.databases.query import Query, is_database, parsed, shown

__all__ = ["Fetched", "Given", "fetch", "limit_reached", "local_inputs"]

_log = logging.getLogger(__name__)
#: Seconds between two lines on a database that a run fetches.
_LINE_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Given:
    """What a provider gave.

    Attributes:
        name: of the provider.
        rows: entries in the manifest.
        returned: entries that it says it has of the query; None if it does not say.
        duplicates: entries that came twice, and are there once.
        limited: it has more, beyond the limit.
        problem: why entries are missing, or may be; empty if all are there.
    """

    name: str
    rows: int
    returned: int | None
    duplicates: int
    limited: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched.

    Attributes:
        path: the manifest; None if no provider gave anything.
        rows: its rows.
        given: for each provider what it gave.
        asked: whether anybody was asked: the manifest may have been there.
    """

    path: Path | None
    rows: int
    given: tuple[Given, ...]
    asked: bool

    @property
    def complete(self) -> bool:
        """Whether every provider gave all of what was asked."""
        return not any(part.problem for part in self.given)


def fetch(
    providers: Sequence[str],
    query: Query,
    output: Path,
    *,
    patience: Patience | None = None,
    overwrite: bool = False,
    watch: Watch | None = None,
) -> Fetched:
    """Ask databases for structures, and write them to one manifest.

    Answers are kept beside the manifest, in ``<output>.pages``, until all are there: the same call goes on
    where a former one was ended.  A provider that gives nothing, or nonsense, does not keep the others from
    being asked.

    Args:
        providers: names, base URLs, or ``NAME=URL``.
        query: what to ask.
        output: the Parquet file.
        patience: with each question.
        overwrite: replace a file that is there.
        watch: told of progress.

    Raises:
        ConfigError: CONFIG_INVALID, a provider is neither name nor address; or packages are missing.
        InputError: INPUT_EMPTY, the providers have nothing of the kind.
        RunError: OUTPUT_EXISTS, the file holds something else; WRITE_FAILED.
    """
    who = list(dict.fromkeys(named(text) for text in providers))
    twice = next((name for name, count in Counter(p.name for p in who).items() if count > 1), None)
    if twice is not None:
        message = f"two databases are called '{twice}', and their ids would be the same; write NAME=URL"
        raise ConfigError(ErrorCode.CONFIG_INVALID, message)
    before = _before(output, who, query, overwrite)
    if before is not None:
        return before
    from goldilocks_batch.structures.databases.manifest import write_fetched

    pages = output.with_name(f"{output.name}.pages")
    try:
        pages.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot write to {pages}: {error}") from error
    sweep_beside(output)
    with locked(pages):
        found = harvest(who, query, pages, patience or Patience(), watch or Silent())
        given = tuple(
            Given(h.provider.name, h.rows, h.returned, h.duplicates, h.limited, h.problem) for h in found
        )
        rows = sum(part.rows for part in given)
        if rows:
            write_fetched(found, query, output, now())
        if not any(part.problem for part in given):
            shutil.rmtree(pages, ignore_errors=True)
            if not rows:
                what = f"of the filter {query.filter!r}" if query.filter else "at all"
                names = ", ".join(part.name for part in given)
                raise InputError(ErrorCode.INPUT_EMPTY, f"no structure {what} in {names}")
    return Fetched(output if rows else None, rows, given, asked=True)


def _before(output: Path, who: Sequence[Provider], query: Query, overwrite: bool) -> Fetched | None:
    """What a former call has written, if it is whole; None if it is to be written, or completed."""
    if overwrite or not output.exists():
        return None
    from goldilocks_batch.structures.databases.manifest import read_origin

    origin = read_origin(output) or {}
    parts: list[dict[str, Any]] = origin.get("providers", [])
    theirs = [(part["name"], part["url"]) for part in parts]
    # of one that is found in the index alone the address is not known yet
    ours = [(p.name, p.url or next((u for n, u in theirs if n == p.name), "")) for p in who]
    if (origin.get("filter"), origin.get("limit"), theirs) != (query.filter, query.limit, ours):
        message = f"{output} holds something else; choose another --output, or replace it with --overwrite"
        raise RunError(ErrorCode.OUTPUT_EXISTS, message)
    if any(part["problem"] for part in parts):
        return None
    names = ("name", "rows", "returned", "duplicates", "limited", "problem")
    given = tuple(Given(*(part[name] for name in names)) for part in parts)
    return Fetched(output, sum(part.rows for part in given), given, asked=False)


def local_inputs(config: RunConfig, *, ask: bool = True) -> tuple[Path, ...]:
    """The inputs of a run as files: databases as manifests in the run's folder, which are fetched once.

    Args:
        config: of the run.
        ask: whether databases may be asked.

    Raises:
        ConfigError: CONFIG_INVALID, an input names no database, or none of its options.
        InputError: DATABASE_FAILED, a database gave less than all; INPUT_NOT_FOUND, it has to be asked.
        RunError: the folder cannot be used.
    """
    if not any(map(is_database, config.inputs)):
        return config.inputs
    found, lacking = [], []
    for path in config.inputs:
        if is_database(path):
            file = config.output / "inputs" / _file_name(str(path))
            lacking += [] if file.exists() else [(str(path), file)]
            path = file
        found.append(path)
    if lacking and not ask:
        text, _ = lacking[0]
        message = f"{shown(text)} has not been fetched yet, and this asks nobody; goldilocks-batch fetch does"
        raise InputError(ErrorCode.INPUT_NOT_FOUND, message)
    if lacking:
        with RunFolder(config.output).inputs(overwrite=config.overwrite):
            for text, file in lacking:
                _fetch_input(text, file)
    return tuple(found)


def _file_name(text: str) -> str:
    provider, query = parsed(text)
    digest = hashlib.sha256(f"{provider}\n{query.filter}\n{query.limit}".encode()).hexdigest()
    short = re.sub(r"[^\w.-]+", "-", provider).strip("-.")[:40]
    return f"{short}-{digest[:12]}.parquet"


def _fetch_input(text: str, file: Path) -> None:
    """Fetch an input; it is there when it is whole."""
    provider, query = parsed(text)
    whole = file.with_name(f".{file.name}")
    fetched = fetch([provider], query, whole, watch=_Told())
    if not fetched.complete:
        part = fetched.given[0]
        raise InputError(
            ErrorCode.DATABASE_FAILED,
            f"{part.name} {part.problem} ({part.rows:,} entries are there). The same command asks for the "
            "rest; goldilocks-batch fetch writes a manifest of what is there",
        )
    for part in fetched.given:
        if part.limited:
            _log.warning("%s", limit_reached(part))
    whole.replace(file)


def limit_reached(part: Given) -> str:
    """A sentence for a provider that has more than the limit."""
    of = f" of {part.returned:,}" if part.returned is not None else ""
    taken = f"{part.rows:,}{of} entries were taken"
    return f"{part.name} has more: {taken}, which is the limit (-n, or n= in an input of run)"


class _Told:
    """Lines in the log, now and then."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def found(self, provider: str, rows: int, total: int | None) -> None:
        if rows and time.monotonic() - self._last >= _LINE_EVERY:
            self._last = time.monotonic()
            of = f" of {total:,}" if total is not None else ""
            _log.info("%s: %s%s entries", provider, f"{rows:,}", of)

    def waits(self, provider: str, seconds: float, why: str) -> None:
        _log.info("%s %s; asked again in %.0f s", provider, why, seconds)

    def ended(self, provider: str) -> None:
        """Say nothing."""
