"""Numbers that describe each element to a network, for those who have no table of their own."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.features.composition import element_properties

__all__ = ["element_table", "table_bytes"]

#: Digits kept, so that the file is the same everywhere.
_DIGITS = 6


@lru_cache(maxsize=1)
def element_table() -> NDArray[np.float32]:
    """Magpie's properties and valence electrons of each element, scaled to mean 0 and deviation 1.

    Returns:
        ``(119, 27)`` float32 by atomic number; gaps are filled with the mean over all elements, row 0 is NaN.
    """
    properties = element_properties()
    known = np.isfinite(properties).all(axis=1)
    scaled = (properties - properties[known].mean(axis=0)) / properties[known].std(axis=0)
    scaled[~known] = np.nan
    table: NDArray[np.float32] = np.round(scaled, _DIGITS).astype(np.float32)
    return table


def table_bytes(table: NDArray[np.float32]) -> bytes:
    """A table in the published file's form: JSON, atomic numbers as keys."""
    rows = {
        str(z): [round(float(value), _DIGITS) for value in row]
        for z, row in enumerate(table)
        if np.isfinite(row).all()
    }
    return (json.dumps(rows, indent=0) + "\n").encode()
