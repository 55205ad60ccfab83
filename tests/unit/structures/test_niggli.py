"""Niggli's reduction: spglib's vectors, from any vectors of a lattice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.structures._niggli import niggli_reduced
from goldilocks_batch.structures._reduction import OTHER_LATTICE, REDUCED, in_vectors, reduction
from goldilocks_batch.structures.spglib_calls import quiet_spglib

Array = NDArray[np.float64]
SPECIAL = {
    "cubic": np.eye(3) * 4.0,
    "fcc": np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]),
    "bcc": np.array([[-2, 2, 2], [2, -2, 2], [2, 2, -2.0]]),
    "hexagonal": np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 5.0]]),
    "rhombohedral": np.array([[2, 0, 3], [-1, np.sqrt(3), 3], [-1, -np.sqrt(3), 3.0]]),
    "tetragonal": np.diag([3.0, 3.0, 7.0]),
    "base-centred": np.array([[2, 3, 0], [-2, 3, 0], [0, 0.5, 5.0]]),
}
CELLS = st.one_of(
    st.sampled_from(sorted(SPECIAL)).map(lambda name: SPECIAL[name].copy()),
    st.lists(st.floats(-8, 8), min_size=9, max_size=9).map(lambda values: np.array(values).reshape(3, 3)),
)
SHEARS = st.lists(
    st.tuples(st.sampled_from([(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]), st.integers(-2, 2)),
    max_size=6,
)
STRAINS = st.sampled_from([0.0, 1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 0.01])


def sheared(shears: list[tuple[tuple[int, int], int]]) -> Array:
    change = np.eye(3)
    for (row, other), times in shears:
        change[row] += times * change[other]
    return change


@settings(max_examples=300)
@given(CELLS, SHEARS, STRAINS, st.integers(0, 2**32 - 1))
def test_the_vectors_are_those_of_spglib(
    cell: Array, shears: list[tuple[tuple[int, int], int]], strain: float, seed: int
) -> None:
    """Also where lengths and angles differ by about the tolerance."""
    assume(abs(np.linalg.det(cell)) > 1.0)
    strained = cell @ (np.eye(3) + strain * np.random.default_rng(seed).uniform(-1, 1, (3, 3)))
    lattice = sheared(shears) @ strained
    with quiet_spglib() as spglib:
        expected = spglib.niggli_reduce(lattice)
    found, vectors = niggli_reduced(lattice)
    assert found == (expected is not None)
    if found:
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-12)


@given(CELLS, SHEARS)
def test_any_vectors_of_a_lattice_have_the_same_lengths_and_angles(
    cell: Array, shears: list[tuple[tuple[int, int], int]]
) -> None:
    assume(abs(np.linalg.det(cell)) > 1.0)
    one, other = (niggli_reduced(vectors)[1] for vectors in (cell, sheared(shears) @ cell))
    np.testing.assert_allclose(one @ one.T, other @ other.T, atol=1e-4)
    assert np.linalg.det(one) == pytest.approx(np.linalg.det(cell))


@given(CELLS, SHEARS)
def test_a_crystal_in_reduced_vectors_is_the_same_crystal(
    cell: Array, shears: list[tuple[tuple[int, int], int]]
) -> None:
    assume(abs(np.linalg.det(cell)) > 1.0)
    lattice = sheared(shears) @ cell
    rotations = np.stack([np.eye(3), -np.eye(3)]).astype(np.int32)
    how, change = reduction(lattice, rotations)
    assert how == REDUCED
    assert (change == np.rint(change)).all()
    assert np.linalg.det(change) == pytest.approx(1.0)
    frac = np.array([[0.1, 0.2, 0.3], [-0.7, 1.4, 0.05]])
    shifts = np.array([[0.0, 0.0, 0.0], [0.5, 0.25, 0.9]])
    periodic = np.ones(3, dtype=bool)
    vectors, moved, turned, shifted = in_vectors(change, lattice, frac, periodic, rotations, shifts)
    np.testing.assert_allclose(vectors, change @ lattice)
    apart = moved @ vectors @ np.linalg.inv(lattice) - frac
    np.testing.assert_allclose(apart, np.rint(apart), atol=1e-9)
    assert ((moved >= 0) & (moved <= 1)).all()
    # operation by operation: moving, then turning, is turning, then moving
    for old, shift, new, moved_shift in zip(rotations, shifts, turned, shifted, strict=True):
        there = (frac @ old.T + shift) @ np.linalg.inv(change)
        here = frac @ np.linalg.inv(change) @ new.T + moved_shift
        np.testing.assert_allclose(here - there, np.rint(here - there), atol=1e-9)


def test_a_flat_lattice_has_no_reduced_form_that_spans_it() -> None:
    rotations = np.eye(3, dtype=np.int32)[None]
    assert reduction(np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0]]), rotations)[0] == OTHER_LATTICE
