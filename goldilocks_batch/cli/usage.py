"""Command lines that are wrong, told in one line like every other error."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import typer

from goldilocks_batch.cli.exits import Exit
from goldilocks_batch.cli.help import Group
from goldilocks_batch.core.text import nearest

__all__ = ["Commands"]

#: What typer raises where the command line is wrong; it gives the class no public name.
_UsageError: Any = typer.BadParameter.__base__
_NO_CHOICE = re.compile(r"'(?P<value>[^']*)' is not one of (?P<known>.*)")
_NO_FLAG = re.compile(r"No such option: (?P<value>\S+) \(Possible options: (?P<known>.*)\)")


class Commands(Group):
    """The application's commands; a wrong command line is one line on standard error."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """As of every command."""
        with _told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """As of every command."""
        with _told():
            return super().invoke(ctx)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        message = error.format_message()
        if type(error).__name__ == "NoArgsIsHelpError":  # no command was named
            typer.echo(message)
            raise typer.Exit(Exit.NOT_RUN) from error
        where = error.ctx.command_path if error.ctx is not None else "goldilocks-batch"
        typer.secho(f"error: {_with_hint(message)}  ({where} -h tells more)", err=True, fg="red")
        raise typer.Exit(Exit.NOT_RUN) from error


def _with_hint(message: str) -> str:
    """The message, with the nearest of the values or flags that there are."""
    message = message.replace("Value error, ", "").strip()
    for pattern in (_NO_CHOICE, _NO_FLAG):
        found = pattern.search(message)
        if found is not None:
            hint = nearest(found["value"], re.findall(r"[\w.-]+", found["known"]))
            end = found.end("value") if pattern is _NO_FLAG else len(message.rstrip("."))
            return f"{message[:end]}; {hint}" if hint.startswith("did you mean") else message
    return message
