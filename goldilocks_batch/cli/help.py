"""``--help`` that loses nothing, however narrow the terminal: no flag, choice or address is cut short."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from shutil import get_terminal_size
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from goldilocks_batch.config.flags import INPUTS, LABELS, MESSAGES, MODEL, TRAINING, WORK

__all__ = ["Command", "Group", "term_of"]

#: Columns that texts take at most; longer lines are hard to read.
_WIDEST = 110
#: Where descriptions begin, on the same line if what they describe is short enough, else on the next.
_INDENT = 30
#: Columns of a terminal below which descriptions begin further left, on a line of their own.
_NARROW = 76
#: Headings of flags, in this order.
_ORDER = ("Arguments", "Options", INPUTS, LABELS, TRAINING, MODEL, WORK, MESSAGES)
_LIST = re.compile(r"<list\[(\w+)\]>")
_RANGE = re.compile(r"<(\w+) range>")
_EXAMPLE = re.compile(r"`([A-Z_]+=\S+ )?goldilocks-batch ")
_REQUIRED = re.compile(r"\{(.+)\}")


class Command(TyperCommand):
    """A command with our help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help to a formatter, which has no part in its layout."""
        formatter.write("\n".join(_help(self, ctx)) + "\n")


class Group(TyperGroup):
    """Commands with our help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help to a formatter, which has no part in its layout."""
        formatter.write("\n".join(_help(self, ctx)) + "\n")


def _help(command: Any, ctx: Any) -> Iterator[str]:
    width = min(get_terminal_size().columns, _WIDEST)
    usage = " ".join((ctx.command_path, *map(_piece, command.collect_usage_pieces(ctx))))
    yield from _wrapped(f"Usage: {usage}", width, "", " " * 7)
    yield ""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield from _paragraph(" ".join(paragraph.split("\n")), width)
        yield ""
    for heading, entries in _sections(command, ctx).items():
        yield _bold(heading)
        for term, text in entries:
            yield from _entry(term, text, width)
        yield ""


def term_of(argument: Any) -> str:
    """What an argument is called on paper: in capitals, as options that take its place are not."""
    return str(argument.metavar or argument.name).strip("[]").upper()


def _piece(piece: str) -> str:
    """A part of the usage; what is required stands by itself, what is not in brackets."""
    return _REQUIRED.sub(r"\1", piece).upper()


def _sections(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Terms and their descriptions, by heading."""
    found: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        usual = "Options" if parameter.param_type_name == "option" else "Arguments"
        heading = getattr(parameter, "rich_help_panel", None) or usual
        term = _RANGE.sub(r"<\1>", _LIST.sub(r"<\1>", record[0]))
        if usual == "Arguments":
            _, _, kind = term.rpartition(" ")
            term = f"{term_of(parameter)} {kind}"
        found.setdefault(heading, []).append((term, record[1]))
    found = dict(sorted(found.items(), key=lambda item: _ORDER.index(item[0])))
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            text = inspect.cleandoc(child.help or "").split("\n\n")[0].replace("\n", " ")
            heading = _panel_of(child) or "Commands"
            found.setdefault(heading, []).append((name, text.replace("`", "")))
    return found


def _panel_of(command: Any) -> str | None:
    panel = command.rich_help_panel
    return panel if isinstance(panel, str) else None


def _paragraph(text: str, width: int) -> Iterable[str]:
    """A paragraph; an example that is one command stands by itself, further in."""
    if text.startswith("**") and text.endswith("**"):
        return [_bold(text.strip("*"))]
    indent = "  " if _EXAMPLE.match(text) else ""
    return _wrapped(text.replace("`", "").replace("**", ""), width, indent, indent + "    " * bool(indent))


def _entry(term: str, text: str, width: int) -> Iterator[str]:
    place = " " * (_INDENT if width >= _NARROW else 6)
    lines = _wrapped(text, width, place, place)
    if width >= _NARROW and len(term) < _INDENT - 3 and lines:
        yield _bold(f"  {term:<{_INDENT - 2}}") + lines[0][_INDENT:]
        yield from lines[1:]
        return
    # choices may fill more than a line, and are broken between two of them
    for line in _wrapped(term.replace("|", "| "), width, "  ", "      "):
        yield _bold(line.replace("| ", "|"))
    yield from lines


def _wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _bold(text: str) -> str:
    return typer.style(text, bold=True) if sys.stdout.isatty() else text
