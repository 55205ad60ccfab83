"""Inputs of any kind as one sequence of references to structures, read in pieces by the workers."""

from __future__ import annotations

from goldilocks_batch.sources.reference import (
    ArraysPayload,
    FailedPayload,
    FilePayload,
    Format,
    Payload,
    Piece,
    Reference,
    TextPayload,
)
from goldilocks_batch.sources.sourceset import SourceSet, open_sources

__all__ = [
    "ArraysPayload",
    "FailedPayload",
    "FilePayload",
    "Format",
    "Payload",
    "Piece",
    "Reference",
    "SourceSet",
    "TextPayload",
    "open_sources",
]
