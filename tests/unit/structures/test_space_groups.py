"""Types of space groups from their operations: spglib's, in any primitive basis and from any origin."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.structures.exact import _basis
from goldilocks_batch.structures.space_groups import space_group_type
from goldilocks_batch.structures.spglib_calls import quiet_spglib

Array = NDArray[np.float64]
Operations = tuple[NDArray[np.int32], NDArray[np.float64]]


@cache
def primitive_operations(hall_number: int) -> Operations:
    """One operation for each point operation of a Hall setting, in terms of a right-handed primitive cell."""
    with quiet_spglib() as spglib:
        found = spglib.get_symmetry_from_database(hall_number)
    pure = (found["rotations"] == np.eye(3)).all(axis=(1, 2))
    basis = _basis(np.rint(12 * found["translations"][pure]) / 12)
    return moved(found["rotations"], found["translations"], basis, np.zeros(3))


def moved(
    rotations: NDArray[np.integer], translations: NDArray[np.float64], basis: Array, origin: Array
) -> Operations:
    """Operations in terms of other vectors (rows) and another origin, each rotation once."""
    into = np.linalg.inv(basis.T)
    turned = np.rint(into @ rotations @ basis.T).astype(np.int32)
    shifted = translations @ into.T + (turned - np.eye(3)) @ origin
    unique, first = np.unique(turned, axis=0, return_index=True)
    return unique, shifted[first] % 1.0


SHEARS = st.lists(
    st.tuples(st.sampled_from([(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]), st.sampled_from([-1, 1])),
    max_size=4,
)


@settings(max_examples=200)
@given(st.integers(1, 530), SHEARS, st.tuples(*[st.floats(0, 1)] * 3))
def test_any_setting_basis_and_origin_has_the_type_that_spglib_lists(
    hall_number: int, shears: list[tuple[tuple[int, int], int]], origin: tuple[float, float, float]
) -> None:
    change = np.eye(3)
    for (row, other), sign in shears:
        change[row] += sign * change[other]
    rotations, translations = primitive_operations(hall_number)
    found = space_group_type(*moved(rotations, translations, change, np.array(origin)))
    with quiet_spglib() as spglib:
        expected = spglib.get_spacegroup_type(hall_number)
    assert found is not None
    assert (found.number, found.point_group) == (expected.number, expected.pointgroup_international.strip())


@pytest.mark.parametrize("hall_number", range(1, 531))
def test_every_setting_has_the_type_that_spglib_finds_from_its_operations(hall_number: int) -> None:
    rotations, translations = primitive_operations(hall_number)
    metric = np.mean(rotations.transpose(0, 2, 1) @ rotations, axis=0)
    with quiet_spglib() as spglib:
        expected = spglib.get_spacegroup_type_from_symmetry(
            rotations, translations, 4.0 * np.linalg.cholesky(metric), 0.01
        )
    found = space_group_type(rotations, translations)
    assert found is not None
    assert (found.number, found.international) == (expected.number, expected.international_short)
    assert found.hall_number == expected.hall_number


def test_noise_does_not_matter_until_it_makes_the_class_uncertain() -> None:
    rotations, translations = primitive_operations(81)  # P2_1/c
    noise = np.random.default_rng(0).uniform(-1, 1, translations.shape)
    exact = space_group_type(rotations, translations)
    assert space_group_type(rotations, translations + 1e-3 * noise) == exact
    assert space_group_type(rotations, translations + 1 / 24) is None


def test_what_is_no_group_has_no_type() -> None:
    rotations, translations = primitive_operations(525)
    assert space_group_type(rotations[:-1], translations[:-1]) is None
