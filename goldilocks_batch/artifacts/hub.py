"""Where published files are fetched from: the Hugging Face Hub, GitHub's raw files, PSDI, any address.

PSDI (https://data-collections.psdi.ac.uk) is an InvenioRDM: the content of a record's file lies at
``/api/records/<record>/files/<name>/content``.  Requests are made by huggingface_hub, so its settings hold:
``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``, proxies, timeouts.  What arrives is kept beside the final
name until it is whole and its digest is right.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urljoin, urlsplit

from goldilocks_batch.artifacts.folder import PLAIN_NAME, SHA256
from goldilocks_batch.artifacts.registry import FileEntry, FolderEntry
from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError

__all__ = ["Listing", "Published", "Remote", "is_offline"]

_GITHUB = "https://raw.githubusercontent.com"
_PSDI = "https://data-collections.psdi.ac.uk"
#: Answers that another try may change.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

_COMMIT = r"[0-9a-f]{40}"

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Published:
    """A file as its host describes it.

    Attributes:
        asked: the address that was asked.
        url: where its content is, the Hub's redirects followed.
        headers: to send with the request.
        revision: the commit it is of.
        size: bytes, None if the host does not say.
        sha256: None if the host does not say.
    """

    asked: str
    url: str
    headers: dict[str, str]
    revision: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Names of a folder's files at a commit."""

    revision: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remote:
    """The hosts.

    Attributes:
        endpoint: of the Hub; None: ``HF_ENDPOINT``, or the public one.
        github: of raw files.
        psdi: of records.
        waits: seconds to wait before each further try of what failed in passing.
    """

    endpoint: str | None = None
    github: str = _GITHUB
    psdi: str = _PSDI
    waits: tuple[float, ...] = (1.0, 2.0, 4.0)

    @classmethod
    def from_environment(cls) -> Remote:
        """The public hosts, or those that ``HF_ENDPOINT`` and ``GOLDILOCKS_GITHUB`` or ``_PSDI`` name."""
        return cls(
            github=os.environ.get("GOLDILOCKS_GITHUB", _GITHUB).rstrip("/"),
            psdi=os.environ.get("GOLDILOCKS_PSDI", _PSDI).rstrip("/"),
        )

    def describe(self, entry: FileEntry, revision: str | None, mirror: str | None = None) -> Published:
        """Ask for a file's commit, size, digest and address.

        Args:
            entry: the file.
            revision: of it; None for the newest.
            mirror: one of the entry's mirrors; None for its host.

        Raises:
            ModelError: ARTIFACT_MISSING, with what the host answered; ARTIFACT_DIGEST, it answers for
                another commit than the one that is pinned.
        """
        _refuse_offline()
        address = self._plain_address(entry, revision, mirror)
        if address is not None:
            if entry.host != "github" or mirror is not None:
                self._patiently(address, lambda: _knock(address))
            headers = {"Accept-Encoding": "identity"}
            return Published(address, address, headers, revision or "not pinned", entry.size, entry.sha256)
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented there

        url = hf_hub_url(entry.repository, entry.path, revision=revision, endpoint=self.endpoint)
        found = self._patiently(url, lambda: get_hf_file_metadata(url, endpoint=self.endpoint))
        if found.commit_hash is None:
            what = "it does not answer as a Hub does; a proxy or a login page in between?"
            raise ModelError(ErrorCode.ARTIFACT_MISSING, f"{url} did not give it: {what}")
        if revision is not None and re.fullmatch(_COMMIT, revision) and found.commit_hash != revision:
            raise ModelError(
                ErrorCode.ARTIFACT_DIGEST,
                f"{url} answers for another commit: {found.commit_hash}",
            )
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        location = urljoin(url, found.location)
        if (
            urlsplit(location)[:2] != urlsplit(url)[:2]
        ):  # another scheme or host: a token is for the Hub, not for its CDN
            headers.pop("authorization", None)
        etag = found.etag or ""
        return Published(
            url,
            location,
            headers,
            found.commit_hash,
            found.size,
            etag if re.fullmatch(SHA256, etag) else None,  # files in Git itself have a Git digest
        )

    def _plain_address(self, entry: FileEntry, revision: str | None, mirror: str | None) -> str | None:
        """Where a file's content is, if that is known without asking; None for the Hub."""
        if mirror is None and entry.host == "github":
            return f"{self.github}/{entry.repository}/{quote(revision or 'HEAD')}/{quote(entry.path)}"
        if mirror is None and entry.host == "psdi":
            mirror = f"psdi:{entry.repository.split('/')[1]}/{entry.path}"
        if mirror is not None and mirror.startswith("psdi:"):
            record, name = mirror.removeprefix("psdi:").split("/")
            return f"{self.psdi}/api/records/{record}/files/{quote(name)}/content"
        return mirror

    def list_folder(self, entry: FolderEntry, revision: str | None) -> Listing:
        """Ask for the checkpoints of a folder and the commit they are of.

        Raises:
            ModelError: ARTIFACT_MISSING, with what the host answered, or there is no such file;
                ARTIFACT_FORBIDDEN, a name would leave the folder.
        """
        from huggingface_hub import HfApi, constants

        _refuse_offline()
        if entry.host != "huggingface":
            raise ModelError(ErrorCode.ARTIFACT_MISSING, f"{entry.host} gives no listing of a folder")
        api = HfApi(endpoint=self.endpoint)
        where = f"{api.endpoint}/{entry.repository}"
        limit = constants.HF_HUB_ETAG_TIMEOUT
        info = self._patiently(
            where, lambda: api.model_info(entry.repository, revision=revision, timeout=limit)
        )
        paths = [file.rfilename for file in info.siblings or ()]
        beginning = entry.path + "/"
        names = [
            path.removeprefix(beginning)
            for path in paths
            if path.startswith(beginning) and path.endswith(entry.ending)
        ]
        if not names or info.sha is None:
            raise ModelError(ErrorCode.ARTIFACT_MISSING, f"{where} lists no *{entry.ending} in {entry.path}")
        for name in names:
            if not re.fullmatch(PLAIN_NAME, name):
                raise ModelError(
                    ErrorCode.ARTIFACT_FORBIDDEN,
                    f"{where} lists {name!r} in {entry.path}, which is no plain file name",
                )
        return Listing(info.sha, tuple(sorted(names)))

    def download(self, published: Published, part: Path) -> None:
        """Bring a partial file to its whole length, going on where an earlier try stopped.

        Args:
            published: what and where.
            part: the partial file; may be missing.

        Raises:
            ModelError: ARTIFACT_MISSING, it cannot be had; what has arrived stays in ``part``.
            RunError: WRITE_FAILED, the disk refuses.
        """
        from huggingface_hub.file_download import http_get

        def attempt() -> None:
            with part.open("ab") as stream:
                http_get(
                    published.url,
                    stream,
                    resume_size=stream.tell(),
                    headers=published.headers,
                    expected_size=published.size,
                    displayed_filename=part.name.split(".part")[0].removeprefix("."),
                )

        self._patiently(published.url, attempt)

    def _patiently(self, url: str, ask: Callable[[], _Answer]) -> _Answer:
        """Ask again after a while where the host only failed in passing.

        Raises:
            ModelError: ARTIFACT_MISSING, with the address and what came back.
            RunError: WRITE_FAILED, it was not the network but the disk.
        """
        for wait in (*self.waits, None):
            try:
                return ask()
            except Exception as error:  # the client's, its HTTP library's and the disk's are of many kinds
                status = getattr(getattr(error, "response", None), "status_code", None)
                if wait is None or status not in _PASSING:
                    raise _refusal(url, error, status) from error
                time.sleep(wait)
        raise AssertionError("the last wait is None")


def _knock(address: str) -> None:
    """Fail at once where nobody answers; the client would try to fetch from there for some seconds.

    What is answered does not matter: not every server knows HEAD.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]  # documented there

    get_session().head(address, timeout=constants.HF_HUB_ETAG_TIMEOUT)


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` is set; no other host is to be asked then either."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def _refuse_offline() -> None:
    if is_offline():
        raise ModelError(ErrorCode.ARTIFACT_MISSING, "the network was not asked (HF_HUB_OFFLINE is set)")


def _refusal(url: str, error: Exception, status: int | None) -> ModelError | RunError:
    if isinstance(error, OSError) and error.errno is not None and status is None:
        return RunError(ErrorCode.WRITE_FAILED, f"cannot keep what {url} sends: {error}")
    reasons = {
        401: "not without a token (HF_TOKEN), or no such repository",
        403: "forbidden",
        404: "not found",
    }
    first_line = (str(error).strip() or repr(error)).splitlines()[0]
    said = f"HTTP {status}, {reasons.get(status, 'the server is in trouble')}" if status else first_line
    return ModelError(ErrorCode.ARTIFACT_MISSING, f"{url} did not give it: {said}")
