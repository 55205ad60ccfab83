"""What must hold for a primitive cell, whoever computes it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.structures.checks import overlapping_pair
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.primitive import primitive_cell

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
BCC = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])

PRIMITIVES = {
    "aluminium": Crystal(4.05 * FCC, np.zeros((1, 3)), np.array([13])),
    "tungsten": Crystal(3.16 * BCC, np.zeros((1, 3)), np.array([74])),
    "silicon": Crystal(5.43 * FCC, np.array([[0.0, 0, 0], [0.25, 0.25, 0.25]]), np.array([14, 14])),
    "rock salt": Crystal(5.64 * FCC, np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), np.array([11, 17])),
    "perovskite": Crystal(
        3.9 * np.eye(3),
        np.array([[0.0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
        np.array([38, 22, 8, 8, 8]),
    ),
    "magnesium": Crystal(
        np.array([[3.21, 0, 0], [-1.605, 3.21 * 0.75**0.5, 0], [0, 0, 5.21]]),
        np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]),
        np.array([12, 12]),
    ),
}


def supercell(crystal: Crystal, matrix: NDArray[np.int64]) -> Crystal:
    """The crystal on the lattice ``matrix @ lattice``, sites of one kind together."""
    size = round(abs(np.linalg.det(matrix)))
    reach = int(np.abs(matrix).sum())
    steps = np.arange(-reach, reach + 1)
    points = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    inside = points @ np.linalg.inv(matrix)
    inside = inside[np.all((inside > -1e-9) & (inside < 1 - 1e-9), axis=1)]
    assert len(inside) == size
    frac = (crystal.frac @ np.linalg.inv(matrix))[:, None, :] + inside[None]
    return Crystal(
        matrix @ crystal.lattice, frac.reshape(-1, 3), np.repeat(crystal.numbers, size), crystal.pbc
    )


def shells(crystal: Crystal) -> NDArray[np.float64]:
    """Distances below 6 Å between all atoms of a cell and all others, with both atomic numbers, sorted."""
    heights = 1 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    reach = int(np.ceil(6.0 / heights.min() + np.ptp(crystal.frac)))
    steps = np.arange(-reach, reach + 1)
    images = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 1, 1, 3)
    vectors = (crystal.frac[None] - crystal.frac[:, None] + images) @ crystal.lattice
    distances = np.linalg.norm(vectors, axis=-1)
    pairs = 1000.0 * crystal.numbers[None, :, None] + crystal.numbers[None, None, :] + 0 * distances
    near = distances < 6.0
    return np.array(sorted(zip(pairs[near], distances[near].round(9), strict=True)))


def matrices() -> st.SearchStrategy[NDArray[np.int64]]:
    entry = st.integers(-1, 2)
    return (
        st.lists(entry, min_size=9, max_size=9)
        .map(lambda entries: np.array(entries).reshape(3, 3))
        .filter(lambda matrix: 1 <= round(np.linalg.det(matrix)) <= 6)
    )


@pytest.mark.parametrize("name", PRIMITIVES)
@given(matrix=matrices())
@settings(max_examples=15)
def test_every_supercell_gives_back_the_primitive_crystal(name: str, matrix: NDArray[np.int64]) -> None:
    expected = PRIMITIVES[name]
    found = primitive_cell(supercell(expected, matrix))
    assert sorted(found.numbers) == sorted(expected.numbers)
    assert found.volume == pytest.approx(expected.volume, rel=1e-9)
    assert np.linalg.det(found.lattice) > 0
    assert overlapping_pair(found.lattice, found.frac, found.pbc, 1.0)[0] == -1
    np.testing.assert_allclose(shells(found), shells(expected), atol=1e-8)
    # the crystal did not turn: every vector of the primitive lattice is one of the supercell's translations
    steps = found.lattice @ np.linalg.inv(expected.lattice)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-8)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_primitive_cell_is_returned_untouched(name: str) -> None:
    assert primitive_cell(PRIMITIVES[name]) is PRIMITIVES[name]


def test_a_small_displacement_is_averaged_away_and_a_large_one_is_kept() -> None:
    doubled = supercell(PRIMITIVES["rock salt"], np.diag([2, 1, 1]))
    for shift, sites in ((0.05, 2), (0.8, 4)):
        frac = doubled.frac.copy()
        frac[0, 1] += shift / np.linalg.norm(doubled.lattice[1])
        moved = Crystal(doubled.lattice, frac, doubled.numbers)
        assert len(primitive_cell(moved)) == sites


def test_a_slab_is_reduced_in_its_plane_only() -> None:
    sheet = Crystal(
        np.diag([2.5, 2.5, 20.0]), np.array([[0.0, 0.0, 0.5]]), np.array([6]), np.array([True, True, False])
    )
    found = primitive_cell(supercell(sheet, np.diag([2, 3, 1])))
    assert len(found) == 1
    assert found.pbc.tolist() == [True, True, False]
    np.testing.assert_allclose(found.lattice[2], sheet.lattice[2])
    stacked = supercell(sheet, np.diag([1, 1, 2]))
    assert len(primitive_cell(stacked)) == 2
