"""A cell is turned to where codes that know a few rotation axes find all its symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.orientation import oriented
from goldilocks_batch.structures.symmetry import find_symmetry

Array = NDArray[np.float64]


def cell(*parameters: float) -> Array:
    from ase.geometry import cellpar_to_cell

    return np.array(cellpar_to_cell(parameters))


def of(lattice: Array, frac: list[list[float]] | None = None, numbers: list[int] | None = None) -> Crystal:
    places = np.array(frac or [[0.0, 0.0, 0.0]])
    return Crystal(np.array(lattice), places, np.array(numbers or [13] * len(places)))


ZINC_BLENDE = [[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]]
#: Crystals with the number of their point group's operations.
CRYSTALS = {
    "cubic, face-centred": (of(cell(2.8, 2.8, 2.8, 60, 60, 60)), 48),
    "cubic, zinc blende": (of(cell(4.0, 4.0, 4.0, 60, 60, 60), ZINC_BLENDE, [13, 33]), 24),
    "cubic, body-centred": (of(cell(2.5, 2.5, 2.5, 109.4712206345, 109.4712206345, 109.4712206345)), 48),
    "cubic, simple": (of(3.0 * np.eye(3)), 48),
    "hexagonal": (of(bulk("Mg").cell[:], [[0, 0, 0], [1 / 3, 2 / 3, 0.5]]), 24),
    "rhombohedral": (of(cell(3.7, 3.7, 3.7, 57.1, 57.1, 57.1)), 12),
    "tetragonal, a along z": (of(np.diag([4.4, 3.0, 3.0])), 16),
    "tetragonal, body-centred": (of(np.array([[-1.5, 1.5, 2.2], [1.5, -1.5, 2.2], [1.5, 1.5, -2.2]])), 16),
    "orthorhombic, one face centred": (of(cell(3.1, 3.1, 5.0, 90, 90, 77.0)), 8),
    "monoclinic": (of(cell(3.1, 4.2, 5.3, 90, 103.0, 90)), 4),
    "triclinic": (of(cell(3.1, 4.2, 5.3, 81.0, 103.0, 77.0)), 2),
}


def cartesian(crystal: Crystal) -> Array:
    """The operations of a crystal's point group as Cartesian matrices, ``(m, 3, 3)``."""
    columns = crystal.lattice.T
    found = find_symmetry(crystal).rotations
    return np.array([columns @ rotation @ np.linalg.inv(columns) for rotation in found])


def known(matrix: Array) -> bool:
    """Whether it is an operation of the cube along x, y, z, or of a hexagonal lattice about z."""
    if np.allclose(np.abs(matrix).round(), np.abs(matrix), atol=1e-7):
        return True
    about_z = np.allclose(matrix[2], [0, 0, matrix[2, 2]], atol=1e-7)
    sixths = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) / 60
    return about_z and abs(sixths - round(sixths)) < 1e-6


def turned_by(crystal: Crystal, rotation: Rotation) -> Crystal:
    return Crystal(rotation.apply(crystal.lattice), crystal.frac, crystal.numbers)


@pytest.mark.parametrize("name", sorted(CRYSTALS))
@given(seed=st.integers(0, 2**16))
def test_all_symmetries_are_about_the_usual_axes_however_the_cell_lies(name: str, seed: int) -> None:
    crystal, count = CRYSTALS[name]
    lying = turned_by(crystal, Rotation.random(random_state=seed))
    found = cartesian(Crystal(oriented(lying), lying.frac, lying.numbers))
    assert len(found) == count
    assert all(known(matrix) for matrix in found)


@pytest.mark.parametrize("name", sorted(CRYSTALS))
def test_the_cell_is_turned_and_not_changed(name: str) -> None:
    crystal, _ = CRYSTALS[name]
    turned = oriented(crystal)
    assert turned @ turned.T == pytest.approx(crystal.lattice @ crystal.lattice.T, abs=1e-12)
    assert np.linalg.det(turned) == pytest.approx(np.linalg.det(crystal.lattice))


def test_a_cell_from_lengths_and_angles_hides_its_symmetries() -> None:
    crystal, _ = CRYSTALS["cubic, face-centred"]
    assert sum(known(matrix) for matrix in cartesian(crystal)) < 48


def test_a_layer_stays_as_it_lies() -> None:
    lattice = np.array([[0.0, 0.0, 3.0], [15.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    layer = Crystal(lattice, np.zeros((1, 3)), np.array([6]), np.array([True, False, True]))
    assert oriented(layer) is layer.lattice
