"""What must hold for the cells of a structure: one crystal, one primitive cell, and never another crystal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.config.choices import Cell
from goldilocks_batch.kpoints.mesh import irreducible_count, mesh, rotations_in_cell
from goldilocks_batch.structures.cells import Cells, find_cells, reduced_cell
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.exact import exact_primitive
from goldilocks_batch.structures.symmetry import DISTANCES_ONLY, find_symmetry, quiet_spglib

Array = NDArray[np.float64]
FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def crystal(lattice: object, frac: object, numbers: object, pbc: object = (True, True, True)) -> Crystal:
    return Crystal(
        np.array(lattice, dtype=float),
        np.array(frac, dtype=float),
        np.array(numbers, dtype=np.int64),
        np.array(pbc, dtype=bool),
    )


def perovskite(turn: float) -> Crystal:
    """SrTiO3 in I4/mcm with 20 atoms, oxygen at ``x = 1/4 - turn`` of its site 8h; Pm-3m without the turn."""
    x = 0.25 - turn
    half = [
        *[[0, 0.5, 0.25], [0.5, 0, 0.25]],  # Sr, 4b
        *[[0, 0, 0], [0, 0, 0.5]],  # Ti, 4c
        *[[0, 0, 0.25], [0, 0, 0.75]],  # O, 4a
        *[[x, x + 0.5, 0], [-x, 0.5 - x, 0], [0.5 - x, x, 0], [x + 0.5, -x, 0]],  # O, 8h
    ]
    numbers = [38] * 2 + [22] * 2 + [8] * 6
    a = 3.905 * 2**0.5
    return crystal(np.diag([a, a, 7.81]), [*half, *(np.array(half) + 0.5)], numbers * 2)


def antiferroelectric() -> Crystal:
    """BaTiO3 doubled along c, its Ti shifted by 0.1 Å up and down in turns: P4/nmm, 10 atoms."""
    a = 4.0
    frac = [[0, 0, 0], [0, 0, 0.5], [0.5, 0.5, 0.25], [0.5, 0.5, 0.75]]
    frac += [[0.5, 0.5, z] for z in (0, 0.5)]
    frac += [[x, 0.5 - x, z] for x in (0, 0.5) for z in (0.25, 0.75)]
    sites = np.array(frac)
    sites[2, 0] += 0.1 / a
    sites[3, 0] -= 0.1 / a
    return crystal(np.diag([a, a, 2 * a]), sites, [56, 56, 22, 22, 8, 8, 8, 8, 8, 8])


def rattled(seed: int = 0, size: float = 0.05) -> Crystal:
    """27 atoms of aluminium, each moved by up to ``size`` Å along each axis."""
    steps = np.arange(3) / 3
    frac = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lattice = 3 * 4.05 * FCC
    moves = np.random.default_rng(seed).uniform(-size, size, (27, 3))
    return crystal(lattice, frac + moves @ np.linalg.inv(lattice), [13] * 27)


def cells(supplied: Crystal, cell: Cell = "averaged", symprec: float = 0.01) -> Cells:
    return find_cells(supplied, reduced_cell(supplied, cell), cell, symprec)


def supercell(of: Crystal, matrix: NDArray[np.int64]) -> Crystal:
    """The crystal on the lattice ``matrix @ lattice``."""
    size = round(np.linalg.det(matrix))
    reach = int(np.abs(matrix).sum())
    steps = np.arange(-reach, reach + 1)
    points = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    inside = points @ np.linalg.inv(matrix)
    inside = inside[np.all((inside > -1e-9) & (inside < 1 - 1e-9), axis=1)]
    assert len(inside) == size
    frac = (of.frac @ np.linalg.inv(matrix))[:, None, :] + inside[None]
    return Crystal(matrix @ of.lattice, frac.reshape(-1, 3), np.repeat(of.numbers, size), of.pbc)


def spglib_irreducible(of: Crystal, divisions: NDArray[np.int64]) -> int:
    with quiet_spglib() as spglib:
        cell = (of.lattice, of.frac, of.numbers)
        mapping, _ = spglib.get_ir_reciprocal_mesh(divisions, cell, symprec=0.01)
    return len(np.unique(mapping))


CRYSTALS = {
    "tilted SrTiO3": (perovskite(0.02), 140, 10),
    "straight SrTiO3": (perovskite(0.0), 221, 5),
    "antiferroelectric BaTiO3": (antiferroelectric(), 51, 10),
    "rattled aluminium": (rattled(), 1, 27),
    "silicon": (crystal(5.43 * FCC, [[0, 0, 0], [0.25] * 3], [14, 14]), 227, 2),
    "magnesium": (
        crystal(
            [[3.21, 0, 0], [-1.605, 3.21 * 0.75**0.5, 0], [0, 0, 5.21]],
            [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
            [12, 12],
        ),
        194,
        2,
    ),
    "monoclinic": (
        crystal([[5.1, 0, 0], [0, 5.2, 0], [-0.9, 0, 5.3]], [[0.28, 0.04, 0.21], [0.72, 0.54, 0.29]], [8, 8]),
        11,
        2,
    ),
}


def one_of_each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", CRYSTALS)


@one_of_each()
def test_symmetry_is_that_of_the_crystal_as_supplied(name: str) -> None:
    supplied, number, sites = CRYSTALS[name]
    found = cells(supplied)
    with quiet_spglib() as spglib:
        cell = (supplied.lattice, supplied.frac, supplied.numbers)
        expected = spglib.get_symmetry_dataset(cell, symprec=0.01)
    assert found.symmetry.number == number == expected.number
    assert found.symmetry.international == expected.international
    assert len(found.primitive) == sites == len(np.unique(expected.mapping_to_primitive))


@pytest.mark.parametrize(
    ("name", "number", "sites"),
    [("tilted SrTiO3", 221, 5), ("antiferroelectric BaTiO3", 221, 5), ("rattled aluminium", 225, 1)],
)
def test_a_model_on_averaged_cells_is_asked_on_another_crystal_and_says_so(
    name: str, number: int, sites: int
) -> None:
    supplied, own_number, own_sites = CRYSTALS[name]
    found = cells(supplied)
    assert found.averaged
    assert (found.asked_symmetry.number, len(found.asked)) == (number, sites)
    exact = cells(supplied, "exact")
    assert not exact.averaged
    assert exact.asked is exact.primitive
    assert (exact.asked_symmetry.number, len(exact.asked)) == (own_number, own_sites)


@pytest.mark.parametrize("name", ["straight SrTiO3", "silicon", "magnesium", "monoclinic"])
def test_averaging_equal_sites_is_no_other_crystal(name: str) -> None:
    supplied = CRYSTALS[name][0]
    for matrix in (np.eye(3, dtype=int), np.diag([1, 2, 1]), np.array([[1, 1, 0], [0, 2, 0], [0, 1, 1]])):
        assert not cells(supercell(supplied, matrix)).averaged


def test_averaging_that_raises_the_symmetry_is_another_crystal_however_little_moves() -> None:
    """Sites 0.008 Å from where they would have to be: within the tolerance of none of the operations."""
    doubled = supercell(CRYSTALS["silicon"][0], np.diag([2, 1, 1]))
    frac = doubled.frac.copy()
    frac[0] += np.array([0.016, 0.0, 0.0]) @ np.linalg.inv(doubled.lattice)
    moved = Crystal(doubled.lattice, frac, doubled.numbers)
    found = cells(moved)
    assert (len(found.asked), len(found.primitive)) == (2, 4)
    assert found.averaged
    wider = cells(moved, symprec=0.05)
    assert (wider.symmetry.number, len(wider.primitive), wider.averaged) == (227, 2, False)


def matrices() -> st.SearchStrategy[NDArray[np.int64]]:
    return (
        st.lists(st.integers(-1, 2), min_size=9, max_size=9)
        .map(lambda entries: np.array(entries).reshape(3, 3))
        .filter(lambda matrix: 1 <= round(np.linalg.det(matrix)) <= 3)
    )


def turns() -> st.SearchStrategy[Array]:
    """Proper rotations."""
    return st.integers(0, 2**32 - 1).map(lambda seed: _turn(np.random.default_rng(seed)))


def _turn(rng: np.random.Generator) -> Array:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return np.asarray(q * np.sign(np.linalg.det(q)))


@one_of_each()
@given(
    matrix=matrices(),
    turn=turns(),
    shift=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
    cell=st.sampled_from(["averaged", "exact"]),
)
@settings(max_examples=12)
def test_one_crystal_has_one_primitive_cell(
    name: str, matrix: NDArray[np.int64], turn: Array, shift: list[float], cell: Cell
) -> None:
    """In every supercell, setting, orientation and origin: same lengths and angles, symmetry and k-points."""
    supplied, number, sites = CRYSTALS[name]
    given_cell = supercell(supplied, matrix)
    other = Crystal(given_cell.lattice @ turn, given_cell.frac + np.array(shift), given_cell.numbers)
    expected, found = cells(supplied, cell), cells(other, cell)
    assert (found.symmetry.number, len(found.primitive)) == (number, sites)
    metric, own = (c.primitive.lattice @ c.primitive.lattice.T for c in (expected, found))
    np.testing.assert_allclose(own, metric, atol=1e-6)
    assert np.linalg.det(found.primitive.lattice) > 0
    steps = other.lattice @ np.linalg.inv(found.primitive.lattice)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
    assert len(found.symmetry.rotations) == len(expected.symmetry.rotations)
    kdist = np.array([0.4])
    divisions = mesh(kdist, found.primitive.lattice[None], np.ones((1, 3), dtype=bool))[0]
    counted = irreducible_count(divisions, found.symmetry.rotations)
    assert counted == irreducible_count(divisions, expected.symmetry.rotations)
    of_other = rotations_in_cell(found.symmetry.rotations, found.primitive.lattice, other.lattice)
    divisions = mesh(kdist, other.lattice[None], np.ones((1, 3), dtype=bool))[0]
    assert irreducible_count(divisions, of_other) == spglib_irreducible(other, divisions)


@one_of_each()
def test_operations_of_the_primitive_cell_map_it_on_itself(name: str) -> None:
    for matrix in (np.eye(3, dtype=int), np.diag([1, 2, 1])):
        found = cells(supercell(CRYSTALS[name][0], matrix), "exact")
        atoms, symmetry = found.primitive, found.symmetry
        for rotation, translation in zip(symmetry.rotations, symmetry.translations, strict=True):
            offsets = (atoms.frac @ rotation.T + translation)[:, None] - atoms.frac
            distances = np.linalg.norm((offsets - np.rint(offsets)) @ atoms.lattice, axis=2)
            distances[atoms.numbers[:, None] != atoms.numbers] = np.inf
            assert (distances.min(axis=1) < 0.01).all()
        assert (symmetry.equivalent_atoms <= np.arange(len(atoms))).all()
        assert (atoms.numbers[symmetry.equivalent_atoms] == atoms.numbers).all()


@one_of_each()
def test_the_exact_primitive_cell_follows_from_a_crystal_and_its_symmetry(name: str) -> None:
    supplied = CRYSTALS[name][0]
    found = exact_primitive(supplied, find_symmetry(supplied, 0.01, DISTANCES_ONLY))
    expected = cells(supplied, "exact").primitive
    assert len(found) == len(expected)
    # which of equal vectors comes first is open
    metric, own = found.lattice @ found.lattice.T, expected.lattice @ expected.lattice.T
    np.testing.assert_allclose(metric, own, atol=1e-6)
    assert exact_primitive(found, find_symmetry(found, 0.01, DISTANCES_ONLY)) is found


def test_axes_that_are_not_periodic_stay_and_a_plane_has_its_shortest_vectors() -> None:
    height = 2.46 * 0.75**0.5
    sheet = crystal(
        [[2.46, 0, 0], [-1.23, height, 0], [0, 0, 20]],
        [[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]],
        [6, 6],
        (True, True, False),
    )
    metric = sheet.lattice @ sheet.lattice.T
    for a, b in (((2, 0), (0, 2)), ((1, 3), (0, 1)), ((2, 1), (-1, 1)), ((1, 1), (0, 1))):
        matrix = np.array([[*a, 0], [*b, 0], [0, 0, 1]])
        found = cells(supercell(sheet, matrix), "exact")
        np.testing.assert_allclose(found.primitive.lattice[2], sheet.lattice[2])
        assert found.primitive.pbc.tolist() == [True, True, False]
        assert len(found.primitive) == 2
        np.testing.assert_allclose(found.primitive.lattice @ found.primitive.lattice.T, metric, atol=1e-9)
    stacked = supercell(sheet, np.diag([1, 1, 2]))
    assert len(cells(stacked, "exact").primitive) == 4
    chain = crystal(np.diag([9.0, 9, 3]), [[0.5, 0.5, 0], [0.5, 0.5, 0.5]], [6, 6], (False, False, True))
    found = cells(chain, "exact")
    assert len(found.primitive) == 1
    np.testing.assert_allclose(found.primitive.lattice, np.diag([9.0, 9, 1.5]))


def test_a_tolerance_decides_between_crystals_and_leaves_the_model_where_it_was() -> None:
    supplied = perovskite(0.02)
    for symprec, number, sites in ((0.01, 140, 10), (0.4, 221, 5)):
        for cell in ("averaged", "exact"):
            found = cells(supplied, cell, symprec)
            assert (found.symmetry.number, len(found.primitive)) == (number, sites)
            assert found.averaged == (cell == "averaged" and number == 140)
            assert len(found.asked) == (5 if cell == "averaged" else 10)
