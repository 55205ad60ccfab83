"""Irreducible k-points against a count over all of them, and against spglib."""

from __future__ import annotations

import itertools
import os
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.kpoints.mesh import irreducible_count, mesh, reciprocal_lengths, rotations_in_cell
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.symmetry import find_symmetry

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
    "body-centred tetragonal": Crystal(
        0.5 * np.array([[-4.0, 4.0, 9.0], [4.0, -4.0, 9.0], [4.0, 4.0, -9.0]]),
        np.zeros((1, 3)),
        np.array([50]),
    ),
    "body-centred orthorhombic": Crystal(
        0.5 * np.array([[-3.0, 4.0, 6.0], [3.0, -4.0, 6.0], [3.0, 4.0, -6.0]]),
        np.zeros((1, 3)),
        np.array([92]),
    ),
    "triclinic": Crystal(
        np.array([[4.0, 0, 0], [0.7, 5.0, 0], [0.9, 1.1, 6.0]]),
        np.array([[0, 0, 0], [0.2, 0.37, 0.41]]),
        np.array([11, 17]),
    ),
}


def counted(divisions: NDArray[np.int64], rotations: NDArray[np.int32]) -> int:
    """Orbits by going through all k-points, every operation and k to -k; images off the mesh are ignored."""
    on_k = np.rint(np.linalg.inv(np.unique(rotations, axis=0)).transpose(0, 2, 1)).astype(int)
    common = int(np.lcm.reduce(divisions))
    points = np.array(list(itertools.product(*map(range, divisions.tolist())))) * (common // divisions)
    mesh_points = set(map(tuple, points.tolist()))
    smallest = set()
    for point in points:
        images = np.concatenate([on_k @ point, -on_k @ point]) % common
        smallest.add(min(image for image in map(tuple, images.tolist()) if image in mesh_points))
    return len(smallest)


@settings(max_examples=60)
@given(st.sampled_from(sorted(CRYSTALS)), st.tuples(*[st.integers(1, 6)] * 3))
def test_as_many_as_one_finds_by_counting(name: str, divisions: tuple[int, int, int]) -> None:
    rotations = find_symmetry(CRYSTALS[name]).rotations
    found = irreducible_count(np.array(divisions), rotations)
    assert found == counted(np.array(divisions), rotations)


def spglibs_count(crystal: Crystal, divisions: NDArray[np.int64]) -> int:
    import spglib

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "SPGLIB_WARNING", "OFF")
        warnings.simplefilter("ignore", DeprecationWarning)
        mapping, _ = spglib.get_ir_reciprocal_mesh(
            divisions, (crystal.lattice, crystal.frac, crystal.numbers), is_shift=[0, 0, 0], symprec=0.01
        )
    return len(np.unique(mapping))


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("kdist", [0.6, 0.33, 0.2, 0.1])
def test_as_many_as_spglib_on_the_meshes_of_a_kdist(name: str, kdist: float) -> None:
    crystal = CRYSTALS[name]
    divisions = mesh(np.array([kdist]), crystal.lattice[None], np.ones((1, 3), dtype=bool))[0]
    found = irreducible_count(divisions, find_symmetry(crystal).rotations)
    assert found == spglibs_count(crystal, divisions)


@settings(max_examples=60)
@given(st.sampled_from(sorted(CRYSTALS)), st.tuples(*[st.integers(1, 12)] * 3))
def test_as_many_as_spglib_on_any_mesh(name: str, divisions: tuple[int, int, int]) -> None:
    crystal = CRYSTALS[name]
    found = irreducible_count(np.array(divisions), find_symmetry(crystal).rotations)
    assert found == spglibs_count(crystal, np.array(divisions))


def test_operations_that_map_part_of_a_mesh_on_itself_count_there() -> None:
    # in a cubic cell (1/2, 0, 0) and (0, 1/2, 0) are equivalent, although no operation that exchanges
    # x and y maps a 4x2x2 mesh on itself
    rotations = find_symmetry(CRYSTALS["fcc, conventional"]).rotations
    assert irreducible_count(np.array([4, 2, 2]), rotations) == 7


@pytest.mark.shared
def test_as_many_as_quantum_espresso(shared: Path) -> None:
    table = pq.read_table(shared / "data" / "kpoints_qe.parquet")
    ours, theirs = [], []
    for row in table.to_pylist():
        lattice = np.array(row["lattice_vectors"])
        numbers = [SYMBOLS.index(name.rstrip("0123456789")) for name in row["species_at_sites"]]
        frac = np.array(row["cartesian_site_positions"]) @ np.linalg.inv(lattice)
        rotations = find_symmetry(Crystal(lattice, frac, np.array(numbers))).rotations
        for step in row["ladder"]:
            ours.append(irreducible_count(np.array(step["mesh"]), rotations))
            theirs.append(step["n_irreducible"])
    equal = np.equal(ours, theirs)
    # where it finds fewer operations than spglib at 0.01 Å, it has more k-points; never fewer
    assert (np.array(ours)[~equal] < np.array(theirs)[~equal]).all()
    assert equal.mean() > 0.9


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
