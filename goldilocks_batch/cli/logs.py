"""What the library logs, on the terminal and in a file."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import typer

from goldilocks_batch.core.errors import ConfigError, ErrorCode

__all__ = ["hush", "shown"]

_COLOURS = {logging.WARNING: "yellow", logging.ERROR: "red"}
_PACKAGE = logging.getLogger("goldilocks_batch")


class _Terminal(logging.Handler):
    """A line on standard error for each message; what is more or less than information is marked."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            traceback.print_exception(record.exc_info[1])
        mark = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        text = f"{mark}{record.getMessage()}"
        if sys.stderr.isatty():
            text = typer.style(text, fg=_COLOURS.get(record.levelno))
        # standard error is looked up each time: a progress bar takes its place while it is drawn
        print(text, file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def shown(*, verbose: bool = False, log_file: Path | None = None) -> Iterator[None]:
    """Show the package's log on standard error.

    Args:
        verbose: with all details.
        log_file: appended to, with all details and times.

    Raises:
        ConfigError: CONFIG_INVALID, the file cannot be written.
    """
    handlers: list[logging.Handler] = [_Terminal(logging.DEBUG if verbose else logging.INFO)]
    if log_file is not None:
        handlers.append(_file(log_file))
    before = _PACKAGE.level
    _PACKAGE.setLevel(min(handler.level for handler in handlers))
    for handler in handlers:
        _PACKAGE.addHandler(handler)
    try:
        yield
    finally:
        _PACKAGE.setLevel(before)
        for handler in handlers:
            _PACKAGE.removeHandler(handler)
            handler.close()


def hush() -> None:
    """From now on only warnings on the terminal, unless all details were asked for."""
    for handler in _PACKAGE.handlers:
        if isinstance(handler, _Terminal) and handler.level > logging.DEBUG:
            handler.setLevel(logging.WARNING)


def _file(path: Path) -> logging.Handler:
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"the log file {path} cannot be written: {error}"
        ) from error
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler
