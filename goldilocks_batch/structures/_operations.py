"""Symmetry operations of a crystal that leave no doubt: the same ones for a narrow and for a wide tolerance.

spglib spends most of its time on what follows the operations (Wyckoff letters, a standard cell): 20 ms and
more for a face-centred cubic crystal, however few its atoms.  Where the operations are beyond doubt, the
space-group type follows from them alone.  They are searched here with a tolerance well above and one well
below spglib's; if the two sets differ, or anything else is unusual, the answer is None and spglib decides.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.structures._images import images_of_cell

__all__ = ["angles_matter", "clear_operations"]

#: Multiples of the tolerance between which an operation would be in doubt.
_NARROW, _WIDE = 0.2, 3.0
#: Multiples of the tolerance up to which a basis has the cell's angles at any angle tolerance, and beyond
#: which it has not its lengths.
_SAME_ANGLES, _SAME_LENGTHS = 0.5, 1.5
#: Cells with more sites are left to spglib, whose search scales better.
_MOST_SITES = 100


@kernel(error_model="numpy")
def clear_operations(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], codes: NDArray[np.int64], tolerance: float
) -> tuple[int, NDArray[np.int32], NDArray[np.float64], NDArray[np.int32]]:
    """All symmetry operations of a primitive cell, none if they depend on the tolerance.

    Args:
        lattice: ``(3, 3)``, rows a, b, c, Å.
        frac: ``(n, 3)`` fractional coordinates.
        codes: ``(n,)`` integers from 0, one for each kind of atom.
        tolerance: distance around which there must be no doubt, Å.

    Returns:
        Their number m, 0 if they depend on the tolerance; ``(m, 3, 3)`` rotations on fractional coordinates,
        ``(m, 3)`` translations in [0, 1), and ``(n,)`` the first atom on which each atom is mapped.
    """
    n, count = len(frac), 0
    first = np.arange(n).astype(np.int32)
    rotations, translations = np.empty((0, 3, 3), dtype=np.int32), np.empty((0, 3))
    narrow, wide = _NARROW * tolerance, _WIDE * tolerance
    if not 0 < n <= _MOST_SITES or not (np.isfinite(lattice).all() and np.isfinite(frac).all()):
        return count, rotations, translations, first
    candidates, bases, misfits = images_of_cell(lattice, wide)
    if candidates < 1 or _overlap(lattice, frac, codes, wide):
        return count, rotations, translations, first
    rotations, translations = np.empty((candidates, 3, 3), dtype=np.int32), np.empty((candidates, 3))
    rarest = _rarest(codes)
    turned, images = np.empty((n, 3)), np.empty(n, dtype=np.int64)
    for k in range(candidates):
        _turn(bases[k], frac, turned)
        found = False
        for q in range(n):
            if codes[q] != codes[rarest]:
                continue
            x, y, z = (
                frac[q, 0] - turned[rarest, 0],
                frac[q, 1] - turned[rarest, 1],
                frac[q, 2] - turned[rarest, 2],
            )
            worst2 = _worst_misfit2(lattice, frac, codes, turned, x, y, z, wide, images)
            if worst2 < 0.0:
                continue
            # a second translation: the cell is not primitive
            if found or misfits[k] > narrow or worst2 > narrow * narrow:
                return 0, rotations, translations, first
            found = True
            rotations[count] = bases[k].T
            translations[count] = x % 1.0, y % 1.0, z % 1.0
            for i in range(n):
                first[i] = min(first[i], images[i])
        if found:
            count += 1
    return count, rotations[:count], translations[:count], first


@kernel(error_model="numpy")
def angles_matter(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], codes: NDArray[np.int64], tolerance: float
) -> bool:
    """Whether the symmetry of a crystal may depend on a tolerance for angles beside that for distances.

    An angle tolerance admits bases that have the lengths of the cell's vectors, but not its angles.  It
    matters where one of these goes with an operation that maps the atoms on each other.

    Args:
        lattice: ``(3, 3)``, rows a, b, c, Å, of a reduced primitive cell.
        frac: ``(n, 3)`` fractional coordinates.
        codes: ``(n,)`` integers, one for each kind of atom.
        tolerance: distance tolerance of the symmetry search, Å; that for angles is 15° at most.
    """
    wide = _WIDE * tolerance
    count, bases, misfits = images_of_cell(lattice, wide)
    if count < 1:
        return True
    n, rarest = len(frac), _rarest(codes)
    images, turned = np.empty(n, dtype=np.int64), np.empty((n, 3))
    for k in range(count):
        if misfits[k] <= _SAME_ANGLES * tolerance:
            continue
        stretch = 0.0
        for i in range(3):
            length2, own2 = 0.0, 0.0
            for j in range(3):
                part = (
                    bases[k, i, 0] * lattice[0, j]
                    + bases[k, i, 1] * lattice[1, j]
                    + bases[k, i, 2] * lattice[2, j]
                )
                length2 += part * part
                own2 += lattice[i, j] * lattice[i, j]
            stretch = max(stretch, abs(math.sqrt(length2) - math.sqrt(own2)))
        if stretch > _SAME_LENGTHS * tolerance:
            continue
        _turn(bases[k], frac, turned)
        for q in range(n):
            if codes[q] == codes[rarest]:
                x, y, z = (
                    frac[q, 0] - turned[rarest, 0],
                    frac[q, 1] - turned[rarest, 1],
                    frac[q, 2] - turned[rarest, 2],
                )
                if _worst_misfit2(lattice, frac, codes, turned, x, y, z, wide, images) >= 0.0:
                    return True
    return False


@kernel(error_model="numpy")
def _rarest(codes: NDArray[np.int64]) -> int:
    """The first atom of the kind of which there are fewest."""
    counts = np.zeros(codes.max() + 1, dtype=np.int64)
    for code in codes:
        counts[code] += 1
    rarest = 0
    for i in range(len(codes)):
        if counts[codes[i]] < counts[codes[rarest]]:
            rarest = i
    return rarest


@kernel(error_model="numpy")
def _turn(basis: NDArray[np.int64], frac: NDArray[np.float64], turned: NDArray[np.float64]) -> None:
    """Coordinates turned by the rotation to a basis.

    A basis in terms of the cell, as rows, is the transposed rotation of fractional coordinates.
    """
    for i in range(len(frac)):
        for b in range(3):
            turned[i, b] = basis[0, b] * frac[i, 0] + basis[1, b] * frac[i, 1] + basis[2, b] * frac[i, 2]


@kernel(error_model="numpy")
def _nearest(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    codes: NDArray[np.int64],
    x: float,
    y: float,
    z: float,
    code: int,
    other_than: int,
    wide: float,
) -> tuple[int, float]:
    """An atom of a kind within `wide` of a point and its squared distance, Å²; -1 if there is none."""
    for j in range(len(frac)):
        if codes[j] != code or j == other_than:
            continue
        a, b, c = x - frac[j, 0], y - frac[j, 1], z - frac[j, 2]
        a, b, c = a - np.rint(a), b - np.rint(b), c - np.rint(c)
        distance2 = 0.0
        for k in range(3):
            part = a * lattice[0, k] + b * lattice[1, k] + c * lattice[2, k]
            distance2 += part * part
        if distance2 < wide * wide:
            return j, distance2
    return -1, 0.0


@kernel(error_model="numpy")
def _overlap(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], codes: NDArray[np.int64], wide: float
) -> bool:
    """Whether two atoms of a kind lie within twice `wide`, so that images could be confused."""
    for i in range(len(frac)):
        x, y, z = frac[i]
        if _nearest(lattice, frac, codes, x, y, z, codes[i], i, 2.0 * wide)[0] >= 0:
            return True
    return False


@kernel(error_model="numpy")
def _worst_misfit2(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    codes: NDArray[np.int64],
    turned: NDArray[np.float64],
    x: float,
    y: float,
    z: float,
    wide: float,
    images: NDArray[np.int64],
) -> float:
    """Largest squared distance, Å², of turned atoms from those on which a shift takes them; -1 for none.

    The atoms that they fall on are noted in `images`.
    """
    worst2 = 0.0
    for i in range(len(frac)):
        j, distance2 = _nearest(
            *(lattice, frac, codes, turned[i, 0] + x, turned[i, 1] + y, turned[i, 2] + z),
            *(codes[i], -1, wide),
        )
        if j < 0:
            return -1.0
        images[i] = j
        worst2 = max(worst2, distance2)
    return worst2
