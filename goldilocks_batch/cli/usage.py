"""Command lines that are wrong, told in one line like every other error."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import typer

from goldilocks_batch.cli.exits import Exit
from goldilocks_batch.cli.help import Group, term_of
from goldilocks_batch.core.text import nearest

__all__ = ["Commands"]

#: Commands that are all named where another one was meant.
_FEW = 9
#: What typer raises where the command line is wrong; it gives the class no public name.
_UsageError: Any = typer.BadParameter.__base__
_NO_CHOICE = re.compile(r"'(?P<value>[^']*)' is not one of (?P<known>.*)")
_NO_COMMAND = re.compile(r"No such command '[^']*'\.$")
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
        told = _missing(error) or _with_hint(message, error.ctx)
        typer.secho(f"error: {told}  ({where} -h tells more)", err=True, fg="red")
        raise typer.Exit(Exit.NOT_RUN) from error


def _missing(error: Any) -> str:
    """What is missing from the command line, and what it is; nothing of other errors."""
    parameter = getattr(error, "param", None)
    if type(error).__name__ != "MissingParameter" or parameter is None:
        return ""
    kind = parameter.param_type_name
    name = term_of(parameter) if kind == "argument" else " or ".join(f"'{flag}'" for flag in parameter.opts)
    what = (parameter.help or "").split(" [")[0].rstrip(".")
    choices = " ".join((parameter.get_missing_message(ctx=error.ctx) or "").split())
    return "; ".join(filter(None, (f"Missing {kind} {name}" + (what and f": {what}"), choices)))


def _with_hint(message: str, ctx: Any) -> str:
    """The message, with the nearest of the values or flags that there are."""
    message = message.replace("Value error, ", "").strip()
    commands = getattr(ctx.command, "commands", {}) if ctx is not None else {}
    if _NO_COMMAND.match(message) and len(commands) < _FEW:
        return f"{message[:-1]}; known are: {', '.join(commands)}"
    for pattern in (_NO_CHOICE, _NO_FLAG):
        found = pattern.search(message)
        if found is not None:
            hint = nearest(found["value"], re.findall(r"[\w.-]+", found["known"]))
            end = found.end("value") if pattern is _NO_FLAG else len(message.rstrip("."))
            return f"{message[:end]}; {hint}" if hint.startswith("did you mean") else message
    return message
