"""Texts of structures for tests, in the forms that people's files have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, StructureError
from goldilocks_batch.structures.outcome import Reading, ReadOptions
from goldilocks_batch.structures.read import read
from goldilocks_batch.structures.sources.reference import Format, Reference, TextPayload

__all__ = ["cif_text", "outcome", "positions", "read_text_of", "refusal"]


def cif_text(
    lengths: Sequence[float] = (4.12, 4.12, 4.12),
    angles: Sequence[float] = (90, 90, 90),
    sites: Sequence[str] = ("Cs1 Cs 0 0 0", "Cl1 Cl 0.5 0.5 0.5"),
    head: str = "",
    columns: Sequence[str] = ("label", "type_symbol", "fract_x", "fract_y", "fract_z"),
    tail: str = "",
) -> str:
    """A CIF of one block; ``head`` stands before the loop of sites, ``tail`` after it."""
    lines = ["data_a"]
    lines += [f"_cell_length_{x} {v}" for x, v in zip("abc", lengths, strict=True)]
    lines += [f"_cell_angle_{x} {v}" for x, v in zip(("alpha", "beta", "gamma"), angles, strict=True)]
    lines += [head.rstrip("\n")] if head else []
    lines += ["loop_", *(f"_atom_site_{column}" for column in columns), *sites]
    return "\n".join(lines) + "\n" + tail


def read_text_of(text: str, text_format: Format = Format.CIF, **options: bool) -> Reading:
    """The structure in a text, read and checked."""
    return read(Reference("case", "test", TextPayload(text_format, text)), ReadOptions(1000, **options))


def refusal(text: str, text_format: Format = Format.CIF, **options: bool) -> StructureError:
    """The error that a text is refused with."""
    with pytest.raises(StructureError) as caught:
        read_text_of(text, text_format, **options)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) > 20
    return caught.value


def outcome(text: str, text_format: Format = Format.CIF) -> Reading | ErrorCode:
    """What reading a text gives: a structure, or the code of the refusal."""
    try:
        return read_text_of(text, text_format)
    except StructureError as error:
        return error.code


def positions(frac: NDArray[np.float64], digits: int = 4) -> set[tuple[float, ...]]:
    """Positions as a set that does not depend on their order or cell."""
    return {tuple(row) for row in (np.round(frac % 1.0, digits) % 1.0).tolist()}
