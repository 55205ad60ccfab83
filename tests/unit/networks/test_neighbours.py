"""Neighbour lists against pymatgen's own search, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymatgen.optimization.neighbors import find_points_in_spheres

from goldilocks_batch.core.errors import ErrorCode, FeatureError
from goldilocks_batch.networks.graphs.neighbours import CUTOFF, MAX_NEIGHBOURS, find_bonds
from goldilocks_batch.structures.crystal import Crystal


def library_bonds(
    crystal: Crystal,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Sources, targets, distances, vectors: pymatgen's list, sorted stably by distance, cut at twelve."""
    lattice = crystal.lattice
    cart = (
        crystal.frac[:, :1] * lattice[0]
        + crystal.frac[:, 1:2] * lattice[1]
        + crystal.frac[:, 2:] * lattice[2]
    )
    centre, site, image, distance = find_points_in_spheres(
        cart, cart, r=CUTOFF, pbc=crystal.pbc.astype(np.int64), lattice=lattice, tol=1e-8
    )
    other = ~((centre == site) & (distance <= 1e-8))
    centre, site, image, distance = centre[other], site[other], image[other], distance[other]
    chosen = []
    for atom in range(len(crystal)):
        own = np.flatnonzero(centre == atom)
        chosen.append(own[np.argsort(distance[own], kind="stable")[:MAX_NEIGHBOURS]])
    rows = np.concatenate(chosen)
    vectors = cart[site[rows]] + image[rows] @ lattice - cart[centre[rows]]
    return centre[rows], site[rows], distance[rows], vectors


def assert_same_bonds(crystal: Crystal) -> None:
    source, target, distance, vector = library_bonds(crystal)
    bonds = find_bonds(crystal)
    np.testing.assert_array_equal(bonds.source, source)
    np.testing.assert_array_equal(bonds.target, target)
    np.testing.assert_array_equal(bonds.distance, distance)
    np.testing.assert_allclose(bonds.vector, vector, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(bonds.vector, axis=1), bonds.distance, rtol=1e-12)


def crystal(lattice: object, frac: object, pbc: tuple[bool, bool, bool] = (True, True, True)) -> Crystal:
    frac = np.array(frac, dtype=float)
    return Crystal(np.array(lattice, dtype=float), frac, np.full(len(frac), 6), np.array(pbc))


coordinate = st.floats(-1.5, 1.5).map(lambda x: round(x, 5))


@given(
    lattice=st.lists(st.floats(-7, 7).map(lambda x: round(x, 3)), min_size=9, max_size=9),
    frac=st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=5),
)
@settings(max_examples=60)
def test_equals_pymatgen_on_any_cell(lattice: list[float], frac: list[tuple[float, float, float]]) -> None:
    cell = crystal(np.array(lattice).reshape(3, 3), frac)
    if abs(np.linalg.det(cell.lattice)) < 20.0:  # a collapsed cell holds thousands of images
        cell = replace(cell, lattice=cell.lattice + np.diag([9.0, 8.0, 7.0]))
    assume(abs(np.linalg.det(cell.lattice)) > 20.0)
    assume(len(np.unique(library_bonds(cell)[0])) == len(cell))
    assert_same_bonds(cell)


FCC = 4.05 * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
DIAMOND = [[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]]


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7, 2.4, 3.4, 5.0])
def test_ties_at_every_search_radius(scale: float) -> None:
    # diamond has 4 + 12 nearest neighbours: which 8 of the second shell are kept is a matter of order
    assert_same_bonds(crystal(scale * FCC, DIAMOND))
    assert_same_bonds(crystal(scale * 1.9 * np.eye(3), [[0, 0, 0]]))


def test_fewer_than_twelve_within_the_cutoff() -> None:
    cell = crystal(9.0 * np.eye(3), [[0, 0, 0]])
    bonds = find_bonds(cell)
    assert len(bonds) == 6
    assert_same_bonds(cell)


def test_the_cutoff_itself_counts() -> None:
    assert len(find_bonds(crystal(CUTOFF * np.eye(3), [[0, 0, 0]]))) == 6


@pytest.mark.parametrize("pbc", [(True, True, False), (False, True, False), (False, False, False)])
def test_non_periodic_axes_have_no_images(pbc: tuple[bool, bool, bool]) -> None:
    cell = crystal(
        [[3, 0, 0], [0.4, 3.3, 0], [0.2, 0.1, 6]], [[0, 0, 0], [0.3, 1.2, -0.2], [0.6, 0.5, 0.4]], pbc
    )
    assert_same_bonds(cell)


def test_a_lonely_atom_is_refused() -> None:
    cell = crystal(30.0 * np.eye(3), [[0, 0, 0], [0.1, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(FeatureError, match=r"site 2 \(C\).*10 Å.*1 of 3") as caught:
        find_bonds(cell)
    assert caught.value.code is ErrorCode.NO_NEIGHBOURS


@pytest.mark.parametrize(
    ("lattice", "frac"),
    [
        ([[3, 0, 0], [3, 0, 0], [0, 0, 3]], [[0, 0, 0]]),
        ([[3, 0, 0], [0, np.nan, 0], [0, 0, 3]], [[0, 0, 0]]),
        (3 * np.eye(3), [[0, 0, np.inf]]),
    ],
)
def test_a_collapsed_cell_is_refused(lattice: object, frac: object) -> None:
    with pytest.raises(FeatureError, match=r"expected at least 0\.01 Å³ an atom") as caught:
        find_bonds(crystal(lattice, frac))
    assert caught.value.code is ErrorCode.GRAPH_FAILED


def test_inputs_stay_as_they_were() -> None:
    cell = crystal(FCC, DIAMOND)
    lattice, frac = cell.lattice.copy(), cell.frac.copy()
    find_bonds(cell)
    np.testing.assert_array_equal(cell.lattice, lattice)
    np.testing.assert_array_equal(cell.frac, frac)
