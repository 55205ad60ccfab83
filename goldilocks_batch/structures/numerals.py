"""Numbers and truth values in the forms that files really have."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.structures.outcome import refuse

__all__ = ["charge_and_moments", "ends_in_a_number", "has_moment", "number", "periodicity"]

_UNCERTAINTY = re.compile(r"\(\d*\)$")
#: Charges and magnetic moments below this, e and μB, are none.
_LEAST = 1e-3
_FRACTION = re.compile(r"([+-]?\d+)/(\d+)")
_TRUE = {"t", "true", ".true.", "1", "yes"}
_FALSE = {"f", "false", ".false.", "0", "no"}


def number(text: str) -> float:
    """Return a number: ``0.5``, ``.5``, ``5.0(12)``, ``1.0D-3`` (Fortran) or a fraction such as ``1/3``.

    Raises:
        ValueError: it is none of these.
    """
    try:
        return float(text)
    except ValueError:
        plain = _UNCERTAINTY.sub("", text.strip())
        fraction = _FRACTION.fullmatch(plain)
        if fraction is not None and int(fraction[2]) > 0:
            return int(fraction[1]) / int(fraction[2])
        if re.fullmatch(r"[+-]?[\d.]+[dD][+-]?\d+", plain):
            plain = plain.replace("d", "e").replace("D", "e")
        return float(plain)


def ends_in_a_number(text: str) -> bool:
    """Whether a text ends in the middle of a line, with a digit: one of a number that may have had more."""
    return text[-1:].isdigit()


def periodicity(given: Any) -> NDArray[np.bool_]:
    """Return ``(3,)`` flags of three axes from one truth value or three, as values or as text.

    ``True``, ``[1, 1, 0]``, ``"T T F"``, ``"TTF"``, ``"f f f"``, ``"true true false"`` and ``[T, T, F]`` are
    understood.

    Raises:
        StructureError: PARSE_FAILED, it is none of these.
    """
    words = _words(given)
    if len(words) == 1:
        words *= 3
    known = [word in _TRUE for word in words if word in _TRUE or word in _FALSE]
    if len(words) != 3 or len(known) != 3:
        shown = str(given)[:40]
        refuse(
            ErrorCode.PARSE_FAILED,
            f"periodicity (pbc) is {shown!r}; three truth values are expected, such as T T F",
        )
    return np.array(known, dtype=bool)


def has_moment(values: Any) -> bool:
    """Whether one of some magnetic moments, numbers or vectors in μB, is more than rounding."""
    if isinstance(values, Iterable) and not isinstance(values, str):
        return any(has_moment(value) for value in values)
    return isinstance(values, numbers.Real) and abs(float(values)) > _LEAST


def charge_and_moments(charge: Any, moments: Any) -> tuple[str, ...]:
    """Return the flags of a structure with a net charge, e, and magnetic moments, μB; None is none."""
    charged = isinstance(charge, numbers.Real) and abs(float(charge)) > _LEAST
    return ("charged",) * charged + ("magnetic",) * has_moment(moments)


def _words(given: Any) -> list[str]:
    if isinstance(given, str):
        words = re.sub(r"[\[\](){},;\"']", " ", given).lower().split()
        if len(words) == 1 and re.fullmatch(r"[tf]{3}|[01]{3}", words[0]):
            return list(words[0])
        return words
    if isinstance(given, Iterable):
        return [word for part in given for word in _words(part)]
    if isinstance(given, float) and math.isfinite(given):
        given = int(given) if given == int(given) else given
    return [str(int(given)) if isinstance(given, bool | np.bool_) else str(given).lower()]
