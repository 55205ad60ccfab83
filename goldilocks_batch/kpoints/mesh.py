"""K-point meshes: from a k-distance to divisions, and how many k-points symmetry leaves of them.

Every mesh is Gamma-centred and unshifted.  Lattices are ``(n, 3, 3)`` float64 in Å, rows a, b, c;
k-distances are in 1/Å with the 2π in the reciprocal lattice (VASP's ``KSPACING``, AiiDA's
``kpoints_distance``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["irreducible_count", "irreducible_counts", "mesh", "reciprocal_lengths", "rotations_in_cell"]

#: Decimals to which AiiDA rounds ``|b_i| / kdist`` before it takes the ceiling.
_DECIMALS = 5
#: Cell vectors whose lengths agree to this, Å, count as equally long; AiiDA-QuantumESPRESSO's figure.
_EQUAL = 1e-5
#: Largest number of divisions along an axis; more is a mistake in the cell or in kdist.  The minors that
#: count fixed points stay within 64 bits up to here.
_MOST = 2**16
#: How far from integers an operation may be in the basis of another cell that it maps on itself.
_INTEGER = 1e-4
#: Largest mesh whose points are gone through where it lacks the crystal's symmetry.
_LISTED = 2**24


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

    The rounding is AiiDA's (``KpointsData.set_kpoints_mesh_from_density``, where it is numpy's) and
    goldilocks-core's: without it float noise gives 10×10×9 on fcc Al.

    Args:
        kdist: ``(n,)``, 1/Å, positive and finite.
        lattices: ``(n, 3, 3)``, Å.
        pbc: ``(n, 3)``; along an axis that is not periodic the count is 1.
        equal_axes: give axes whose cell vectors have equal lengths (to 1e-5 Å) the largest count among
            them.  AiiDA-QuantumESPRESSO's ``create_kpoints_from_distance`` always does so where all three
            vectors are equally long, e.g. in the primitive cell of a body-centred tetragonal crystal,
            whose reciprocal vectors are not; here two suffice, and an axis that is not periodic is left out.

    Returns:
        ``(n, 3)`` int64, each at least 1.

    Raises:
        ValueError: a kdist is not positive, or so small that an axis would have over 65,536 divisions.
    """
    if len(kdist) == 0:
        return np.ones((0, 3), dtype=np.int64)
    if not (np.isfinite(kdist).all() and (kdist > 0).all()):
        raise ValueError("kdist must be positive and finite")
    lengths = reciprocal_lengths(lattices)
    ratio = np.round(lengths / kdist[:, None], _DECIMALS)
    if (ratio > _MOST).any():
        raise ValueError(f"a kdist of {kdist.min():g} 1/Å needs over {_MOST} divisions along an axis")
    counts = np.where(pbc, np.maximum(1, np.ceil(ratio)), 1).astype(np.int64)
    if equal_axes:
        vectors = np.linalg.norm(lattices, axis=2)
        same = np.abs(vectors[:, :, None] - vectors[:, None, :]) < _EQUAL
        counts = np.where(pbc, np.where(same, counts[:, None, :], 1).max(axis=2), 1)
    return counts


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
    kept = np.abs(moved - whole).max(axis=(1, 2)) < _INTEGER
    moved_exactly: NDArray[np.int64] = whole[kept].astype(np.int64)
    return moved_exactly


def irreducible_count(mesh: NDArray[np.int64], rotations: NDArray[np.integer]) -> int:
    """Number of k-points of one mesh that are not equivalent; see :func:`irreducible_counts`."""
    return int(irreducible_counts(np.asarray(mesh)[None], [rotations])[0])


def irreducible_counts(
    meshes: NDArray[np.int64], rotations: Sequence[NDArray[np.integer]]
) -> NDArray[np.int64]:
    """Numbers of k-points that neither symmetry nor time reversal (k to -k) makes equivalent.

    A mesh point is ``k = (m_1/n_1, m_2/n_2, m_3/n_3)`` with integer m, so the mesh is the finite group
    ``Z³ / D Z³``, ``D = diag(n)``.  An operation R on coordinates acts on k as ``g = R^-T``, on m as
    ``D g D⁻¹``.

    Where this is an integer matrix for every R, the whole group maps the mesh on itself, and by Burnside's
    lemma the number of orbits is the mean over the group of the number of fixed points.  The points
    fixed by G are the kernel of ``G - 1`` on ``Z³ / D Z³``; for a homomorphism of a finite group into
    itself the kernel has as many elements as the cokernel ``Z³ / ((G - 1) Z³ + D Z³)``, whose order is the
    greatest common divisor of the 3×3 minors of the 3×6 matrix ``[G - 1 | D]``: no loop over k-points.

    Otherwise (unequal counts along equivalent directions, as in the primitive cell of a body-centred
    tetragonal crystal) some operations take some points of the mesh to others and the rest off it.  Two
    points still are equivalent if any operation takes one to the other, which is how Quantum ESPRESSO and
    spglib count; the points are gone through.  Over 16 million points, only the operations that map
    the whole mesh on itself count, which gives an upper bound.

    Args:
        meshes: ``(n, 3)`` divisions.
        rotations: n arrays ``(m, 3, 3)``, the point operations on fractional coordinates of the same cell;
            they must form a group.

    Returns:
        ``(n,)`` int64.
    """
    counts = np.empty(len(meshes), dtype=np.int64)
    for index, (divisions, operations) in enumerate(zip(meshes, rotations, strict=True)):
        divisions = np.ascontiguousarray(divisions, dtype=np.int64)
        on_k = _on_k(np.ascontiguousarray(operations, dtype=np.int64))
        fitting = _fitting(divisions, on_k)
        if fitting.all() or divisions.prod() > _LISTED:
            counts[index] = _mean_of_fixed_points(divisions, on_k[fitting])
        else:
            counts[index] = _smallest_of_their_orbits(divisions, on_k)
    return counts


@kernel()
def _on_k(rotations: NDArray[np.int64]) -> NDArray[np.int64]:
    """Inverse transposes: for an integer matrix of determinant ±1 its cofactors, ± signed."""
    on_k = np.empty_like(rotations)
    for index in range(len(rotations)):
        r = rotations[index]
        cofactors = on_k[index]
        for i in range(3):
            for j in range(3):
                a, b, c, d = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
                cofactors[i, j] = r[a, c] * r[b, d] - r[a, d] * r[b, c]
        cofactors *= r[0, 0] * cofactors[0, 0] + r[0, 1] * cofactors[0, 1] + r[0, 2] * cofactors[0, 2]
    return on_k


@kernel()
def _fitting(divisions: NDArray[np.int64], on_k: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which operations map the whole mesh on itself."""
    fitting = np.ones(len(on_k), dtype=np.bool_)
    for index in range(len(on_k)):
        for i in range(3):
            for j in range(3):
                if on_k[index, i, j] * divisions[i] % divisions[j] != 0:
                    fitting[index] = False
    return fitting


@kernel()
def _mean_of_fixed_points(divisions: NDArray[np.int64], on_k: NDArray[np.int64]) -> int:
    """Burnside's mean over operations that fit; they and their negatives (time reversal) both count."""
    wide = np.zeros((3, 6), dtype=np.int64)
    for i in range(3):
        wide[i, 3 + i] = divisions[i]
    fixed = 0
    for index in range(len(on_k)):
        for sign in (1, -1):
            for i in range(3):
                for j in range(3):
                    moved = on_k[index, i, j] * divisions[i] // divisions[j]
                    wide[i, j] = sign * moved - (1 if i == j else 0)
            fixed += _largest_minor_divisor(wide)
    return fixed // (2 * len(on_k))


@kernel()
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
                if divisor == 1:
                    return 1
    return divisor


@kernel()
def _gcd(a: int, b: int) -> int:
    a, b = abs(a), abs(b)
    while b:
        a, b = b, a % b
    return a


@kernel()
def _smallest_of_their_orbits(divisions: NDArray[np.int64], on_k: NDArray[np.int64]) -> int:
    """Number of mesh points that no operation takes to a mesh point of lower index."""
    n_1, n_2, n_3 = divisions
    common = n_1 // _gcd(n_1, n_2) * n_2
    common = common // _gcd(common, n_3) * n_3
    step = common // divisions  # of the mesh, in units in which reciprocal vectors are `common` long
    count = 0
    for i in range(n_1):
        for j in range(n_2):
            for k in range(n_3):
                own = (i * n_2 + j) * n_3 + k
                if not _reaches_below(own, i * step[0], j * step[1], k * step[2], divisions, step, on_k):
                    count += 1
    return count


@kernel()
def _reaches_below(
    own: int,
    x: int,
    y: int,
    z: int,
    divisions: NDArray[np.int64],
    step: NDArray[np.int64],
    on_k: NDArray[np.int64],
) -> bool:
    """Whether an operation or its negative takes a point to a mesh point of lower index."""
    for index in range(len(on_k)):
        image = 0
        opposite = 0
        on_mesh = True
        for i in range(3):
            moved = on_k[index, i, 0] * x + on_k[index, i, 1] * y + on_k[index, i, 2] * z
            if moved % step[i] != 0:
                on_mesh = False
                break
            place = moved // step[i] % divisions[i]
            image = image * divisions[i] + place
            opposite = opposite * divisions[i] + (divisions[i] - place) % divisions[i]
        if on_mesh and (image < own or opposite < own):
            return True
    return False
