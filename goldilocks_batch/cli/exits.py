"""Exit codes, and the one place where errors become a line on the terminal."""

from __future__ import annotations

import functools
import signal
import traceback
from collections.abc import Callable
from enum import IntEnum
from types import FrameType
from typing import Any, TypeVar

import typer

from goldilocks_batch.cli.logs import shown
from goldilocks_batch.core.errors import GoldilocksError

__all__ = ["Exit", "guarded"]

Command = TypeVar("Command", bound=Callable[..., Any])


class Exit(IntEnum):
    """What the shell is told."""

    OK = 0
    SOME_FAILED = 1
    NOT_RUN = 2
    INTERRUPTED = 130


def guarded(command: Command) -> Command:
    """Run a command; an expected error is printed as one line, without a traceback.

    A termination signal (a scheduler's, or ``kill``) ends the work in the same orderly way as Ctrl-C.
    """

    @functools.wraps(command)
    def wrapper(*args: object, **kwargs: object) -> object:
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            with shown():
                return command(*args, **kwargs)
        except GoldilocksError as error:
            typer.secho(f"error: {error}", err=True, fg="red")
            raise typer.Exit(Exit.NOT_RUN) from error
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            traceback.print_exception(error)
            typer.secho(
                "error: this is a fault of goldilocks-batch; please report it with the lines above",
                err=True,
                fg="red",
            )
            raise typer.Exit(Exit.NOT_RUN) from error
        except KeyboardInterrupt as error:
            typer.secho("interrupted", err=True)
            raise typer.Exit(Exit.INTERRUPTED) from error
        finally:
            signal.signal(signal.SIGTERM, before)

    return wrapper  # type: ignore[return-value]


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
