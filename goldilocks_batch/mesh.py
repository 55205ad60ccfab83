"""K-point meshes: from a k-distance to divisions, and how many k-points symmetry leaves of them.

Every mesh is Gamma-centred and unshifted.  Lattices are ``(n, 3, 3)`` float64 in Å, rows a, b, c;
k-distances are in 1/Å with the 2π in the reciprocal lattice (VASP's ``KSPACING``, AiiDA's
``kpoints_distance``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["irreducible_count", "irreducible_counts", "mesh", "reciprocal_lengths", "rotations_in_cell"]

#: Decimals to which AiiDA rounds ``|b_i| / kdist`` before it takes the ceiling.
_DECIMALS = 5
#: Axes whose reciprocal lengths agree to this relative precision count as equally long.
_EQUAL = 1e-5
#: Largest number of divisions along an axis; more is a mistake in the cell or in kdist.
_MOST = 2**20


def reciprocal_lengths(lattices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths of the reciprocal vectors, with the 2π.

    Args:
        lattices: ``(n, 3, 3)``, Å.

    Returns:
        ``(n, 3)``, 1/Å.
    """
    lengths: NDArray[np.float64] = np.linalg.norm(2 * np.pi * np.linalg.inv(lattices), axis=1)
    return lengths


def mesh(
    kdist: NDArray[np.float64],
    lattices: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    *,
    equal_axes: bool = False,
) -> NDArray[np.int64]:
    """Divisions ``n_i = max(1, ceil(round(|b_i| / kdist, 5)))`` along each reciprocal axis.

    The rounding is AiiDA's (``create_kpoints_from_distance``) and goldilocks-core's: without it float
    noise gives 10×10×9 on fcc Al.

    Args:
        kdist: ``(n,)``, 1/Å, positive and finite.
        lattices: ``(n, 3, 3)``, Å.
        pbc: ``(n, 3)``; along an axis that is not periodic the count is 1.
        equal_axes: give axes of equal reciprocal length the largest count among them, whatever side of a
            rounding step each falls on.

    Returns:
        ``(n, 3)`` int64, each at least 1.

    Raises:
        ValueError: a kdist is not positive, or so small that an axis would have over a million divisions.
    """
    if len(kdist) == 0:
        return np.ones((0, 3), dtype=np.int64)
    if not (np.isfinite(kdist).all() and (kdist > 0).all()):
        raise ValueError("kdist must be positive and finite")
    lengths = reciprocal_lengths(lattices)
    ratio = np.round(lengths / kdist[:, None], _DECIMALS)
    if (ratio > _MOST).any():
        raise ValueError(f"a kdist of {kdist.min():g} 1/Å needs over {_MOST} divisions along an axis")
    counts = np.maximum(1, np.ceil(ratio)).astype(np.int64)
    if equal_axes:
        counts = _equalised(counts, lengths)
    divisions: NDArray[np.int64] = np.where(pbc, counts, 1)
    return divisions


def _equalised(counts: NDArray[np.int64], lengths: NDArray[np.float64]) -> NDArray[np.int64]:
    same = np.abs(lengths[:, :, None] - lengths[:, None, :]) <= _EQUAL * lengths[:, :, None]
    largest: NDArray[np.int64] = np.where(same, counts[:, None, :], 1).max(axis=2)
    return largest


def rotations_in_cell(
    rotations: NDArray[np.integer], lattice: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Point operations of one cell in the basis of another cell of the same crystal.

    Args:
        rotations: ``(m, 3, 3)`` on fractional coordinates (columns) of the first cell.
        lattice: ``(3, 3)`` the first cell, Å.
        other: ``(3, 3)`` the second cell, Å, in the same orientation.

    Returns:
        ``(m', 3, 3)`` int64; operations that do not map the second lattice on itself are left out.
    """
    change = np.linalg.inv(other.T) @ lattice.T  # fractional coordinates: first cell to second
    moved = change @ rotations @ np.linalg.inv(change)
    whole = np.rint(moved)
    kept = np.abs(moved - whole).max(axis=(1, 2)) < 1e-2
    moved_exactly: NDArray[np.int64] = whole[kept].astype(np.int64)
    return moved_exactly


def irreducible_count(mesh: NDArray[np.int64], rotations: NDArray[np.integer]) -> int:
    """Number of k-points of one mesh that are not equivalent; see :func:`irreducible_counts`."""
    return int(irreducible_counts(np.asarray(mesh)[None], [rotations])[0])


def irreducible_counts(
    meshes: NDArray[np.int64], rotations: Sequence[NDArray[np.integer]]
) -> NDArray[np.int64]:
    """Numbers of k-points that neither symmetry nor time reversal (k to -k) makes equivalent.

    Exact and without a loop over k-points.  A mesh point is ``k = (m_1/n_1, m_2/n_2, m_3/n_3)`` with integer
    m, so the mesh is the finite group ``Z³ / D Z³``, ``D = diag(n)``.  An operation R on coordinates acts
    on k as ``g = R^-T``, on m as ``D g D⁻¹``; those for which this is an integer matrix map the mesh on
    itself and form a group.  By Burnside's lemma the number of orbits is the mean over that group of the
    number of fixed points.  The points fixed by G are the kernel of ``G - 1`` on ``Z³ / D Z³``, and for a
    homomorphism of a finite group into itself the kernel has as many elements as the cokernel
    ``Z³ / ((G - 1) Z³ + D Z³)``, whose order is the greatest common divisor of the 3×3 minors of the
    3×6 matrix ``[G - 1 | D]``.

    Args:
        meshes: ``(n, 3)`` divisions.
        rotations: n arrays ``(m, 3, 3)``, the point operations on fractional coordinates of the same cell;
            they must form a group.

    Returns:
        ``(n,)`` int64.
    """
    counts = np.empty(len(meshes), dtype=np.int64)
    for index, (divisions, operations) in enumerate(zip(meshes, rotations, strict=True)):
        counts[index] = _orbits(
            np.ascontiguousarray(divisions, dtype=np.int64), np.ascontiguousarray(operations, dtype=np.int64)
        )
    return counts


@numba.njit(cache=True)
def _gcd(a: int, b: int) -> int:
    a, b = abs(a), abs(b)
    while b:
        a, b = b, a % b
    return a


@numba.njit(cache=True)
def _orbits(divisions: NDArray[np.int64], rotations: NDArray[np.int64]) -> int:
    """Burnside's mean for one mesh; operations and their negatives (time reversal) both count."""
    moved = np.empty((3, 3), dtype=np.int64)
    wide = np.zeros((3, 6), dtype=np.int64)
    for i in range(3):
        wide[i, 3 + i] = divisions[i]
    group = 0
    fixed = 0
    for index in range(len(rotations)):
        r = rotations[index]
        # the inverse transpose of an integer matrix of determinant ±1 is its cofactor matrix, ± signed
        determinant = 0
        preserved = True
        for i in range(3):
            for j in range(3):
                a, b, c, d = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
                moved[i, j] = r[a, c] * r[b, d] - r[a, d] * r[b, c]
            determinant += r[0, i] * moved[0, i]
        for i in range(3):
            for j in range(3):
                scaled = determinant * moved[i, j] * divisions[i]
                preserved &= scaled % divisions[j] == 0
                moved[i, j] = scaled // divisions[j]
        if not preserved:
            continue
        for sign in (1, -1):
            for i in range(3):
                for j in range(3):
                    wide[i, j] = sign * moved[i, j] - (1 if i == j else 0)
            group += 1
            fixed += _largest_minor_divisor(wide)
    return fixed // group


@numba.njit(cache=True)
def _largest_minor_divisor(wide: NDArray[np.int64]) -> int:
    """Greatest common divisor of the 20 minors of a 3×6 matrix."""
    divisor = 0
    for i in range(4):
        for j in range(i + 1, 5):
            for k in range(j + 1, 6):
                minor = (
                    wide[0, i] * (wide[1, j] * wide[2, k] - wide[1, k] * wide[2, j])
                    - wide[0, j] * (wide[1, i] * wide[2, k] - wide[1, k] * wide[2, i])
                    + wide[0, k] * (wide[1, i] * wide[2, j] - wide[1, j] * wide[2, i])
                )
                divisor = _gcd(divisor, minor)
    return divisor
