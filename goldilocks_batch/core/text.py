"""Words for messages."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

__all__ = ["nearest"]


def nearest(name: str, known: Mapping[str, object] | set[str] | list[str]) -> str:
    """A hint at the known name closest to ``name``, or the list of all when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(sorted(known))}"
