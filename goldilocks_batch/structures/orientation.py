"""The Cartesian orientation in which a crystal's rotation axes lie along the usual directions.

A cell that is read from lengths and angles has its first vector along x, wherever the axes of its symmetry
are then.  Quantum ESPRESSO looks for rotations about the edges and diagonals of a cube along x, y and z, and
for those of a hexagonal lattice about z, and for no others (``set_sym_bl`` in its ``symm_base.f90``).  So in
many primitive cells it finds few of the symmetries, and calculates several times as many k-points as the mesh
has irreducible ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import SYMPREC, quiet_spglib

__all__ = ["oriented"]


def oriented(crystal: Crystal) -> NDArray[np.float64]:
    """The lattice vectors of the same cell, turned as a whole.

    The vector a of the conventional cell comes to lie along x, its b in the plane of x and y.  In spglib's
    settings this takes a cube's edges along x, y and z, a hexagonal c along z, a monoclinic b along y.
    Lengths, angles and fractional coordinates stay what they are.

    Args:
        crystal: the crystal, its cell right-handed.

    Returns:
        ``(3, 3)``, rows are vectors, Å; those of the crystal itself if an axis is not periodic, whose
        direction may matter, or if spglib finds no symmetry.
    """
    if not crystal.pbc.all():
        return crystal.lattice
    with quiet_spglib() as spglib:
        try:
            cell = (crystal.lattice, crystal.frac, crystal.numbers)
            found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
        except Exception:  # spglib raises its own class or a binding's, by version
            found = None
    if found is None:
        return crystal.lattice
    a, b, _ = np.linalg.inv(found.transformation_matrix).T @ crystal.lattice
    normal = np.cross(a, b)
    axes = np.array([a, np.cross(normal, a), normal])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    turned: NDArray[np.float64] = crystal.lattice @ axes.T
    return turned
