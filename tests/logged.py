"""What the package logs while a test goes on."""

from __future__ import annotations

import logging
import weakref

__all__ = ["Warnings", "warnings_from_now"]


class Warnings(list[str]):
    """Messages; a list that can be referred to weakly."""


class _Keeping(logging.Handler):
    """Keeps warnings in a list, for as long as anybody has it."""

    def __init__(self, kept: Warnings) -> None:
        super().__init__(logging.WARNING)
        self._kept = weakref.ref(kept)

    def emit(self, record: logging.LogRecord) -> None:
        kept = self._kept()
        if kept is not None:
            kept.append(record.getMessage())


def warnings_from_now() -> Warnings:
    """The package's warnings from now on."""
    kept = Warnings()
    handler = _Keeping(kept)
    logger = logging.getLogger("goldilocks_batch")
    logger.addHandler(handler)
    weakref.finalize(kept, logger.removeHandler, handler)
    return kept
