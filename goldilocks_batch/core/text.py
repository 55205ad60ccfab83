"""Words for messages."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping

__all__ = ["nearest", "shortened"]


def nearest(name: str, known: Mapping[str, object] | set[str] | list[str]) -> str:
    """A hint at the known name closest to ``name``, or the list of all when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(sorted(known))}"


def shortened(value: object) -> str:
    """A value as it is written in Python, without the middle of a long one."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a number of thousands of digits, which Python does not write out
        return "a very large number"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlong = 60
