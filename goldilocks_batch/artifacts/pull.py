"""Fetch published files into a folder of the project's layout, each whole and checked before it is named."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from goldilocks_batch.artifacts.cache import (
    LOCK_FILE,
    Locked,
    LockedFolder,
    changed_pins,
    exclusive,
    note_origin,
    read_pins,
)
from goldilocks_batch.artifacts.hub import Published, Remote, is_offline
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.registry import Entry, FileEntry, FolderEntry
from goldilocks_batch.artifacts.resolved import sha256_of
from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError
from goldilocks_batch.core.places import cache_folder

__all__ = ["Fetcher", "host_of", "places_for"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Puts the files of a registry's entries into a folder; what is there and right is left alone.

    Attributes:
        folder: laid out ``<organisation>/<repository>/<file>``.
        remote: the hosts.
    """

    folder: Path
    remote: Remote = field(default_factory=Remote.from_environment)

    def __call__(self, entry: Entry) -> None:
        """Fetch a file, or every checkpoint of a folder.

        Files whose digest nobody names are pinned in the lock file before they get their name, and a
        folder's names before the first of its files, so that an ensemble is never taken for whole by half.

        Raises:
            ModelError: ARTIFACT_MISSING, it cannot be had; ARTIFACT_DIGEST, something else came.
            RunError: WRITE_FAILED, the folder cannot be written.
        """
        if isinstance(entry, FileEntry):
            self._file(entry)
        else:
            for file in self._ensemble(entry):
                self._file(file)

    def _ensemble(self, entry: FolderEntry) -> list[FileEntry]:
        """A folder's files, from the lock file or as its host lists them."""
        repository = self.folder / entry.repository
        known = read_pins(repository).folders.get(entry.path)
        if known is None:
            listing = self.remote.list_folder(entry, entry.revision)
            if entry.sha256 and set(listing.names) != set(entry.sha256):
                raise ModelError(
                    ErrorCode.ARTIFACT_DIGEST,
                    f"{entry.repository}/{entry.path} holds {', '.join(listing.names)}; the registry names "
                    f"{', '.join(sorted(entry.sha256))}",
                )
            known = LockedFolder(names=listing.names, revision=listing.revision)
            with changed_pins(repository) as pins:
                known = pins.folders.setdefault(entry.path, known)
        return [
            FileEntry(
                repository=entry.repository,
                path=f"{entry.path}/{name}",
                revision=known.revision,
                host=entry.host,
                sha256=entry.sha256.get(name),
            )
            for name in known.names
        ]

    def _file(self, entry: FileEntry) -> None:
        repository = self.folder / entry.repository
        if self._is_there(entry):
            _log.info("%s/%s: there already", entry.repository, entry.path)
            return
        with exclusive(repository / ".fetch.mutex"):
            if not self._is_there(entry):  # nobody else has fetched it meanwhile
                self._fetch(entry, repository)

    def _is_there(self, entry: FileEntry) -> bool:
        final, sha256 = self.folder / entry.repository / entry.path, self._expected(entry)
        return sha256 is not None and final.is_file() and sha256_of(final) == sha256

    def _expected(self, entry: FileEntry) -> str | None:
        locked = read_pins(self.folder / entry.repository).files.get(entry.path)
        return entry.sha256 or (locked.sha256 if locked else None)

    def _fetch(self, entry: FileEntry, repository: Path) -> None:
        """Ask one place after the other, until one gives the file."""
        refusals: list[ModelError] = []
        places = (None,) if is_offline() else (None, *entry.mirrors)
        for mirror in places:
            try:
                self._fetch_from(entry, mirror, repository)
            except ModelError as refusal:
                refusals.append(refusal)
                continue
            for past in refusals:  # where every place refuses, the error says why
                _log.warning("%s: fetched from the next place, since %s", entry.path, past.message)
            return
        if len(refusals) == 1:
            raise refusals[0]
        digest = ErrorCode.ARTIFACT_DIGEST
        code = digest if any(refusal.code == digest for refusal in refusals) else refusals[0].code
        told = "; ".join(refusal.message for refusal in refusals)
        raise ModelError(code, f"none of {len(refusals)} places gave {entry.path}: {told}")

    def _fetch_from(self, entry: FileEntry, mirror: str | None, repository: Path) -> None:
        """Fetch a file from its host, or from one of its mirrors, whose digest decides.

        A part that one place left is gone on with at the next.
        """
        final, label = repository / entry.path, f"{entry.repository}/{entry.path}"
        locked = read_pins(repository).files.get(entry.path)
        revision = entry.revision or (locked.revision if locked else None)
        published = self.remote.describe(entry, revision, mirror)
        expected = self._expected(entry)
        who = "the registry" if entry.sha256 else f"{repository / LOCK_FILE}, of the first fetch,"
        _refuse_another(label, published.sha256, expected, who)
        size = f" {published.size / 1e6:,.1f} MB" if published.size else ""
        _log.info("%s: fetching%s from %s", label, size, host_of(published.asked))
        part = final.with_name(f".{final.name}.part-{_key(published)}")
        found = self._downloaded(published, part, expected or published.sha256)
        if entry.sha256 is None:
            pin = Locked(sha256=found, size_bytes=part.stat().st_size, revision=published.revision)
            with changed_pins(repository) as pins:
                _refuse_another(label, found, pins.files.setdefault(entry.path, pin).sha256, who)
        _put_in_place(part, final)
        note_origin(repository, entry.path, published.asked.split("?")[0])

    def _downloaded(self, published: Published, part: Path, expected: str | None) -> str:
        """The digest of the whole file, now in ``part``; what has the wrong one is removed."""
        _make_room(part, published.size)
        went_on = part.exists()
        self.remote.download(published, part)
        found = sha256_of(part)
        if expected is None or found == expected:
            return found
        part.unlink()
        if went_on:  # its beginning may have been damaged
            return self._downloaded(published, part, expected)
        raise ModelError(
            ErrorCode.ARTIFACT_DIGEST,
            f"{published.url} sent a file of sha256 {found}, expected {expected}: a damaged transfer, or not "
            "the published file. It was not kept",
        )


def _refuse_another(label: str, found: str | None, expected: str | None, who: str) -> None:
    if found is not None and expected is not None and found != expected:
        raise ModelError(
            ErrorCode.ARTIFACT_DIGEST,
            f"{label} has sha256 {found} on its host: another version than the {expected} that {who} names",
        )


def _make_room(part: Path, size: int | None) -> None:
    """A folder for a partial file, and none in it that cannot be a beginning of the whole."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        if part.exists() and (size is None or part.stat().st_size > size):
            part.unlink()
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot write to {part.parent}: {error}") from error


def places_for(artifacts: Path | None, *, offline: bool = False) -> Places:
    """Where a run looks for model files: the folder named, the project's cache, the Hub unless offline.

    Args:
        artifacts: the folder named by the user.
        offline: ask no host, whatever ``HF_HUB_OFFLINE`` says.

    Raises:
        ModelError: ARTIFACT_MISSING, the folder named by the user is none.
    """
    if artifacts is not None and not artifacts.is_dir():
        raise ModelError(
            ErrorCode.ARTIFACT_MISSING,
            f"{artifacts}, given with --artifacts, is no folder; it should be laid out "
            "<organisation>/<repository>/<file>",
        )
    cache = cache_folder()
    return Places(artifacts, cache, None if offline else Fetcher(cache))


def host_of(address: str) -> str:
    """The host of an address, for people."""
    return urlsplit(address).netloc or address


def _key(published: Published) -> str:
    """Tells partial files of different contents apart."""
    address = published.sha256 or f"{published.revision} {published.size}"
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def _put_in_place(part: Path, final: Path) -> None:
    try:
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(final)
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot write {final}: {error}") from error
