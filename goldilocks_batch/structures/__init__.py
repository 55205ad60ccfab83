"""From a reference to a checked crystal and its primitive cell, or to an error that says why not."""

from __future__ import annotations

from goldilocks_batch.structures.load import load
from goldilocks_batch.structures.parsers import from_pymatgen
from goldilocks_batch.structures.primitive import primitive_cell

__all__ = ["from_pymatgen", "load", "primitive_cell"]
