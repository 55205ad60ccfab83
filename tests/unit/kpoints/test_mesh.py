from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.kpoints.mesh import mesh, reciprocal_lengths, rotations_in_cell

ALL = np.ones((1, 3), dtype=bool)
entries = st.floats(-6, 6, allow_nan=False)
lattices = (
    st.lists(entries, min_size=9, max_size=9)
    .map(lambda values: np.array(values).reshape(3, 3) + np.eye(3))
    .filter(lambda a: abs(np.linalg.det(a)) > 1.0)
)


def aiida(lattice: NDArray[np.float64], kdist: float) -> list[int]:
    """AiiDA's rule, written down a second time: cross products, one axis after the other."""
    volume = float(np.dot(lattice[0], np.cross(lattice[1], lattice[2])))
    counts = []
    for i in range(3):
        b = 2 * math.pi * np.cross(lattice[(i + 1) % 3], lattice[(i + 2) % 3]) / volume
        counts.append(max(1, math.ceil(round(np.linalg.norm(b) / kdist, 5))))
    return counts


@given(lattices, st.floats(0.02, 2.0))
def test_meshes_are_aiidas(lattice: NDArray[np.float64], kdist: float) -> None:
    found = mesh(np.array([kdist]), lattice[None], ALL)[0].tolist()
    expected = aiida(lattice, kdist)
    ratio = reciprocal_lengths(lattice[None])[0] / kdist
    # where the ratio is within float noise of a rounding step the two ways of inverting may differ
    noise = np.abs(ratio * 1e5 % 1 - 0.5) < 1e-6
    assert all(a == b or close for a, b, close in zip(found, expected, noise, strict=True))


@pytest.mark.parametrize("a", [4.0495, 4.05, 3.9, 4.0782, 5.0])
def test_fcc_has_equal_counts_at_every_kdist(a: float) -> None:
    primitive = a * np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    kdists = np.arange(1.0, 0.0499, -0.005)
    found = mesh(
        kdists, np.repeat(primitive[None], len(kdists), axis=0), np.ones((len(kdists), 3), dtype=bool)
    )
    assert (found == found[:, :1]).all()


def test_an_orthogonal_cell_is_the_familiar_formula() -> None:
    lattice = np.diag([3.0, 4.0, 12.0])
    found = mesh(np.array([0.2]), lattice[None], ALL)[0].tolist()
    assert found == [math.ceil(2 * math.pi / (a * 0.2)) for a in (3.0, 4.0, 12.0)]


def test_an_axis_that_is_not_periodic_has_one_point() -> None:
    found = mesh(np.array([0.1]), np.diag([3.0, 4.0, 5.0])[None], np.array([[True, False, True]]))
    assert found[0, 1] == 1
    assert found[0, 0] > 1


def test_equal_axes_have_equal_counts() -> None:
    # two axes whose lengths differ by less than any experiment sees, on two sides of a step
    kdist = np.array([2 * math.pi / 4.0 / 10 * (1 - 1.2e-6)])
    lattice = np.diag([4.0, 4.000009, 7.0])[None]
    free, forced = mesh(kdist, lattice, ALL)[0], mesh(kdist, lattice, ALL, equal_axes=True)[0]
    assert free[0] != free[1]
    assert forced[0] == forced[1] == max(free[0], free[1])
    assert forced[2] == free[2]


def test_vectors_of_equal_length_have_equal_counts_as_aiida_quantumespresso_forces_them() -> None:
    # body-centred tetragonal: three equal vectors, but a third reciprocal vector of another length
    lattice = 0.5 * np.array([[-4.0, 4.0, 9.0], [4.0, -4.0, 9.0], [4.0, 4.0, -9.0]])[None]
    free, forced = (mesh(np.array([0.2]), lattice, ALL, equal_axes=equal)[0] for equal in (False, True))
    assert free[0] == free[1] != free[2]
    assert forced.tolist() == [free.max()] * 3


def test_an_axis_that_is_not_periodic_does_not_raise_the_others() -> None:
    # equally long, but skewed: the axis that is not periodic has the longest reciprocal vector
    lattice = 4.0 * np.array([[[1.0, 0, 0], [0, 1, 0], [0, math.sqrt(0.84), 0.4]]])
    pbc = np.array([[True, False, True]])
    free, forced = (mesh(np.array([0.2]), lattice, pbc, equal_axes=equal)[0] for equal in (False, True))
    assert forced[1] == 1
    assert forced[0] == forced[2] == max(free[0], free[2])


@pytest.mark.parametrize("kdist", [0.0, -0.1, math.nan, math.inf])
def test_a_kdist_that_is_none_is_refused(kdist: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        mesh(np.array([kdist]), np.eye(3)[None], ALL)


def test_an_absurdly_dense_mesh_is_refused() -> None:
    with pytest.raises(ValueError, match="divisions"):
        mesh(np.array([1e-9]), np.eye(3)[None], ALL)


def test_no_structures_is_no_meshes() -> None:
    assert mesh(np.empty(0), np.empty((0, 3, 3)), np.empty((0, 3), dtype=bool)).shape == (0, 3)


def test_rotations_move_to_a_supercell_and_those_that_do_not_fit_are_left_out() -> None:
    fourfold = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, -1, 0], [1, 0, 0], [0, 0, 1]]])
    cell = np.eye(3) * 4.0
    assert len(rotations_in_cell(fourfold, cell, cell @ np.diag([2, 2, 1]))) == 2
    kept = rotations_in_cell(fourfold, cell, np.diag([2, 1, 1]) @ cell)
    assert kept.tolist() == [np.eye(3, dtype=int).tolist()]


def test_a_very_long_supercell_keeps_no_operation_by_rounding() -> None:
    # in 201 cells side by side a shear's entry of 1/201 is not a whole number, however small
    shear = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 0], [1, 0, 1]]])
    cell = np.eye(3) * 4.0
    assert len(rotations_in_cell(shear, cell, np.diag([1, 1, 201]) @ cell)) == 1
