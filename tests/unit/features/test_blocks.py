"""Composition, structure and lattice blocks against the libraries that defined them."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.features.composition import (
    composition_block,
    composition_labels,
    element_properties,
    untabulated_element,
)
from goldilocks_batch.features.lattice import lattice_block
from goldilocks_batch.features.structure_block import structure_block
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from goldilocks_batch.structures.symmetry import find_symmetry


def of_counts(counts: dict[int, int]) -> Crystal:
    numbers = np.repeat(list(counts), list(counts.values())).astype(np.int64)
    return Crystal(np.eye(3) * 10.0, np.random.default_rng(0).random((len(numbers), 3)), numbers)


@lru_cache(maxsize=1)
def matminer_featurizers() -> tuple[Any, ...]:
    from matminer.featurizers.composition import ElementProperty, Stoichiometry, ValenceOrbital

    magpie = ElementProperty.from_preset("magpie", impute_nan=True)
    return magpie, Stoichiometry(), ValenceOrbital(impute_nan=True)


def test_the_element_data_and_labels_are_matminers() -> None:
    magpie, stoichiometry, valence = matminer_featurizers()
    elements = [Element.from_Z(z) for z in range(1, len(SYMBOLS))]
    names = [f"N{orbital}Valence" for orbital in valence.orbitals] + ["NValence"]
    expected = [
        [magpie.data_source.get_elemental_property(element, name) for name in magpie.features]
        + [valence.data_source.get_elemental_property(element, name) for name in names]
        for element in elements
    ]
    found = element_properties()
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1:], np.array(expected))
    labels = (*magpie.feature_labels(), *stoichiometry.feature_labels(), *valence.feature_labels())
    assert composition_labels() == labels


def matminer_composition(crystal: Crystal) -> list[float]:
    with warnings.catch_warnings():  # pymatgen has no electronegativity to sort some formulas by
        warnings.simplefilter("ignore")
        formula = Composition("".join(SYMBOLS[z] for z in crystal.numbers)).reduced_formula
        reduced = Composition(formula)
    return [float(value) for featurizer in matminer_featurizers() for value in featurizer.featurize(reduced)]


def test_composition_equals_matminer_on_mixed_batch() -> None:
    batch = [
        of_counts({26: 2, 8: 3}),
        of_counts({11: 1, 17: 1}),  # two modes
        of_counts({8: 2}),  # the reduced formula of a diatomic molecule
        of_counts({3: 2, 15: 1, 26: 2, 8: 8, 1: 3}),  # several modes below the largest
        of_counts({2: 1}),
        of_counts({118: 1, 92: 7}),  # imputed values
    ]
    expected = np.array([matminer_composition(crystal) for crystal in batch])
    np.testing.assert_allclose(composition_block(batch), expected, rtol=1e-12, atol=1e-12)
    assert len(composition_labels()) == expected.shape[1] == 146


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(st.integers(1, 118), st.integers(1, 9)), min_size=1, max_size=6, unique_by=lambda p: p[0]
    )
)
def test_composition_equals_matminer_on_any_formula(pairs: list[tuple[int, int]]) -> None:
    crystal = of_counts(dict(pairs))
    np.testing.assert_allclose(
        composition_block([crystal])[0], matminer_composition(crystal), rtol=1e-12, atol=1e-12
    )


def test_composition_row_does_not_depend_on_its_batch() -> None:
    small, large = of_counts({14: 2}), of_counts({1: 1, 6: 1, 7: 1, 8: 1, 16: 2})
    together = composition_block([small, large])
    np.testing.assert_array_equal(together[0], composition_block([small])[0])
    np.testing.assert_allclose(together[1], composition_block([large])[0], rtol=1e-14)


def test_unknown_element_is_named() -> None:
    error = untabulated_element(of_counts({0: 1, 8: 1, 119: 1}))
    assert error is not None
    assert error.code is ErrorCode.ELEMENT_NOT_TABULATED
    assert "X, Z=119" in error.message
    assert untabulated_element(of_counts({1: 1, 118: 1})) is None


def test_structure_block_is_zero_exactly_where_matminer_fails() -> None:
    from matminer.featurizers.structure import DensityFeatures, GlobalSymmetryFeatures

    systems = GlobalSymmetryFeatures(["spacegroup_num", "crystal_system_int", "is_centrosymmetric"])
    density = DensityFeatures(["density", "vpa", "packing fraction"])
    cell = np.diag([3.0, 3.2, 4.0])
    crystals = [Crystal(cell, np.zeros((1, 3)), np.array([z])) for z in range(1, 119)]
    values, zero = structure_block(crystals, [find_symmetry(crystal) for crystal in crystals])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for crystal, row, is_zero in zip(crystals, values, zero, strict=True):
            structure = crystal.to_pymatgen()
            try:
                expected = [*systems.featurize(structure), *density.featurize(structure)]
            except TypeError:  # None ** 3
                expected = [0.0] * 6
            assert is_zero == (expected == [0.0] * 6)
            np.testing.assert_allclose(row, np.array(expected, dtype=float), rtol=1e-9)


lengths = st.floats(1.5, 40.0)
angles = st.floats(50.0, 118.0)


@settings(max_examples=50)
@given(st.tuples(lengths, lengths, lengths), st.tuples(angles, angles, angles))
def test_lattice_block_equals_pymatgen(abc: tuple[float, ...], degrees: tuple[float, ...]) -> None:
    lattice = Lattice.from_parameters(*abc, *degrees)
    if not lattice.volume > 0.1:
        return
    crystal = Crystal(np.array(lattice.matrix), np.zeros((1, 3)), np.array([29]))
    row = lattice_block([crystal], [find_symmetry(crystal)])[0]
    np.testing.assert_allclose(row[:6], [*lattice.abc, *lattice.angles], rtol=1e-8)
    reciprocal = lattice.reciprocal_lattice
    np.testing.assert_allclose(row[6:12], [*reciprocal.abc, *reciprocal.angles], rtol=1e-8)


@pytest.mark.parametrize(
    ("lattice", "system", "bravais", "number"),
    [
        (Lattice.cubic(3), 6, 11, 221),
        (Lattice.cubic(3).matrix @ np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]), 6, 13, 225),
        (Lattice.hexagonal(3, 5), 5, 9, 191),
        (Lattice.rhombohedral(4, 70), 4, 10, 166),
        (Lattice.tetragonal(3, 5), 3, 7, 123),
        (Lattice.orthorhombic(3, 4, 5), 2, 3, 47),
        (Lattice.monoclinic(3, 4, 5, 100), 1, 1, 10),
        (Lattice.from_parameters(3, 4, 5, 80, 95, 103), 0, 0, 2),
    ],
)
def test_lattice_ids(lattice: object, system: int, bravais: int, number: int) -> None:
    matrix = np.array(lattice.matrix if isinstance(lattice, Lattice) else lattice)
    crystal = Crystal(matrix, np.zeros((1, 3)), np.array([29]))
    assert lattice_block([crystal], [find_symmetry(crystal)])[0, 12:].tolist() == [system, bravais, number]


def test_centring_without_an_id() -> None:
    # two kinds of atoms on the polar axis of an A-centred cell
    lattice = np.array([[3.1, 0, 0], [0, 2.2, 2.6], [0, -2.2, 2.6]])
    crystal = Crystal(lattice, np.array([[0, 0, 0], [0, 0.3, 0.3], [0.5, 0.61, 0.61]]), np.array([29, 8, 16]))
    symmetry = find_symmetry(crystal)
    assert symmetry.international == "Amm2"
    assert symmetry.bravais == "oA"
    assert lattice_block([crystal], [symmetry])[0, 13] == -1
