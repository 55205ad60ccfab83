"""Exit codes, and the one place where errors become a line on the terminal."""

from __future__ import annotations

import errno
import functools
import inspect
import logging
import signal
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from goldilocks_batch.cli.logs import shown
from goldilocks_batch.cli.pipes import may_close
from goldilocks_batch.cli.taking import parameters_of, replaced
from goldilocks_batch.config.flags import MESSAGES
from goldilocks_batch.core.errors import GoldilocksError
from goldilocks_batch.core.text import shortened

__all__ = ["Exit", "guarded"]

#: A command; decorators change what it takes.
Command = Callable[..., Any]

_STOPS = (signal.SIGTERM, signal.SIGHUP)
_log = logging.getLogger(__name__)

_Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Tell every step.", rich_help_panel=MESSAGES)]
_LogFile = Annotated[
    Path | None,
    typer.Option("--log-file", help="Append every step, with times, to a file.", rich_help_panel=MESSAGES),
]


class Exit(IntEnum):
    """What the shell is told."""

    OK = 0
    SOME_FAILED = 1
    NOT_RUN = 2
    INTERRUPTED = 130


def guarded(command: Command) -> Command:
    """Run a command with its log on the terminal; an expected error is one line there, without a traceback.

    A termination signal (a scheduler's, or ``kill``) or the end of the terminal ends the work in the same
    orderly way as Ctrl-C.
    Commands get the flags ``--verbose`` and ``--log-file``.
    """

    @functools.wraps(command)
    def wrapper(
        *args: object, verbose: bool = False, log_file: Path | None = None, **kwargs: object
    ) -> object:
        # under nohup the end of the terminal is ignored, and stays so
        heard = [stop for stop in _STOPS if signal.getsignal(stop) is not signal.SIG_IGN]
        before = {stop: signal.signal(stop, _interrupt) for stop in heard}
        try:
            with may_close(), shown(verbose=verbose, log_file=log_file):
                _log.debug("%s", " ".join(sys.argv))
                return _done(command, *args, **kwargs)
        except GoldilocksError as error:  # of the log itself
            typer.secho(f"error: {error}", err=True)
            raise typer.Exit(Exit.NOT_RUN) from error
        finally:
            for stop, handler in before.items():
                signal.signal(stop, handler)

    annotations = {"verbose": _Verbose, "log_file": _LogFile}
    defaults = {"verbose": False, "log_file": None}
    new = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=annotation)
        for name, annotation in annotations.items()
    ]
    return replaced(wrapper, parameters_of(command), "", new)


def _done(command: Callable[..., Any], *args: object, **kwargs: object) -> object:
    try:
        return command(*args, **kwargs)
    except GoldilocksError as error:
        _log.error("%s", error)
        raise typer.Exit(Exit.NOT_RUN) from error
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            _log.error("%s: %s", error.strerror, shortened(error.filename))
            raise typer.Exit(Exit.NOT_RUN) from error
        _log.error(
            "this is a fault of goldilocks-batch; please report it with the lines above", exc_info=error
        )
        raise typer.Exit(Exit.NOT_RUN) from error
    except KeyboardInterrupt as error:
        typer.secho("interrupted", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from error


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
