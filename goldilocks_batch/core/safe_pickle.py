"""What a pickle would do, looked at without doing any of it."""

from __future__ import annotations

import pickletools

__all__ = ["objection"]


def objection(program: bytes, operations: frozenset[str], needed_by: str) -> str | None:
    """Why a pickle should not be run; None if there is no reason.

    Args:
        program: the pickle.
        operations: the only ones that it may use, by their names in :mod:`pickletools`.
        needed_by: for the answer, who is content with these.

    Raises:
        ValueError: it is no pickle.
    """
    for done, (operation, argument, position) in enumerate(pickletools.genops(program)):
        if operation.name not in operations:
            return f"uses the pickle operation {operation.name} at byte {position}, which {needed_by} needs"
        # the unpickler makes room for all objects up to the number one is kept under, however few there are
        if operation.name in ("BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > done:
            return f"keeps an object as number {argument} at byte {position}, where there are at most {done}"
    return None
