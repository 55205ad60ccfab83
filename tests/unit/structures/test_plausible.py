"""Flags of crystals that can be computed and may not be what was meant."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldilocks_batch.results.schema import FLAGS
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.plausible import remarks

FRAC = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])


def pair(lattice: list[float], distance: float | None = None, numbers: tuple[int, int] = (55, 17)) -> Crystal:
    cell = np.diag(np.array(lattice, dtype=float))
    frac = FRAC.copy()
    if distance is not None:
        frac[1] = distance / lattice[0], 0, 0
    return Crystal(cell, frac, np.array(numbers))


def test_an_ordinary_crystal_has_none() -> None:
    assert remarks(pair([4.12] * 3)) == []


@pytest.mark.parametrize(("distance", "flagged"), [(1.7, True), (1.72, True), (1.74, False), (3.0, False)])
def test_a_contact_under_half_the_sum_of_covalent_radii(distance: float, flagged: bool) -> None:
    """Cs 2.44 and Cl 1.02 Å."""
    crystal = pair([6.0] * 3, distance)
    assert ("close_contact" in remarks(crystal)) == flagged


def test_a_contact_with_an_image() -> None:
    crystal = Crystal(np.diag([2.2, 8.0, 8.0]), np.zeros((1, 3)), np.array([55]))
    assert "close_contact" in remarks(crystal)
    alone = Crystal(crystal.lattice, crystal.frac, crystal.numbers, np.array([False, True, True]))
    assert "close_contact" not in remarks(alone)


@pytest.mark.parametrize(
    ("edge", "flagged"), [(2.9, True), (3.6, False), (4.12, False), (5.5, False), (6.2, True)]
)
def test_a_volume_that_the_elements_have_nowhere(edge: float, flagged: bool) -> None:
    assert ("odd_density" in remarks(pair([edge] * 3))) == flagged


@pytest.mark.parametrize("axis", range(3))
def test_a_gap_along_an_axis(axis: int) -> None:
    lattice = np.full(3, 4.12)
    lattice[axis] = 4.12 / 2 + 8.1
    frac = np.array([[0.0] * 3, [0.5] * 3])
    frac[:, axis] = [0.9, 0.9 + 2.06 / lattice[axis]]
    crystal = Crystal(np.diag(lattice), frac, np.array([55, 17]))
    assert {"vacuum", f"vacuum_{'abc'[axis]}"} <= set(remarks(crystal))
    assert not {f"vacuum_{name}" for i, name in enumerate("abc") if i != axis} & set(remarks(crystal))
    lattice[axis] -= 0.2
    assert "vacuum" not in remarks(Crystal(np.diag(lattice), frac, crystal.numbers))
    pbc = np.arange(3) != axis
    lattice[axis] = 30
    assert "vacuum" not in remarks(Crystal(np.diag(lattice), frac, crystal.numbers, pbc))


def test_a_gap_is_measured_across_planes() -> None:
    """In a sheared cell c is 12 Å long and its planes are 6 Å apart."""
    lattice = np.array([[4.0, 0, 0], [0, 4.0, 0], [10.4, 0, 6.0]])
    assert "vacuum" not in remarks(Crystal(lattice, np.zeros((1, 3)), np.array([55])))


@given(seed=st.integers(0, 2**32 - 1), sites=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_contacts_equal_brute_force_and_do_not_depend_on_the_setting(seed: int, sites: int) -> None:
    from ase.data import covalent_radii

    rng = np.random.default_rng(seed)
    lattice = np.eye(3) * rng.uniform(2, 6) + rng.uniform(-0.8, 0.8, (3, 3))
    crystal = Crystal(lattice, rng.uniform(-1, 2, (sites, 3)), rng.integers(1, 95, sites))
    steps = np.arange(-4, 5)
    images = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 1, 1, 3)
    frac = crystal.frac - np.floor(crystal.frac)
    apart = np.linalg.norm((frac[None] - frac[:, None] + images) @ lattice, axis=-1)
    apart[len(images) // 2][np.diag_indices(sites)] = np.inf
    radii = covalent_radii[crystal.numbers]
    close = bool((apart < (radii[:, None] + radii[None]) / 2).any())
    flags = remarks(crystal)
    assert ("close_contact" in flags) == close
    moved = Crystal(
        lattice, crystal.frac + rng.integers(-3, 4, (sites, 3)) + rng.uniform(0, 1, 3), crystal.numbers
    )
    assert remarks(moved) == flags


@pytest.mark.parametrize("z", range(1, len(SYMBOLS)))
def test_every_element_has_a_volume(z: int) -> None:
    edge = 2.8
    flags = remarks(Crystal(np.diag([edge] * 3) * 10, np.zeros((1, 3)), np.array([z])))
    assert "odd_density" in flags


def test_all_flags_are_explained() -> None:
    everything = Crystal(np.diag([40.0, 40.0, 40.0]), np.array([[0, 0, 0], [0.02, 0, 0]]), np.array([55, 55]))
    found = remarks(everything)
    assert found == ["close_contact", "odd_density", "vacuum", "vacuum_a", "vacuum_b", "vacuum_c"]
    assert set(found) <= set(FLAGS)


@pytest.mark.shared
def test_few_crystals_of_mc3d_are_odd_and_asking_is_cheap(shared: Path) -> None:
    import pyarrow.parquet as pq

    from tests.structure_texts import read_text_of

    texts = pq.read_table(shared / "data" / "mc3d_pbe.parquet")["cif"].to_pylist()[::70]
    crystals = [read_text_of(text).crystal for text in texts]
    remarks(crystals[0])
    began = time.process_time()
    found = [remarks(crystal) for crystal in crystals]
    took = (time.process_time() - began) / len(crystals)
    assert took < 0.0002  # 0.025 ms on a quiet core
    assert sum(map(bool, found)) <= 5
