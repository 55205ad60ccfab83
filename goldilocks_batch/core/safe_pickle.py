"""Pickles read without running anything in them: few operations, few names, and inert stand-ins for those."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any

__all__ = ["RefusedError", "Unpickler"]


class RefusedError(Exception):
    """A pickle asks for what it has no need of; nothing of it has been run."""


class Unpickler(pickle.Unpickler):
    """Resolves a few names to stand-ins and refuses all others.

    Args:
        program: the pickle.
        names: what each name stands for, by module and name.
        operations: the only ones that it may use, by their names in :mod:`pickletools`.
        needed_by: for the reason of a refusal, who is content with these.

    Raises:
        RefusedError: it uses another operation; or, from ``load``, it names something else.
        ValueError: it is no pickle.
    """

    def __init__(
        self,
        program: bytes,
        names: Mapping[tuple[str, str], Any],
        operations: frozenset[str],
        needed_by: str,
    ) -> None:
        reason = _objection(program, operations, needed_by)
        if reason is not None:
            raise RefusedError(reason)
        super().__init__(io.BytesIO(program))
        self._names = names
        self._needed_by = needed_by

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name."""
        if (module, name) not in self._names:
            raise RefusedError(f"names {module}.{name}, which {self._needed_by} needs")
        return self._names[module, name]


def _objection(program: bytes, operations: frozenset[str], needed_by: str) -> str | None:
    """Why a pickle should not be run; None if there is no reason."""
    for done, (operation, argument, position) in enumerate(pickletools.genops(program)):
        if operation.name not in operations:
            return f"uses the pickle operation {operation.name} at byte {position}, which {needed_by} needs"
        # the unpickler makes room for all objects up to the number one is kept under, however few there are
        if operation.name in ("BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > done:
            return f"keeps an object as number {argument} at byte {position}, where there are at most {done}"
    return None
