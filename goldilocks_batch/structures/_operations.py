"""Symmetry operations of a crystal that leave no doubt: the same ones for a narrow and for a wide tolerance.

spglib spends most of its time on what follows the operations (Wyckoff letters, a standard cell): 20 ms and
more for a face-centred cubic crystal, however few its atoms.  Where the operations are beyond doubt, the
space-group type follows from them alone.  They are searched here with a tolerance well above and one well
below spglib's; if the two sets differ, or anything else is unusual, the answer is None and spglib decides.
"""

from __future__ import annotations

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


def clear_operations(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], codes: NDArray[np.int64], tolerance: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]] | None:
    """All symmetry operations of a primitive cell, None if they depend on the tolerance.

    Args:
        lattice: ``(3, 3)``, rows a, b, c, Å, finite.
        frac: ``(n, 3)`` fractional coordinates, finite.
        codes: ``(n,)`` small integers, one for each kind of atom.
        tolerance: distance around which there must be no doubt, Å.

    Returns:
        ``(m, 3, 3)`` rotations on fractional coordinates, ``(m, 3)`` translations in [0, 1), and ``(n,)`` the
        first atom on which each atom is mapped.
    """
    if not 0 < len(frac) <= _MOST_SITES:
        return None
    narrow, wide = _NARROW * tolerance, _WIDE * tolerance
    count, bases, misfits = images_of_cell(lattice, wide)
    if count < 1 or _overlap(lattice, frac, codes, wide):
        return None
    count, rotations, translations, first = _operations(lattice, frac, codes, bases, misfits, narrow, wide)
    return None if count < 1 else (rotations[:count], translations[:count] % 1.0, first)


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
    return count < 1 or _angles_matter(lattice, frac, codes, bases, misfits, tolerance)


@kernel(error_model="numpy")
def _nearest(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    codes: NDArray[np.int64],
    point: NDArray[np.float64],
    code: int,
    other_than: int,
    wide: float,
) -> tuple[int, float]:
    """An atom of a kind within `wide` of a point and its squared distance; -1 if there is none."""
    for j in range(len(frac)):
        if codes[j] != code or j == other_than:
            continue
        a, b, c = point[0] - frac[j, 0], point[1] - frac[j, 1], point[2] - frac[j, 2]
        a, b, c = a - np.rint(a), b - np.rint(b), c - np.rint(c)
        x = a * lattice[0, 0] + b * lattice[1, 0] + c * lattice[2, 0]
        y = a * lattice[0, 1] + b * lattice[1, 1] + c * lattice[2, 1]
        z = a * lattice[0, 2] + b * lattice[1, 2] + c * lattice[2, 2]
        distance2 = x * x + y * y + z * z
        if distance2 < wide * wide:
            return j, distance2
    return -1, 0.0


@kernel(error_model="numpy")
def _overlap(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], codes: NDArray[np.int64], wide: float
) -> bool:
    """Whether two atoms of a kind lie within twice `wide`, so that images could be confused."""
    for i in range(len(frac)):
        if _nearest(lattice, frac, codes, frac[i], codes[i], i, 2.0 * wide)[0] >= 0:
            return True
    return False


@kernel(error_model="numpy")
def _operations(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    codes: NDArray[np.int64],
    bases: NDArray[np.int64],
    misfits: NDArray[np.float64],
    narrow: float,
    wide: float,
) -> tuple[int, NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """The translation that goes with each basis, if any; a count of -1 if one is in doubt."""
    n = len(frac)
    rotations = np.zeros((len(bases), 3, 3), dtype=np.int64)
    translations = np.zeros((len(bases), 3))
    first = np.arange(n)
    rarest = 0
    for i in range(n):
        if np.sum(codes == codes[i]) < np.sum(codes == codes[rarest]):
            rarest = i
    turned = np.zeros((n, 3))
    images = np.zeros(n, dtype=np.int64)
    count = 0
    for k in range(len(bases)):
        # a basis in terms of the cell, as rows, is the transposed rotation of fractional coordinates
        for i in range(n):
            for b in range(3):
                turned[i, b] = (
                    bases[k, 0, b] * frac[i, 0] + bases[k, 1, b] * frac[i, 1] + bases[k, 2, b] * frac[i, 2]
                )
        found = False
        for q in range(n):
            if codes[q] != codes[rarest]:
                continue
            shift = frac[q] - turned[rarest]
            worst2 = _worst_misfit2(lattice, frac, codes, turned, shift, wide, images)
            if worst2 < 0.0:
                continue
            # a second translation: the cell is not primitive
            if found or misfits[k] > narrow or worst2 > narrow * narrow:
                return -1, rotations, translations, first
            found = True
            rotations[count] = bases[k].T
            translations[count] = shift
            for i in range(n):
                first[i] = min(first[i], images[i])
        if found:
            count += 1
    return count, rotations, translations, first


@kernel(error_model="numpy")
def _worst_misfit2(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    codes: NDArray[np.int64],
    turned: NDArray[np.float64],
    shift: NDArray[np.float64],
    wide: float,
    images: NDArray[np.int64],
) -> float:
    """Largest squared distance of shifted atoms from those they fall on, noted in `images`; -1 for none."""
    worst2 = 0.0
    for i in range(len(frac)):
        j, distance2 = _nearest(lattice, frac, codes, turned[i] + shift, codes[i], -1, wide)
        if j < 0:
            return -1.0
        images[i] = j
        worst2 = max(worst2, distance2)
    return worst2


@kernel(error_model="numpy")
def _angles_matter(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    codes: NDArray[np.int64],
    bases: NDArray[np.int64],
    misfits: NDArray[np.float64],
    tolerance: float,
) -> bool:
    """Whether a basis with the cell's lengths, but not its angles, belongs to an operation on the atoms."""
    n = len(frac)
    rarest = 0
    for i in range(n):
        if np.sum(codes == codes[i]) < np.sum(codes == codes[rarest]):
            rarest = i
    images = np.zeros(n, dtype=np.int64)
    for k in range(len(bases)):
        if misfits[k] <= _SAME_ANGLES * tolerance:
            continue
        basis = bases[k].astype(np.float64)
        vectors = basis @ lattice
        stretch = 0.0
        for i in range(3):
            length, own = np.linalg.norm(vectors[i]), np.linalg.norm(lattice[i])
            stretch = max(stretch, abs(float(length - own)))
        if stretch > _SAME_LENGTHS * tolerance:
            continue
        turned = frac @ basis
        for q in range(n):
            if codes[q] == codes[rarest]:
                shift = frac[q] - turned[rarest]
                if _worst_misfit2(lattice, frac, codes, turned, shift, _WIDE * tolerance, images) >= 0.0:
                    return True
    return False
