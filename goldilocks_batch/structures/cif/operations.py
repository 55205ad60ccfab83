"""Symmetry operations as arrays: reading them, and whether they form a group."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.structures.outcome import refuse

__all__ = ["EXACT_METRIC", "Operations", "from_hall", "from_triplets", "keeps_metric"]

MAX_OPERATIONS = 768
"""Four times the 192 of the largest space group in its conventional cell."""
EXACT_METRIC = 5e-4
"""Of the metric tensor: what rounding of cell parameters to three decimals explains."""
METRIC_TOLERANCE = 0.02
"""Of the metric tensor: half of it in a length, about half a degree in an angle near 90."""
_GRID = 24  # every translation of a space group in a conventional setting is a multiple of 1/24


@dataclass(frozen=True, slots=True, eq=False)
class Operations:
    """Symmetry operations on fractional coordinates, ``x' = rotation x + translation``.

    Attributes:
        rotations: ``(n, 3, 3)`` float64, whole numbers.
        translations: ``(n, 3)`` float64, in [0, 1).
        number: of the space group, 0 where it is unknown.
    """

    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]
    number: int = 0

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def are_trivial(self) -> bool:
        """Whether there is the identity alone."""
        return len(self) == 1


def _of_gemmi(group: object, number: int) -> Operations:
    rotations, translations = [], []
    for operation in group:  # type: ignore[attr-defined]
        rotations.append(operation.rot)
        translations.append(operation.tran)
    grid = np.mod(np.array(translations, dtype=np.int64), _GRID)
    return Operations(np.array(rotations, dtype=np.float64) / _GRID, grid / _GRID, number)


@lru_cache(maxsize=1024)
def from_hall(hall: str) -> Operations:
    """Return the operations of a Hall symbol, as S. R. Hall, Acta Cryst. A37 (1981) 517 defines them.

    Raises:
        ValueError: it is none.
    """
    import gemmi

    try:
        group = gemmi.symops_from_hall(hall)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    found = gemmi.find_spacegroup_by_ops(group)
    operations = _of_gemmi(group, found.number if found else 0)
    return operations if found else _numbered(operations)


@lru_cache(maxsize=1024)
def from_triplets(triplets: tuple[str, ...]) -> Operations:
    """Return the operations of a list such as ``x,y,z``; repeated ones count once.

    Raises:
        StructureError: PARSE_FAILED, one cannot be read or there are too many; SYMMETRY_CONTRADICTORY, they
            form no group.
    """
    import gemmi

    if len(triplets) > MAX_OPERATIONS:
        message = f"{len(triplets)} symmetry operations; no space group has more than 192 in its usual cell"
        refuse(ErrorCode.PARSE_FAILED, message)
    read = {}
    for triplet in triplets:
        plain = re.sub(r"[\s_]", "", triplet)
        plain = re.sub(r",[+-]1$", "", plain)  # time reversal, of magnetic structures
        try:
            operation = gemmi.Op(plain).wrap()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:120]
            refuse(ErrorCode.PARSE_FAILED, f"symmetry operation {triplet[:40]!r} is not understood: {reason}")
        read[operation.triplet()] = operation
    operations = _of_gemmi(read.values(), 0)
    _expect_group(operations, triplets)
    found = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(list(read.values())))
    if found:
        return Operations(operations.rotations, operations.translations, found.number)
    return _numbered(operations)


def _expect_group(operations: Operations, triplets: tuple[str, ...]) -> None:
    """Refuse operations whose products are not all among them, modulo lattice translations."""
    turns = np.rint(operations.rotations).astype(np.int64)
    moves = np.rint(operations.translations * _GRID).astype(np.int64)
    keys = _keys(turns, moves)
    identity = _keys(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3), dtype=np.int64))
    closed = bool(np.isin(identity, keys).all()) and bool((np.abs(np.linalg.det(turns)) > 0.5).all())
    for turn, move in zip(turns, moves, strict=True):
        if not closed:
            break
        products = _keys(turn @ turns, np.mod(moves @ turn.T + move, _GRID))
        closed = bool(np.isin(products, keys).all())
    if not closed:
        shown = "; ".join(triplets[:3]) + (" …" if len(triplets) > 3 else "")
        message = (
            f"the {len(operations)} symmetry operations ({shown}) form no group: products of them are not in "
            "the list; list all of them, or name the space group alone"
        )
        refuse(ErrorCode.SYMMETRY_CONTRADICTORY, message)


def _keys(turns: NDArray[np.int64], moves: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each operation; rotation entries lie between -2 and 2 in every setting in use."""
    digits = np.clip(turns.reshape(-1, 9) + 2, -1, 5) + 1
    powers = 7 ** np.arange(9, dtype=np.int64)
    return (digits @ powers) * _GRID**3 + moves @ np.array([1, _GRID, _GRID**2], dtype=np.int64)


def _numbered(operations: Operations) -> Operations:
    """The operations with the number of their space group, found by spglib."""
    import spglib

    rotations = np.rint(operations.rotations).astype(np.intc)
    with warnings.catch_warnings():  # spglib announces its change of error handling on every call
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            kind = spglib.get_spacegroup_type_from_symmetry(rotations, operations.translations)
        except Exception:  # versions differ in what they raise and whether
            return operations
    number = 0 if kind is None else int(kind.number)
    return Operations(operations.rotations, operations.translations, number)


def keeps_metric(
    operations: Operations, lattice: NDArray[np.float64], tolerance: float = METRIC_TOLERANCE
) -> bool:
    """Whether the operations keep all lengths and angles of the cell, within a share of the metric tensor."""
    metric = lattice @ lattice.T
    lengths = np.sqrt(np.diag(metric))
    turned = operations.rotations.transpose(0, 2, 1) @ metric @ operations.rotations
    deviation = np.abs(turned - metric) / np.outer(lengths, lengths)
    return bool(deviation.max() < tolerance)
