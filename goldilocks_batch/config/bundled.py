"""The example configurations, which an installed package carries as ``config/examples/``.

In a checkout that is a link to ``configs/``, so that each file is there once.
"""

from __future__ import annotations

from importlib.resources import files

from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.text import nearest

__all__ = ["example", "examples"]


def examples() -> dict[str, str]:
    """The text of every example by its name, that of its file without the ending."""
    folder = files("goldilocks_batch.config").joinpath("examples")
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir()}
    return {name.rpartition(".")[0]: texts[name] for name in sorted(texts)}


def example(name: str) -> str:
    """The text of an example.

    Raises:
        ConfigError: CONFIG_INVALID, there is none of that name; the message names the nearest.
    """
    known = examples()
    if name not in known:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"no example configuration '{name}': {nearest(name, known)}"
        )
    return known[name]
