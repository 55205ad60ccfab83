"""Pages on disk: what has been answered is not asked again, whatever ends the process."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.structures.databases.pages import Page
from goldilocks_batch.structures.databases.providers import Provider

__all__ = ["Store"]

_ABOUT, _END = "about.json", "end.json"


class Store:
    """A query's pages of one provider.

    Args:
        folder: for all queries.
        provider: with its URL.
        filter_text: of the query.

    Attributes:
        path: the folder of this query.
    """

    def __init__(self, folder: Path, provider: Provider, filter_text: str) -> None:
        asked = f"{provider.name}\n{provider.url}\n{filter_text}"
        short = re.sub(r"[^\w.-]+", "-", provider.name).strip("-.")[:40]
        self.path = folder / f"{short}-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"
        self._pages = 0

    def begin(self) -> list[Page]:
        """Make the folder; return the pages that it holds already, in order."""
        self.path.mkdir(parents=True, exist_ok=True)
        pages = list(self.pages())
        self._pages = len(pages)
        for path in self._files()[self._pages :]:  # after a damaged one
            path.unlink()
        return pages

    def pages(self) -> Iterator[Page]:
        """The pages in order, up to one that is missing or cannot be read."""
        number = 0
        while (page := self._read(number)) is not None:
            yield page
            number += 1

    def add(self, page: Page) -> None:
        """Keep a page.

        Raises:
            RunError: WRITE_FAILED.
        """
        with atomic_path(self._file(self._pages)) as temporary:
            temporary.write_bytes(gzip.compress(json.dumps(page.to_json()).encode(), compresslevel=1))
        self._pages += 1

    def discard(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True, exist_ok=True)
        self._pages = 0

    @property
    def end(self) -> dict[str, Any] | None:
        """What :meth:`finish` was told; None of a query that has not come to its end."""
        return self._json(_END)

    def finish(self, **how: object) -> None:
        """Note that there is no further page, and how it ended."""
        self._write(_END, how)

    @property
    def about(self) -> dict[str, Any] | None:
        """What :meth:`describe` was told."""
        return self._json(_ABOUT)

    def describe(self, about: dict[str, Any]) -> None:
        """Keep what the provider says of itself."""
        self._write(_ABOUT, about)

    def _file(self, number: int) -> Path:
        return self.path / f"page-{number:06d}.json.gz"

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("page-*.json.gz"))

    def _read(self, number: int) -> Page | None:
        try:
            return Page(**json.loads(gzip.decompress(self._file(number).read_bytes())))
        except (OSError, EOFError, ValueError, TypeError, zlib.error):
            return None

    def _json(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _write(self, name: str, content: dict[str, Any]) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
