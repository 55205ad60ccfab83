"""What the library logs, on the terminal."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import typer

__all__ = ["shown"]


class _Terminal(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


@contextlib.contextmanager
def shown(level: int = logging.INFO) -> Iterator[None]:
    """Show the package's log on standard error, a plain line for each message."""
    logger, handler = logging.getLogger("goldilocks_batch"), _Terminal()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
