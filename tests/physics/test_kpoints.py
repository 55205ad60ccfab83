"""Irreducible k-points against a count over all of them, and against spglib."""

from __future__ import annotations

import itertools
import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.crystal import Crystal
from goldilocks_batch.features.symmetry import find_symmetry
from goldilocks_batch.mesh import irreducible_count, mesh, reciprocal_lengths, rotations_in_cell

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
HEX = np.array([[1.0, 0.0, 0.0], [-0.5, np.sqrt(0.75), 0.0], [0.0, 0.0, 1.6]])

CRYSTALS = {
    "fcc": Crystal(4.05 * FCC, np.zeros((1, 3)), np.array([13])),
    "fcc, conventional": Crystal(
        4.05 * np.eye(3), np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]), np.full(4, 13)
    ),
    "zinc blende": Crystal(5.65 * FCC, np.array([[0, 0, 0], [0.25, 0.25, 0.25]]), np.array([31, 33])),
    "hcp": Crystal(3.2 * HEX, np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]), np.array([12, 12])),
    "wurtzite": Crystal(
        3.2 * HEX,
        np.array([[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.38], [2 / 3, 1 / 3, 0.88]]),
        np.array([30, 30, 8, 8]),
    ),
    "tetragonal": Crystal(
        np.diag([4.0, 4.0, 6.0]), np.array([[0, 0, 0.1], [0.5, 0.5, 0.4]]), np.array([22, 8])
    ),
    "triclinic": Crystal(
        np.array([[4.0, 0, 0], [0.7, 5.0, 0], [0.9, 1.1, 6.0]]),
        np.array([[0, 0, 0], [0.2, 0.37, 0.41]]),
        np.array([11, 17]),
    ),
}


def counted(divisions: NDArray[np.int64], rotations: NDArray[np.int32]) -> int:
    """Orbits by going through all k-points: every operation that maps the mesh on itself, and k to -k."""
    operations = []
    for rotation in rotations:
        on_k = np.rint(np.linalg.inv(rotation).T).astype(int)
        scaled = divisions[:, None] * on_k
        if (scaled % divisions[None, :] == 0).all():
            operations.append(scaled // divisions[None, :])
    points = list(itertools.product(*map(range, divisions.tolist())))
    smallest = set()
    for point in points:
        images = [tuple((sign * (g @ point)) % divisions) for g in operations for sign in (1, -1)]
        smallest.add(min(images))
    return len(smallest)


@settings(max_examples=60)
@given(st.sampled_from(sorted(CRYSTALS)), st.tuples(*[st.integers(1, 6)] * 3))
def test_as_many_as_one_finds_by_counting(name: str, divisions: tuple[int, int, int]) -> None:
    rotations = find_symmetry(CRYSTALS[name]).rotations
    found = irreducible_count(np.array(divisions), rotations)
    assert found == counted(np.array(divisions), rotations)


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("kdist", [0.6, 0.33, 0.2])
def test_as_many_as_spglib_on_meshes_with_the_crystals_symmetry(
    name: str, kdist: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import spglib

    monkeypatch.setitem(os.environ, "SPGLIB_WARNING", "OFF")
    crystal = CRYSTALS[name]
    divisions = mesh(np.array([kdist]), crystal.lattice[None], np.ones((1, 3), dtype=bool))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        mapping, _ = spglib.get_ir_reciprocal_mesh(
            divisions, (crystal.lattice, crystal.frac, crystal.numbers), is_shift=[0, 0, 0], symprec=0.01
        )
    assert irreducible_count(divisions, find_symmetry(crystal).rotations) == len(np.unique(mapping))


def test_a_mesh_that_breaks_the_symmetry_keeps_only_the_operations_that_fit() -> None:
    # in a cubic cell no operation that swaps axes maps a 4x2x2 mesh on itself, save those of y and z
    rotations = find_symmetry(CRYSTALS["fcc, conventional"]).rotations
    divisions = np.array([4, 2, 2])
    assert irreducible_count(divisions, rotations) == counted(divisions, rotations) == 9


def test_a_supercell_has_the_irreducible_points_of_its_own_mesh() -> None:
    primitive, conventional = CRYSTALS["fcc"], CRYSTALS["fcc, conventional"]
    moved = rotations_in_cell(find_symmetry(primitive).rotations, primitive.lattice, conventional.lattice)
    own = find_symmetry(conventional).rotations
    for n in (1, 2, 5, 8):
        assert irreducible_count(np.full(3, n), moved) == irreducible_count(np.full(3, n), own)


@given(st.sampled_from(sorted(CRYSTALS)), st.floats(0.05, 1.0), st.floats(1.0, 1.5))
def test_spacing_is_kept_and_a_smaller_kdist_is_never_coarser(name: str, kdist: float, factor: float) -> None:
    lattice, pbc = CRYSTALS[name].lattice[None], np.ones((1, 3), dtype=bool)
    divisions = mesh(np.array([kdist]), lattice, pbc)
    spacing = reciprocal_lengths(lattice) / divisions
    assert (spacing <= kdist * (1 + 1e-5)).all()
    assert (mesh(np.array([kdist * factor]), lattice, pbc) <= divisions).all()


@given(st.sampled_from(sorted(CRYSTALS)), st.floats(0.1, 1.0), st.integers(0, 1000))
def test_a_rotated_crystal_has_the_same_mesh(name: str, kdist: float, seed: int) -> None:
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    lattice, pbc = CRYSTALS[name].lattice, np.ones((1, 3), dtype=bool)
    ratio = reciprocal_lengths(lattice[None]) / kdist
    if (np.abs(ratio * 1e5 % 1 - 0.5) < 1e-5).any():
        return  # on a rounding step, where the last bit decides
    first = mesh(np.array([kdist]), lattice[None], pbc)
    assert np.array_equal(first, mesh(np.array([kdist]), (lattice @ rotation)[None], pbc))


def test_a_supercell_needs_fewer_divisions_in_proportion() -> None:
    lattice, pbc = 4.0 * np.eye(3), np.ones((1, 3), dtype=bool)
    single = mesh(np.array([2 * np.pi / 4.0 / 12]), lattice[None], pbc)[0]
    doubled = mesh(np.array([2 * np.pi / 4.0 / 12]), 2 * lattice[None], pbc)[0]
    assert single.tolist() == [12, 12, 12]
    assert doubled.tolist() == [6, 6, 6]
