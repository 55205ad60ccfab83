"""The protocol of labels: which code, functional, pseudopotentials and smearing they are labels of.

Tables of convergence studies tell it: in their metadata, as JSON, and by a digest in each row, the column
``protocol``, which survives when tables are joined.  Labels of two protocols are not labels of one quantity.
Tables that were written before all studies had ended tell that, too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from goldilocks_batch.core.errors import ErrorCode, InputError

__all__ = [
    "COLUMN",
    "ENDED_KEY",
    "PROTOCOL_KEY",
    "ended_of",
    "protocols_of",
    "remarks_on",
    "said",
    "single_protocol",
]

_log = logging.getLogger(__name__)

#: Column of a table that holds the digest of each row's protocol.
COLUMN = "protocol"
#: Key of a table's metadata under which the protocol of its labels stands, as JSON.
PROTOCOL_KEY = b"goldilocks_batch.protocol"
#: Key under which a table of some of the studies says, as JSON, how many had ``ended``, ``of`` how many.
ENDED_KEY = b"goldilocks_batch.studies_ended"
_UNKNOWN = "unknown"


def protocols_of(path: Path) -> tuple[dict[str, Any], ...]:
    """The protocols of a dataset's labels, by their digests; empty where it does not tell.

    Args:
        path: the dataset; only Parquet files can tell.
    """
    try:
        schema = pq.read_schema(path)
        if schema.names.count(COLUMN) != 1:
            return ()
        digests = pq.read_table(path, columns=[COLUMN])[COLUMN].unique().to_pylist()
        told = json.loads((schema.metadata or {}).get(PROTOCOL_KEY, b"{}"))
    except (OSError, pa.ArrowException, ValueError):
        return ()
    found, ended = [], ended_of(path)
    partial = {} if ended is None else {"studies_ended": ended[0], "studies": ended[1]}
    for digest in sorted(_UNKNOWN if value is None else str(value) for value in digests):
        known = isinstance(told, dict) and told.get("digest") == digest
        found.append((told if known else {"digest": digest}) | partial)
    return tuple(found)


def ended_of(path: Path) -> tuple[int, int] | None:
    """Of a table of studies: how many had ended when it was written, and how many there were in all.

    Args:
        path: a Parquet file.

    Returns:
        None for a table of all studies, or of anything else.
    """
    try:
        told = json.loads((pq.read_schema(path).metadata or {}).get(ENDED_KEY, b"null"))
        return None if told is None else (int(told["ended"]), int(told["of"]))
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None


def single_protocol(path: Path, *, mixed: bool) -> tuple[dict[str, Any], ...]:
    """The protocols of labels that are to train or calibrate a model.

    If the labels are of some studies alone, a warning says so.

    Args:
        path: the dataset.
        mixed: accept several.

    Raises:
        InputError: DATASET_INVALID, there are several.
    """
    found = protocols_of(path)
    if len(found) > 1 and not mixed:
        digests = ", ".join(protocol["digest"] for protocol in found)
        raise InputError(
            ErrorCode.DATASET_INVALID,
            f"{path.name} has labels of {len(found)} protocols ({digests} in the column {COLUMN}): energies "
            "of different codes or pseudopotentials converge at different meshes. Keep one of them, or train "
            "on all with --mixed-protocols",
        )
    if found and "studies" in found[0]:
        _log.warning(
            "%s was written when %d of %d studies had ended, the longest of which are begun first: these are "
            "not the labels of all structures, nor of a random choice of them",
            path.name,
            found[0]["studies_ended"],
            found[0]["studies"],
        )
    return found


def said(protocol: Mapping[str, Any]) -> str:
    """A protocol in a few words."""
    versions = " and ".join(protocol.get("code_versions", ()))
    words = [f"{protocol.get('code', '')} {versions}".strip(), "/".join(protocol.get("functional", ()))]
    if protocol.get("pseudopotentials"):
        words.append(f"pseudopotentials {protocol['pseudopotentials']}")
    if protocol.get("cutoffs"):
        words.append(f"cutoffs {protocol['cutoffs']}")
    if protocol.get("smearing"):
        words.append(f"{protocol['smearing']} smearing {protocol['degauss']:g} Ry")
    words += [protocol.get("rule", ""), f"protocol {protocol['digest']}"]
    if "studies" in protocol:
        words.append(f"when {protocol['studies_ended']} of {protocol['studies']} studies had ended")
    return ", ".join(word for word in words if word)


def remarks_on(
    labels: Sequence[Mapping[str, Any]], trained_on: Sequence[Mapping[str, Any]] | None
) -> tuple[str, ...]:
    """What one should know of the protocols when a model is judged; nothing where labels do not tell theirs.

    Args:
        labels: protocols of the labels that judge.
        trained_on: protocols of those that trained the model; None where that is not known.
    """
    if not labels:
        return ()
    these = f"These labels are of {'; '.join(map(said, labels))}."
    if not trained_on:
        return (f"{these} Which protocol the model was trained on is not recorded.",)
    same = {p["digest"] for p in labels} <= {p["digest"] for p in trained_on}
    if same:
        return (f"{these} The model was trained on the same.",)
    others = "; ".join(map(said, trained_on))
    return (f"{these} The model was trained on another protocol: {others}. It is judged by the one above.",)
