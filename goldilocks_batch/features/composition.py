"""Composition block: 146 columns from element counts, for a whole batch at once.

The numbers are those of matminer's ``ElementProperty`` (preset magpie, missing values imputed),
``Stoichiometry`` and ``ValenceOrbital``.  All of them depend on atomic fractions alone, so the reduced
formula is not needed.  Source of the element data: Ward et al., npj Comput. Mater. 2 (2016) 16028, as
matminer ships it, gaps filled as matminer fills them.  They lie in ``magpie.json`` beside this module:
matminer takes over a second to import, and no release of it moves a trained model's features; a test compares
them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, FeatureError, Stage
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal, elements_of

__all__ = ["composition_block", "composition_labels", "element_properties", "untabulated_element"]

_NORMS = (2, 3, 5, 7, 10)
_STATISTICS = 6
#: Columns of the element data that count valence electrons: s, p, d, f and all.
_ELECTRONS = 5
_MAX_Z = len(SYMBOLS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """Element data, indexed by atomic number; row 0 (no element) is NaN."""

    magpie: NDArray[np.float64]  # (119, 22)
    orbitals: NDArray[np.float64]  # (119, 5): s, p, d, f and all valence electrons
    known: frozenset[int]  # atomic numbers without a gap in their data
    labels: tuple[str, ...]  # 146


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    found = json.loads(Path(__file__).with_name("magpie.json").read_text(encoding="utf-8"))
    values = np.full((_MAX_Z + 1, len(found["properties"]) + _ELECTRONS), np.nan)
    for symbol, row in found["elements"].items():
        values[SYMBOLS.index(symbol)] = row
    return _Tables(
        magpie=np.ascontiguousarray(values[:, :-_ELECTRONS]),
        orbitals=np.ascontiguousarray(values[:, -_ELECTRONS:]),
        known=frozenset(np.flatnonzero(np.isfinite(values).all(axis=1)).tolist()),
        labels=tuple(found["labels"]),
    )


def composition_labels() -> tuple[str, ...]:
    """Matminer's labels of the 146 columns."""
    return _tables().labels


def untabulated_element(crystal: Crystal) -> FeatureError | None:
    """The error for a crystal with an element that the tables lack, None if they have all."""
    known = _tables().known
    if known.issuperset(crystal.numbers.tolist()):
        return None
    missing = set(crystal.numbers.tolist()) - known
    names = ", ".join(SYMBOLS[z] if 0 <= z <= _MAX_Z else f"Z={z}" for z in sorted(missing))
    return FeatureError(
        ErrorCode.ELEMENT_NOT_TABULATED,
        f"the element tables of the composition features lack {names}; expected elements H to Og",
        stage=Stage.FEATURES,
    )


def composition_block(crystals: Sequence[Crystal]) -> NDArray[np.float64]:
    """Composition features of a batch.

    Args:
        crystals: ordered crystals of tabulated elements.

    Returns:
        ``(n, 146)``, in the order of `composition_labels`.
    """
    tables = _tables()
    elements, counts = _element_counts(crystals)
    present = counts > 0.0
    fractions = counts / counts.sum(axis=1, keepdims=True)

    values = tables.magpie[elements]  # (n, k, 22)
    statistics = _statistics(values, fractions, present)
    powers = [np.sum(fractions**p, axis=1) ** (1.0 / p) for p in _NORMS]
    norms = np.column_stack([present.sum(axis=1), *powers])
    electrons = np.einsum("nk,nkp->np", fractions, tables.orbitals[elements])
    return np.hstack([statistics, norms, electrons[:, :4], electrons[:, :4] / electrons[:, 4:]])


def _element_counts(crystals: Sequence[Crystal]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """``(n, k)`` atomic numbers and counts, k the most elements in a crystal; padded with no hydrogen."""
    found = [elements_of(crystal.numbers) for crystal in crystals]
    width = max((len(numbers) for numbers, _ in found), default=1)
    elements = np.ones((len(found), width), dtype=np.int64)
    counts = np.zeros((len(found), width))
    for row, (numbers, number) in enumerate(found):
        elements[row, : len(numbers)] = numbers
        counts[row, : len(numbers)] = number
    return elements, counts


def _statistics(
    values: NDArray[np.float64], fractions: NDArray[np.float64], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Minimum, maximum, range, mean, mean absolute deviation, mode of each property: ``(n, 6 · properties)``.

    The mode is the value of the most abundant element, the smallest one where several are.
    """
    absent = ~present[:, :, None]
    low = np.where(absent, np.inf, values).min(axis=1)
    high = np.where(absent, -np.inf, values).max(axis=1)
    mean = np.einsum("nk,nkp->np", fractions, values)
    deviation = np.einsum("nk,nkp->np", fractions, np.abs(values - mean[:, None, :]))
    most = np.isclose(fractions, fractions.max(axis=1, keepdims=True))
    mode = np.where((most & present)[:, :, None], values, np.inf).min(axis=1)
    stacked = np.stack([low, high, high - low, mean, deviation, mode], axis=2)
    return stacked.reshape(len(values), _STATISTICS * values.shape[2])


def element_properties() -> NDArray[np.float64]:
    """``(119, 27)`` Magpie's 22 properties and the s, p, d, f and all valence electrons, by atomic number.

    Gaps in the data are filled as matminer fills them, with the mean over all elements; row 0 is NaN.
    """
    tables = _tables()
    return np.concatenate([tables.magpie, tables.orbitals], axis=1)
