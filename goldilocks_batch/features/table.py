"""The ordered feature columns: blocks, their widths and the name of every column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["BLOCKS", "PUBLISHED_BLOCKS", "block_slices", "column_names", "n_columns"]

#: Blocks in the order of their columns, with their widths.
BLOCKS: dict[str, int] = {
    "composition": 146,
    "structure": 6,
    "soap": 252,
    "lattice": 15,
    "metallicity": 64,
    "physics": 97,
    "elements": 118,
    "symmetry": 7,
    "cell": 7,
    "reciprocal": 14,
    "bands": 29,
}

#: Blocks of the published forest, in the order of its columns.
PUBLISHED_BLOCKS: tuple[str, ...] = ("composition", "structure", "soap", "lattice", "metallicity")


def n_columns(blocks: Sequence[str] = PUBLISHED_BLOCKS) -> int:
    """Number of columns of some blocks."""
    return sum(BLOCKS[block] for block in blocks)


def block_slices(blocks: Sequence[str] = PUBLISHED_BLOCKS) -> dict[str, slice]:
    """Columns of each block in a table that holds these blocks, in this order.

    Raises:
        KeyError: a block is not one of `BLOCKS`.
    """
    slices: dict[str, slice] = {}
    start = 0
    for block in blocks:
        slices[block] = slice(start, start + BLOCKS[block])
        start += BLOCKS[block]
    return slices


def column_names(blocks: Sequence[str] = PUBLISHED_BLOCKS) -> tuple[str, ...]:
    """Names of the columns of some blocks, ``block.label``.

    Labels hold lower-case letters, digits and underscores; they are those of the libraries that defined the
    columns, e.g. ``soap.l3_n0_n5``, ``metallicity.12``, ``composition.magpiedata_mean_electronegativity``.
    """
    return tuple(f"{block}.{_snake(label)}" for block in blocks for label in _labels(block))


@lru_cache(maxsize=len(BLOCKS))
def _labels(block: str) -> tuple[str, ...]:
    if block == "composition":
        from goldilocks_batch.features.composition import composition_labels

        return composition_labels()
    if block == "structure":
        from goldilocks_batch.features.structure_block import STRUCTURE_LABELS

        return STRUCTURE_LABELS
    if block == "soap":
        from goldilocks_batch.features.soap import soap_labels

        return soap_labels()
    if block == "lattice":
        from goldilocks_batch.features.lattice import LATTICE_LABELS

        return LATTICE_LABELS
    if block == "physics":
        from goldilocks_batch.features.physics import PHYSICS_LABELS

        return PHYSICS_LABELS
    if block == "elements":
        from goldilocks_batch.features.physics import ELEMENT_LABELS

        return ELEMENT_LABELS
    if block == "bands":
        from goldilocks_batch.features.bands import BANDS_LABELS

        return BANDS_LABELS
    if block in ("symmetry", "cell", "reciprocal"):
        from goldilocks_batch.features.cslr import CELL_LABELS, RECIPROCAL_LABELS, SYMMETRY_LABELS

        return {"symmetry": SYMMETRY_LABELS, "cell": CELL_LABELS, "reciprocal": RECIPROCAL_LABELS}[block]
    return tuple(str(column) for column in range(BLOCKS[block]))


def _snake(label: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", label.lower()).strip("_")
