"""SOAP block against dscribe, and its treatment of distinct atoms and extreme cells."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, FeatureError
from goldilocks_batch.features._orbits import distinct_atoms
from goldilocks_batch.features._soap_kernel import neighbours_within
from goldilocks_batch.features.soap import NEIGHBOUR_RADIUS, soap, soap_labels
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import find_symmetry


def random_crystal(seed: int, n: int, density: float = 0.06) -> Crystal:
    rng = np.random.default_rng(seed)
    lattice = np.eye(3) + rng.uniform(-0.4, 0.4, (3, 3))
    lattice *= (n / density / abs(np.linalg.det(lattice))) ** (1 / 3)
    return Crystal(lattice, rng.random((n, 3)), np.ones(n, dtype=np.int64))


def dscribe_soap(crystal: Crystal) -> NDArray[np.float64]:
    from ase import Atoms
    from dscribe.descriptors import SOAP

    atoms = Atoms("X" * len(crystal), cell=crystal.lattice, scaled_positions=crystal.frac, pbc=True)
    descriptor = SOAP(species=["X"], r_cut=10, n_max=8, l_max=6, sigma=1.0, periodic=True)
    power: NDArray[np.float64] = np.asarray(descriptor.create(atoms), dtype=np.float64)
    mean: NDArray[np.float64] = power.mean(axis=0)
    return mean


def assert_close(found: NDArray[np.float64], expected: NDArray[np.float64], tolerance: float = 1e-9) -> None:
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(("seed", "n"), [(0, 1), (1, 2), (2, 5), (3, 17)])
def test_equals_dscribe(seed: int, n: int) -> None:
    crystal = random_crystal(seed, n)
    assert_close(soap(crystal), dscribe_soap(crystal))


@pytest.mark.parametrize("edges", [(2.0, 40.0, 40.0), (40.0, 2.0, 40.0), (2.0, 2.0, 150.0)])
def test_flat_cells_equal_dscribe(edges: tuple[float, float, float]) -> None:
    crystal = Crystal(np.diag(edges), np.array([[0.1, 0.2, 0.3], [0.6, 0.25, 0.32]]), np.array([6, 6]))
    assert_close(soap(crystal), dscribe_soap(crystal))


def test_neighbours_equal_a_plain_search() -> None:
    lattice = np.array([[3.0, 0, 0], [2.9, 2.0, 0], [5.5, -3.1, 2.5]])  # skewed
    frac = np.array([[0.0, 0, 0], [0.3, 0.8, -1.4]])
    found = neighbours_within(lattice, frac, 1, 6.0)
    images = np.stack(np.meshgrid(*[np.arange(-14, 15)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = np.concatenate([(images + atom - frac[1]) @ lattice for atom in frac])
    expected = vectors[np.linalg.norm(vectors, axis=1) <= 6.0]
    assert found.shape == (3, len(expected))
    np.testing.assert_allclose(
        np.sort(found.T @ [1.0, 1e3, 1e6]), np.sort(expected @ [1.0, 1e3, 1e6]), atol=1e-6
    )


def test_distinct_atoms_stand_for_all() -> None:
    # rutile: one orbit of metal atoms, one of oxygen
    frac = [
        [0, 0, 0],
        [0.5, 0.5, 0.5],
        [0.305, 0.305, 0],
        [0.695, 0.695, 0],
        [0.195, 0.805, 0.5],
        [0.805, 0.195, 0.5],
    ]
    crystal = Crystal(np.diag([4.594, 4.594, 2.959]), np.array(frac), np.array([22, 22, 8, 8, 8, 8]))
    symmetry = find_symmetry(crystal)
    centers, counts = distinct_atoms(crystal, symmetry)
    assert centers.tolist() == [0, 2]
    assert counts.tolist() == [2.0, 4.0]
    assert_close(soap(crystal, symmetry), soap(crystal))


def test_loose_symmetry_is_not_trusted() -> None:
    # within the 0.01 Å of the symmetry search, but the two atoms do differ
    frac = np.array([[0, 0, 0], [0.5, 0.5, 0.501], [0, 0, 0.5], [0.5, 0.5, 0.0]])
    crystal = Crystal(np.diag([4.0, 4.0, 5.0]), frac, np.array([22, 22, 8, 8]))
    symmetry = find_symmetry(crystal)
    assert len(set(symmetry.equivalent_atoms.tolist())) < len(crystal)
    assert_close(soap(crystal, symmetry), soap(crystal))


def test_no_symmetry_makes_all_atoms_distinct() -> None:
    centers, counts = distinct_atoms(random_crystal(0, 4), None)
    assert centers.tolist() == [0, 1, 2, 3]
    assert counts.tolist() == [1.0] * 4


def test_large_cell() -> None:
    assert np.isfinite(soap(random_crystal(5, 300))).all()


def test_collapsed_cell_is_refused_at_once() -> None:
    with pytest.raises(FeatureError, match="neighbours within") as caught:
        soap(Crystal(np.eye(3) * 0.1, np.zeros((1, 3)), np.array([6])))
    assert caught.value.code is ErrorCode.FEATURES_FAILED


def test_lonely_atom_sees_itself_alone() -> None:
    values = soap(Crystal(np.eye(3) * 2.1 * NEIGHBOUR_RADIUS, np.zeros((1, 3)), np.array([6])))
    degree = np.array([int(label[1]) for label in soap_labels()])
    assert np.abs(values[degree == 0]).min() > 0.0
    assert (values[degree > 0] == 0.0).all()
