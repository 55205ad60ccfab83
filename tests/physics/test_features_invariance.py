"""Textbook space groups, and features that must not depend on how a crystal is written down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from goldilocks_batch.features.composition import composition_block
from goldilocks_batch.features.soap import soap
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import find_symmetry

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
BCC = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])


def hexagonal(a: float, c: float) -> NDArray[np.float64]:
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


def crystal(lattice: NDArray[np.float64], frac: object, numbers: object) -> Crystal:
    return Crystal(lattice, np.array(frac, dtype=float), np.array(numbers, dtype=np.int64))


def quartz() -> Crystal:
    """Left-handed α-quartz from the operations of P3_221."""
    a = np.array([[0, -1, 0], [1, -1, 0], [0, 0, 1.0]])  # threefold, with a shift of 2/3 along c
    b = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1.0]])  # twofold
    sites = []
    for number, point in ((14, [0.4697, 0.0, 2 / 3]), (8, [0.4133, 0.2672, 0.7855])):
        for start in (np.array(point), b @ np.array(point)):
            turned = [start, a @ start + [0, 0, 2 / 3], a @ a @ start + [0, 0, 4 / 3]]
            sites += [(number, *np.round(image % 1.0, 9) % 1.0) for image in turned]
    table = np.array(sorted(set(sites)))
    return crystal(hexagonal(4.913, 5.405), table[:, 1:], table[:, 0])


TEXTBOOK = {
    "Al": (crystal(FCC * 4.05, [[0, 0, 0]], [13]), 225, "cF", True),
    "Fe": (crystal(BCC * 2.87, [[0, 0, 0]], [26]), 229, "cI", True),
    "C diamond": (crystal(FCC * 3.567, [[0, 0, 0], [0.25] * 3], [6, 6]), 227, "cF", True),
    "ZnS": (crystal(FCC * 5.41, [[0, 0, 0], [0.25] * 3], [30, 16]), 216, "cF", False),
    "NaCl": (crystal(FCC * 5.64, [[0, 0, 0], [0.5] * 3], [11, 17]), 225, "cF", True),
    "CsCl": (crystal(np.eye(3) * 4.12, [[0, 0, 0], [0.5] * 3], [55, 17]), 221, "cP", True),
    "SrTiO3": (
        crystal(
            np.eye(3) * 3.905,
            [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
            [38, 22, 8, 8, 8],
        ),
        221,
        "cP",
        True,
    ),
    "Mg": (
        crystal(hexagonal(3.21, 5.21), [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], [12, 12]),
        194,
        "hP",
        True,
    ),
    "ZnO wurtzite": (
        crystal(
            hexagonal(3.25, 5.207),
            [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.382], [2 / 3, 1 / 3, 0.882]],
            [30, 30, 8, 8],
        ),
        186,
        "hP",
        False,
    ),
    "SiO2 quartz": (quartz(), 154, "hP", False),
}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_textbook_space_groups(name: str) -> None:
    atoms, number, bravais, centrosymmetric = TEXTBOOK[name]
    symmetry = find_symmetry(atoms)
    assert (symmetry.bravais, symmetry.is_centrosymmetric) == (bravais, centrosymmetric)
    assert symmetry.number == number


@pytest.mark.parametrize("name", TEXTBOOK)
def test_soap_needs_the_distinct_atoms_only(name: str) -> None:
    atoms = TEXTBOOK[name][0]
    expected = soap(atoms)
    assert np.abs(soap(atoms, find_symmetry(atoms)) - expected).max() < 1e-6 * expected.max()


def supercell(atoms: Crystal, a: int, b: int, c: int) -> Crystal:
    shifts = np.stack(np.meshgrid(range(a), range(b), range(c), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    frac = ((atoms.frac + shifts) / np.array([a, b, c])).reshape(-1, 3)
    return Crystal(atoms.lattice * np.array([[a], [b], [c]]), frac, np.tile(atoms.numbers, a * b * c))


@st.composite
def small_crystals(draw: st.DrawFn) -> Crystal:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 4))
    lattice = np.diag(rng.uniform(2.5, 7.0, 3)) + rng.uniform(-1.0, 1.0, (3, 3))
    return Crystal(lattice, rng.random((n, 3)), rng.integers(1, 90, n))


def assert_same_soap(one: Crystal, other: Crystal) -> None:
    expected = soap(one)
    assert np.abs(soap(other) - expected).max() < 1e-9 * np.abs(expected).max()


@settings(max_examples=15)
@given(small_crystals(), st.integers(0, 2**32 - 1))
def test_soap_ignores_orientation_origin_order_and_element(atoms: Crystal, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed).as_matrix() * rng.choice([-1.0, 1.0])  # mirror images too
    order = rng.permutation(len(atoms))
    shift = rng.uniform(-2.0, 2.0, 3)
    images = rng.integers(-2, 3, (len(atoms), 3))
    other = Crystal(
        atoms.lattice @ turn, (atoms.frac + shift + images)[order], rng.integers(1, 90, len(atoms))
    )
    assert_same_soap(atoms, other)


@settings(max_examples=15)
@given(small_crystals(), st.permutations([1, 1, 2]))
def test_soap_and_composition_ignore_the_size_of_the_cell(atoms: Crystal, repeats: list[int]) -> None:
    larger = supercell(atoms, *repeats)
    assert_same_soap(atoms, larger)
    np.testing.assert_allclose(
        composition_block([larger]), composition_block([atoms]), rtol=1e-12, atol=1e-12
    )


@settings(max_examples=15)
@given(small_crystals(), st.integers(0, 2**32 - 1))
def test_soap_ignores_the_choice_of_cell(atoms: Crystal, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lower = np.tril(rng.integers(-2, 3, (3, 3)), -1) + np.eye(3, dtype=np.int64)
    upper = np.triu(rng.integers(-1, 2, (3, 3)), 1) + np.eye(3, dtype=np.int64)
    change = lower @ upper  # determinant 1
    other = Crystal(change @ atoms.lattice, atoms.frac @ np.linalg.inv(change), atoms.numbers)
    assert_same_soap(atoms, other)


@settings(max_examples=15)
@given(small_crystals())
def test_soap_is_a_positive_semidefinite_mean_of_squares(atoms: Crystal) -> None:
    upper = np.triu_indices(8)
    for block in soap(atoms).reshape(7, 36):
        matrix = np.zeros((8, 8))
        matrix[upper] = block
        matrix = matrix + np.triu(matrix, 1).T
        values = np.linalg.eigvalsh(matrix)
        assert values[0] > -1e-12 * values[-1]
