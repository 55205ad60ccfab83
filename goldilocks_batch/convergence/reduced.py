"""The list of k-points that Quantum ESPRESSO calculates of a mesh, in its order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["reduced_points"]

Array = NDArray[np.float64]

#: How far a k-point may lie from one of the mesh, in its spacings.
_ON_MESH = 1e-5


def reduced_points(divisions: tuple[int, int, int], symmetries: Array, crystal: int) -> Array:
    """The k-points of a Γ-centred mesh that symmetry tells apart, as pw.x lists them.

    It lists those that the lattice tells apart (``kpoint_grid``), and after them those that the crystal does
    and the lattice does not (``irreducible_BZ``).

    Args:
        divisions: of the mesh.
        symmetries: ``(n, 3, 3)`` rotations of the lattice as pw.x lists them, those of the crystal first;
            they turn coordinates in reciprocal lattice vectors.
        crystal: how many of them are the crystal's.

    Returns:
        ``(k, 3)`` coordinates in reciprocal lattice vectors.
    """
    points = _of_lattice(divisions, symmetries)
    if crystal == len(symmetries):
        return points
    added = [rest for point in points for rest in _told_apart(point, symmetries, crystal)]
    return np.concatenate([points, np.reshape(added, (-1, 3))])


def _of_lattice(divisions: tuple[int, int, int], symmetries: Array) -> Array:
    """Those that rotations and time reversal do not take to one that comes before."""
    counts = np.array(divisions)
    mesh = np.stack(np.meshgrid(*(np.arange(n) for n in divisions), indexing="ij"), axis=-1).reshape(-1, 3)
    own = np.arange(len(mesh))
    first = own.copy()
    for rotation in symmetries:
        turned = (mesh / counts) @ rotation.T * counts
        whole = np.rint(turned)
        on = (np.abs(turned - whole) < _ON_MESH).all(axis=1)
        for image in (whole[on], -whole[on]):
            place = np.ravel_multi_index(tuple((image.astype(np.int64) % counts).T), divisions)
            first[on] = np.minimum(first[on], place)
    points: Array = mesh[first == own] / counts
    return points - np.floor(points + 0.5)  # a half becomes minus a half


def _told_apart(point: Array, symmetries: Array, crystal: int) -> list[Array]:
    """Images of a k-point by rotations of the lattice which those of the crystal do not take to it."""
    inverse = np.rint(np.linalg.inv(symmetries))
    left = list(range(crystal, len(symmetries)))
    orbits = [inverse[:crystal] @ point]
    found = []
    while left:
        one = left[0]
        coset = inverse[:crystal] @ inverse[one]
        left = [i for i in left if not (np.abs(coset - inverse[i]).max(axis=(1, 2)) < 0.5).any()]
        image = inverse[one] @ point
        same = [
            np.abs(away - np.rint(away)).max(axis=1) < _ON_MESH
            for orbit in orbits
            for away in (orbit - image, orbit + image)
        ]
        orbits.append(coset @ point)
        if not np.any(same):
            found.append(image)
    return found
