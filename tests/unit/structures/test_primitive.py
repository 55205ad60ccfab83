from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.primitive import primitive_cell


@st.composite
def supercells(draw: st.DrawFn) -> Crystal:
    """Random motifs repeated along the axes, with noise about the tolerance and shuffled sites."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    repeats = draw(st.sampled_from([(2, 1, 1), (1, 2, 1), (1, 1, 3), (2, 2, 1), (2, 1, 2), (1, 2, 3)]))
    noise = draw(st.sampled_from([0.0, 1e-3, 0.05, 0.12, 0.3]))
    lattice = np.diag(rng.uniform(3, 6, 3)) + rng.uniform(-1, 1, (3, 3))
    motif = rng.uniform(0, 1, (draw(st.integers(1, 4)), 3))
    species = rng.choice([3, 8, 26], len(motif))
    images = np.array(
        [(i, j, k) for i in range(repeats[0]) for j in range(repeats[1]) for k in range(repeats[2])]
    )
    frac = (motif[:, None, :] + images[None]).reshape(-1, 3) / np.array(repeats)
    numbers = np.repeat(species, len(images))
    lattice = lattice * np.array(repeats)[:, None]
    frac = frac + rng.uniform(-noise, noise, frac.shape) @ np.linalg.inv(lattice)
    order = rng.permutation(len(frac))
    return Crystal(lattice, frac[order], numbers[order])


@pytest.mark.slow
@given(crystal=supercells())
@settings(max_examples=60)
def test_equals_pymatgen(crystal: Crystal) -> None:
    expected = Crystal.from_pymatgen(crystal.to_pymatgen().get_primitive_structure())
    found = primitive_cell(crystal)
    assert np.array_equal(found.numbers, expected.numbers)
    np.testing.assert_allclose(found.lattice, expected.lattice, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.frac, expected.frac, rtol=0, atol=1e-12)


def test_input_is_not_changed() -> None:
    frac = np.array([[0.0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    crystal = Crystal(4.05 * np.eye(3), frac.copy(), np.full(4, 13))
    assert len(primitive_cell(crystal)) == 1
    assert np.array_equal(crystal.frac, frac)


def test_a_cell_without_reduced_vectors_fails_by_name() -> None:
    # checked crystals never have a singular lattice; should one slip through, it is the row that fails
    crystal = Crystal(
        np.array([[8.0, 0, 0], [8.0, 0, 0], [0, 0, 4.0]]),
        np.array([[0.0, 0, 0], [0.5, 0, 0]]),
        np.array([3, 3]),
    )
    with pytest.raises(StructureError) as caught:
        primitive_cell(crystal)
    assert caught.value.code == ErrorCode.PRIMITIVE_FAILED
    assert caught.value.stage == Stage.PRIMITIVE
