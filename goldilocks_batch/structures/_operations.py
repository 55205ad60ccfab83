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

__all__ = ["angles_matter", "clear_operations"]

#: Multiples of the tolerance between which an operation would be in doubt.
_NARROW, _WIDE = 0.2, 3.0
#: The wide search allows for this relative change of cell lengths and this change of cell angles, degrees.
#: spglib compares a reduced cell with 5°, which may be several times as much in another basis.
_WIDE_LENGTH = 0.12
_WIDE_ANGLE = 15.0
#: Multiples of the tolerance up to which a basis has the cell's angles at any angle tolerance, and beyond
#: which it has not its lengths.
_SAME_ANGLES, _SAME_LENGTHS = 0.5, 1.5
#: A reduced cell needs images up to 1 or 2 times its own vectors; cells much more skewed are left to spglib.
_FARTHEST_IMAGE = 3
#: A long vector may have images that differ by more of the short ones; cells much longer are left to spglib.
_FARTHEST_SHIFT = 12
#: Cells with more sites are left to spglib, whose search scales better.
_MOST_SITES = 100
_MOST_BASES = 1024


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
    count, bases, misfits = _images_of_cell(lattice, wide, math.radians(_WIDE_ANGLE))
    if count < 1 or _overlap(lattice, frac, codes, wide):
        return None
    count, rotations, translations, first = _operations(
        lattice, frac, codes, bases[:count], misfits[:count], narrow, wide
    )
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
    count, bases, misfits = _images_of_cell(lattice, wide, math.radians(_WIDE_ANGLE))
    return count < 1 or _angles_matter(lattice, frac, codes, bases[:count], misfits[:count], tolerance)


@kernel(error_model="numpy")
def _angle(product: float, one: float, other: float) -> float:
    return math.acos(min(1.0, max(-1.0, product / (one * other))))


@kernel(error_model="numpy")
def _images_of_cell(
    lattice: NDArray[np.float64], wide: float, wide_angle: float
) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
    """Bases ``(k, 3, 3)`` with the lengths and angles of the cell, and by how much they miss them, Å."""
    metric = lattice @ np.ascontiguousarray(lattice.T)
    lengths = np.sqrt(np.diag(metric))
    bases = np.zeros((_MOST_BASES, 3, 3), dtype=np.int64)
    misfits = np.zeros(_MOST_BASES)
    volume = abs(np.linalg.det(lattice))
    reach = np.zeros(3, dtype=np.int64)
    for i in range(3):
        # |n_i| ≤ |v| / spacing of the planes that axis i leads across
        spacing = volume / np.linalg.norm(np.cross(lattice[(i + 1) % 3], lattice[(i + 2) % 3]))
        farthest = ((1.0 + _WIDE_LENGTH) * lengths.max() + wide) / spacing
        skewed = not ((1.0 + _WIDE_LENGTH) * lengths[i] + wide) / spacing < _FARTHEST_IMAGE + 1
        if skewed or farthest >= _FARTHEST_SHIFT + 1 or lengths[i] < 10.0 * wide:
            return -1, bases, misfits
        reach[i] = int(farthest)
    vectors = np.zeros((3, (2 * reach + 1).prod(), 3), dtype=np.int64)
    counts = np.zeros(3, dtype=np.int64)
    v = np.zeros(3)
    for x in range(-reach[0], reach[0] + 1):
        for y in range(-reach[1], reach[1] + 1):
            for z in range(-reach[2], reach[2] + 1):
                v[0], v[1], v[2] = x, y, z
                length = math.sqrt(abs(v @ (metric @ v)))
                for i in range(3):
                    if abs(length - lengths[i]) < _WIDE_LENGTH * lengths[i] + wide:
                        vectors[i, counts[i]] = x, y, z
                        counts[i] += 1
    least, most = np.zeros(3), np.zeros(3)  # products of two vectors whose angle is that of the cell's
    for i in range(3):
        j = (i + 1) % 3
        own = _angle(metric[i, j], lengths[i], lengths[j])
        least[i] = math.cos(min(math.pi, own + wide_angle)) * lengths[i] * lengths[j] - 1e-9
        most[i] = math.cos(max(0.0, own - wide_angle)) * lengths[i] * lengths[j] + 1e-9
    count = 0
    for a in range(counts[0]):
        for b in range(counts[1]):
            if not least[0] < _product(metric, vectors[0, a], vectors[1, b]) < most[0]:
                continue
            for c in range(counts[2]):
                if not least[1] < _product(metric, vectors[1, b], vectors[2, c]) < most[1]:
                    continue
                if not least[2] < _product(metric, vectors[2, c], vectors[0, a]) < most[2]:
                    continue
                basis = np.stack((vectors[0, a], vectors[1, b], vectors[2, c]))
                misfit = _misfit(basis.astype(np.float64), metric, lengths, wide_angle)
                if misfit < 0.0:
                    continue
                if count == _MOST_BASES:
                    return -1, bases, misfits
                bases[count] = basis
                misfits[count] = misfit
                count += 1
    return count, bases, misfits


@kernel(error_model="numpy")
def _product(metric: NDArray[np.float64], one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    product = 0.0
    for i in range(3):
        for j in range(3):
            product += one[i] * metric[i, j] * other[j]
    return product


@kernel(error_model="numpy")
def _misfit(
    basis: NDArray[np.float64], metric: NDArray[np.float64], lengths: NDArray[np.float64], wide_angle: float
) -> float:
    """Largest deviation of a basis from the cell's lengths and angles, Å; -1 if it is no image of it."""
    products = basis @ metric @ basis.T
    worst = 0.0
    for i in range(3):
        j = (i + 1) % 3
        turn = _angle(products[i, j], lengths[i], lengths[j]) - _angle(metric[i, j], lengths[i], lengths[j])
        if abs(turn) > wide_angle:
            return -1.0
        stretch = abs(math.sqrt(products[i, i]) - lengths[i])
        worst = max(worst, stretch, abs(products[i, j] - metric[i, j]) / min(lengths[i], lengths[j]))
    return worst if abs(abs(np.linalg.det(basis)) - 1.0) < 0.5 else -1.0


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
