"""Records of PSDI that are named as a model, ``psdi:<record>``: fetched once, then a folder like any other.

What a record holds is known from its ``model.json``, which names the digest of the pickle.  Nobody names the
digest of ``model.json`` itself: it is pinned when it is first fetched, as other files without one are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from goldilocks_batch.artifacts.folder import cannot_be_used
from goldilocks_batch.artifacts.goldilocks_record import (
    GoldilocksRecord,
    expect_served,
    read_goldilocks_record,
)
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.registry import Entry, FileEntry
from goldilocks_batch.core.errors import ErrorCode, ModelError

__all__ = [
    "described_record",
    "fetch_record",
    "is_record",
    "not_here",
    "record_folder",
    "whole_record",
]


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
    here = whole_record(name, places)
    if here is not None:
        return here
    if places.fetch is None or places.cache is None:
        raise not_here(name, places)
    return fetch_record(name, places.fetch, places.cache)


def described_record(name: str, places: Places) -> Path | None:
    """The folder with a record's ``model.json``, which is fetched if it is in none; None for other names.

    The pickle need not be there.

    Args:
        name: of a model.
        places: where the record is looked for.

    Raises:
        ModelError, RunError: as :func:`record_folder`.
    """
    if not is_record(name):
        return None
    here = whole_record(name, places)
    if here is not None:
        return here
    for folder in places.folders:  # fetched by this function before
        if read_goldilocks_record(folder / _repository(name)) is not None:
            return folder / _repository(name)
    if places.fetch is None or places.cache is None:
        raise not_here(name, places)
    _fetch_description(name, places.fetch, places.cache)
    return places.cache / _repository(name)


def not_here(name: str, places: Places) -> ModelError:
    """The error for a record that is in none of the places, which are not asked to fetch it."""
    looked = " nor in ".join(str(folder / _repository(name)) for folder in places.folders)
    return ModelError(
        ErrorCode.ARTIFACT_MISSING,
        f"{name} is not in {looked}, and is not fetched now; 'goldilocks-batch models pull {name}' "
        "fetches it where there is internet",
    )


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
    pickle = _fetch_description(name, fetch, folder).artifacts
    fetch(
        FileEntry(host="psdi", repository=repository, path=pickle.estimator, sha256=pickle.estimator_sha256)
    )
    return folder / repository


def _fetch_description(name: str, fetch: Callable[[Entry], None], folder: Path) -> GoldilocksRecord:
    """Fetch ``model.json``, and make sure that it is of a model that is known here."""
    repository = _repository(name)
    fetch(FileEntry(host="psdi", repository=repository, path="model.json"))
    record = read_goldilocks_record(folder / repository)
    if record is None:
        raise cannot_be_used(folder / repository / "model.json", "it is no record of goldilocks-ml")
    expect_served(folder / repository, record)
    return record


def _repository(name: str) -> str:
    return f"PSDI/{name.removeprefix('psdi:')}"


def whole_record(name: str, places: Places) -> Path | None:
    """The folder that holds both files of a record; None if none does.

    Args:
        name: ``psdi:<record>``.
        places: where the record is looked for.

    Raises:
        ModelError: ARTIFACT_INVALID, what is there cannot be read.
    """
    for folder in places.folders:
        path = folder / _repository(name)
        record = read_goldilocks_record(path)
        if record is not None and (path / record.artifacts.estimator).is_file():
            return path
    return None
