"""Records of PSDI that are named as a model, ``psdi:<record>``: fetched once, then a folder like any other.

What a record holds is known from its ``model.json``, which names the digest of the pickle.  Nobody names the
digest of ``model.json`` itself: it is pinned when it is first fetched, as other files without one are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from goldilocks_batch.artifacts.folder import cannot_be_used
from goldilocks_batch.artifacts.goldilocks_record import expect_served, read_goldilocks_record
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.registry import Entry, FileEntry
from goldilocks_batch.core.errors import ErrorCode, ModelError

__all__ = ["fetch_record", "is_record", "record_folder"]


def is_record(name: str) -> bool:
    """Whether a model's name is a record of PSDI."""
    return re.fullmatch(r"psdi:[\w-]+", name) is not None


def record_folder(name: str, places: Places) -> Path | None:
    """The folder that holds a record of PSDI, fetched into the cache if it is in none; None for other names.

    Args:
        name: of a model.
        places: where the record is looked for, as ``PSDI/<record>``.

    Raises:
        ModelError: ARTIFACT_MISSING, it is not here and cannot be had, or is not fetched now (offline, or a
            plan); ARTIFACT_INVALID, it is no model that is known here; ARTIFACT_DIGEST.
        RunError: WRITE_FAILED.
    """
    if not is_record(name):
        return None
    repository = _repository(name)
    for folder in places.folders:
        if _is_whole(folder / repository):
            return folder / repository
    if places.fetch is None or places.cache is None:
        looked = " nor in ".join(str(folder / repository) for folder in places.folders)
        raise ModelError(
            ErrorCode.ARTIFACT_MISSING,
            f"{name} is not in {looked}, and is not fetched now; 'goldilocks-batch models pull {name}' "
            "fetches it where there is internet",
        )
    return fetch_record(name, places.fetch, places.cache)


def fetch_record(name: str, fetch: Callable[[Entry], None], folder: Path) -> Path:
    """Fetch ``model.json`` and the pickle that it names.

    Args:
        name: ``psdi:<record>``.
        fetch: puts an entry's files into ``folder``.
        folder: laid out ``<organisation>/<repository>/<file>``.

    Returns:
        The folder of the record.

    Raises:
        ModelError, RunError: as :func:`record_folder`.
    """
    repository = _repository(name)
    fetch(FileEntry(host="psdi", repository=repository, path="model.json"))
    record = read_goldilocks_record(folder / repository)
    if record is None:
        raise cannot_be_used(folder / repository / "model.json", "it is no record of goldilocks-ml")
    expect_served(folder / repository, record)
    pickle = record.artifacts
    fetch(
        FileEntry(host="psdi", repository=repository, path=pickle.estimator, sha256=pickle.estimator_sha256)
    )
    return folder / repository


def _repository(name: str) -> str:
    return f"PSDI/{name.removeprefix('psdi:')}"


def _is_whole(folder: Path) -> bool:
    record = read_goldilocks_record(folder)
    return record is not None and (folder / record.artifacts.estimator).is_file()
