"""The type of a space group from its operations, which spglib is asked for once for each class of groups.

Two groups with the same point operations in terms of their primitive cells, both right-handed, are of one
type if a shift of the origin takes the translations of one to those of the other.  A shift by ``x`` changes
the translation of the operation ``R`` by ``(R - 1) x``.  Let ``A`` be the ``R - 1`` of some generators, one
below the other: integers ``w`` with ``w A = 0`` do not see the origin, and ``w t`` modulo 1, for a basis of
all such ``w``, says which class the translations ``t`` belong to.  In three dimensions these are twelfths.

spglib takes 0.3 ms to name a group; the crystals of a database belong to some hundred classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.structures.spglib_calls import quiet_spglib

__all__ = ["SpaceGroupType", "space_group_type"]

#: What the numbers that tell classes apart are multiples of, and the noise that they may have, in these.
_TWELFTHS, _NOISE = 12, 0.25
#: Edge of the cell that stands for all of a class, and the tolerance for its operations, which are exact, Å.
_EDGE, _EXACT = 5.0, 1e-3
#: Classes and sets of point operations that are remembered; crystals of all kinds have fewer.
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class SpaceGroupType:
    """Number, 1 to 230, and spglib's symbols of a space group.

    Attributes:
        number: of the International Tables.
        international: short Hermann-Mauguin symbol.
        hall_number: 1 to 530, of the first setting.
        point_group: symbol.
    """

    number: int
    international: str
    hall_number: int
    point_group: str


@dataclass(frozen=True, slots=True, eq=False)
class _PointOperations:
    """Point operations in terms of a primitive cell.

    Attributes:
        rotations: ``(m, 3, 3)`` int32.
        generators: ``(g,)`` places of those that generate all.
        unseen: ``(k, 3 g)`` integers, the basis of those that do not see the origin.
        solved: ``(3 g, k)`` integers that give back translations of the generators: ``unseen @ solved = 1``.
    """

    rotations: NDArray[np.int32]
    generators: NDArray[np.intp]
    unseen: NDArray[np.float64]
    solved: NDArray[np.float64]


def space_group_type(
    rotations: NDArray[np.int32], translations: NDArray[np.float64]
) -> SpaceGroupType | None:
    """Name a space group; the answer depends on the class of the group alone, not on noise or the origin.

    Args:
        rotations: ``(m, 3, 3)`` of one operation for each point operation, on fractional coordinates of a
            primitive, right-handed cell; they form a group.
        translations: ``(m, 3)``, fractional.

    Returns:
        The type, or None if the translations are too far from those of any group, or spglib knows none.
    """
    known = _point_operations(rotations.tobytes())
    if known is None:
        return None
    twelfths = (_TWELFTHS * (known.unseen @ translations[known.generators].ravel())).tolist()
    if any(abs(part - round(part)) > _NOISE for part in twelfths):
        return None
    return _named(known, tuple(round(part) % _TWELFTHS for part in twelfths))


@lru_cache(maxsize=_REMEMBERED)
def _point_operations(rotations: bytes) -> _PointOperations | None:
    """What is known of ``(m, 3, 3)`` int32 point operations; None if they are no group."""
    matrices = np.frombuffer(rotations, dtype=np.int32).reshape(-1, 3, 3)
    generators: list[int] = []
    generated = _generated(matrices, generators)
    for place, matrix in enumerate(matrices):
        if matrix.tobytes() not in generated:
            generators.append(place)
            generated = _generated(matrices, generators)
    if len(generated) != len(matrices):
        return None
    moved = [row for place in generators for row in (matrices[place] - np.eye(3, dtype=np.int32)).tolist()]
    change, rank = _echelon(moved)
    size = len(moved)
    whole = np.array(change, dtype=np.float64).reshape(size, size)
    return _PointOperations(
        matrices, np.array(generators, dtype=np.intp), whole[rank:], np.rint(np.linalg.inv(whole))[:, rank:]
    )


def _generated(
    matrices: NDArray[np.int32], generators: list[int], shifts: NDArray[np.float64] | None = None
) -> dict[bytes, NDArray[np.float64]]:
    """The group that some operations generate: the translation of each by its rotation's bytes.

    Args:
        matrices: ``(m, 3, 3)`` rotations.
        generators: places of the generators.
        shifts: ``(g, 3)`` translations of the generators, zero by default.
    """
    one = np.eye(3, dtype=np.int32)
    found = {one.tobytes(): np.zeros(3)}
    last = [one]
    while last and len(found) <= len(matrices):
        new = []
        for rotation in last:
            for at, place in enumerate(generators):
                product = matrices[place] @ rotation
                if product.tobytes() not in found:
                    shift = np.zeros(3) if shifts is None else shifts[at]
                    found[product.tobytes()] = matrices[place] @ found[rotation.tobytes()] + shift
                    new.append(product)
        last = new
    return found


def _echelon(rows: list[list[int]]) -> tuple[list[list[int]], int]:
    """The unimodular ``change`` that brings rows of 3 integers to echelon form, and their rank (Euclid)."""
    change = [[int(i == j) for j in range(len(rows))] for i in range(len(rows))]
    rank = 0
    for column in range(3):
        while any(row[column] for row in rows[rank:]):
            pivot = min(
                (i for i in range(rank, len(rows)) if rows[i][column]), key=lambda i: abs(rows[i][column])
            )
            for table in (rows, change):
                table[rank], table[pivot] = table[pivot], table[rank]
            for i in range(rank + 1, len(rows)):
                times = rows[i][column] // rows[rank][column]
                for table in (rows, change):
                    table[i] = [a - times * b for a, b in zip(table[i], table[rank], strict=True)]
            if not any(row[column] for row in rows[rank + 1 :]):
                rank += 1
                break
    return change, rank


@lru_cache(maxsize=_REMEMBERED)
def _named(known: _PointOperations, twelfths: tuple[int, ...]) -> SpaceGroupType | None:
    """Spglib's name for a class, from exact operations of a cell that has its symmetry."""
    shifts = (known.solved @ (np.array(twelfths) / _TWELFTHS)).reshape(-1, 3)
    translations = _generated(known.rotations, known.generators.tolist(), shifts)
    metric = np.mean(known.rotations.transpose(0, 2, 1) @ known.rotations, axis=0)
    with quiet_spglib() as spglib:
        kind = spglib.get_spacegroup_type_from_symmetry(
            known.rotations,
            np.array([translations[rotation.tobytes()] for rotation in known.rotations]) % 1.0,
            _EDGE * np.linalg.cholesky(metric),
            _EXACT,
        )
    if kind is None:
        return None
    return SpaceGroupType(
        int(kind.number),
        str(kind.international_short),
        int(kind.hall_number),
        str(kind.pointgroup_international).strip(),
    )
