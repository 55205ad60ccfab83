"""What can be wrong with a provider, in one line."""

from __future__ import annotations

__all__ = ["Trouble", "plain"]

_LONGEST = 200


class Trouble(Exception):  # noqa: N818 - what is wrong is theirs
    """A provider cannot be asked any further; the message goes after its name."""


def plain(text: object, longest: int = _LONGEST) -> str:
    """What a provider said as one short line: nothing in it can move a terminal's cursor."""
    line = " ".join(str(text).split())
    shown = "".join(letter if letter.isprintable() else "?" for letter in line)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
