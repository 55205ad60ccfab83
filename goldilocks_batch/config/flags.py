"""How an option of a configuration is written on the command line: said where the option is defined.

The command line makes a flag of every field that has a :class:`Flag`: its name, type, choices, default and
help are the field's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic.fields import FieldInfo

__all__ = ["INPUTS", "LABELS", "MESSAGES", "MODEL", "TRAINING", "WORK", "Flag", "flag_of"]

#: Headings under which ``--help`` lists flags.
INPUTS = "Inputs"
MODEL = "Model"
WORK = "How the work is done"
MESSAGES = "Messages"
LABELS = "Labels"
TRAINING = "Training"


@dataclass(frozen=True, slots=True, repr=False)
class Flag:
    """What a command line needs to know of an option beside its definition.

    Attributes:
        panel: heading under which ``--help`` lists it; None for the first one.
        name: the flag, if it is not the option's name with hyphens.
        short: a one-letter form, such as ``-o``.
        default: what happens without it, where the default value does not tell; ``""`` for nothing to tell.
        negatable: a switch that can also be turned off by ``--no-…``, where a file turns it on.
        switch: on the command line it is only turned on or off, whatever values files may name.
        metavar: a word for its value in ``--help``.
    """

    panel: str | None = None
    name: str | None = None
    short: str | None = None
    default: str | None = None
    negatable: bool = False
    switch: bool = False
    metavar: str | None = None

    def __repr__(self) -> str:
        return "Flag(…)"  # in signatures, where all of it would hide the types


def flag_of(field: FieldInfo) -> Flag | None:
    """The flag of a field, None if only files and Python set it."""
    return next((item for item in field.metadata if isinstance(item, Flag)), None)
