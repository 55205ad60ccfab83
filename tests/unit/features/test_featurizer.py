"""The feature table: names, order, blocks, and one bad crystal among good ones."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, FeatureError, ModelError
from goldilocks_batch.features.featurizer import Featurizer
from goldilocks_batch.features.table import block_slices, column_names, n_columns
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import find_symmetry

COPPER = Crystal(np.eye(3) * 3.0, np.zeros((1, 3)), np.array([29]))
SALT = Crystal(np.eye(3) * 4.1, np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([55, 17]))
HELIUM = Crystal(np.eye(3) * 3.5, np.zeros((1, 3)), np.array([2]))
DUMMY = Crystal(np.eye(3) * 3.0, np.zeros((1, 3)), np.array([0]))
COLLAPSED = Crystal(np.eye(3) * 0.1, np.zeros((1, 3)), np.array([29]))
FLAT = Crystal(np.ones((3, 3)), np.zeros((1, 3)), np.array([29]))
NOT_A_NUMBER = Crystal(np.eye(3) * 3.0, np.full((1, 3), np.nan), np.array([29]))
SYMMETRY = find_symmetry(COPPER)


def counting_network(crystals: Sequence[Crystal]) -> tuple[NDArray[np.float32], dict[int, FeatureError]]:
    """A stand-in with the network's signature: the number of sites, copper refused, one infinity."""
    values = np.tile(np.array([len(crystal) for crystal in crystals], dtype=np.float32)[:, None], (1, 64))
    values[:, 3] = np.inf
    failures = {
        row: FeatureError(ErrorCode.NO_NEIGHBOURS, "refused")
        for row, crystal in enumerate(crystals)
        if crystal.numbers[0] == 29
    }
    return values, failures


def test_columns_are_ordered_unique_and_plain() -> None:
    names = column_names()
    assert len(names) == len(set(names)) == n_columns() == 483
    assert all(re.fullmatch(r"[a-z]+\.[a-z0-9_]+", name) for name in names)
    slices = block_slices()
    assert list(slices) == ["composition", "structure", "soap", "lattice", "metallicity"]
    for block, columns in slices.items():
        assert {name.split(".")[0] for name in names[columns]} == {block}
    assert n_columns(["composition", "structure", "lattice", "metallicity"]) == 231


def test_importing_the_features_loads_no_heavy_library() -> None:
    code = (
        "import sys, goldilocks_batch.features.table, goldilocks_batch.features.featurizer\n"
        "print([m for m in ('matminer', 'dscribe', 'torch', 'pymatgen', 'spglib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_one_bad_crystal_spoils_no_other() -> None:
    bad = [DUMMY, COLLAPSED, FLAT, NOT_A_NUMBER]
    batch = [COPPER, bad[0], SALT, bad[1], HELIUM, bad[2], bad[3]]
    symmetries = [find_symmetry(c) if c in (COPPER, SALT, HELIUM) else SYMMETRY for c in batch]
    found = Featurizer()(batch, symmetries)
    assert {row: error.code for row, error in found.failures.items()} == {
        1: ErrorCode.ELEMENT_NOT_TABULATED,
        3: ErrorCode.FEATURES_FAILED,
        5: ErrorCode.FEATURES_FAILED,
        6: ErrorCode.FEATURES_FAILED,
    }
    assert np.isnan(found.values[[1, 3, 5, 6]]).all()
    for row in (0, 2, 4):
        alone = Featurizer()([batch[row]], [symmetries[row]])
        np.testing.assert_allclose(found.values[row], alone.values[0], rtol=1e-13)
    assert found.structure_block_zero.tolist() == [False, False, False, False, True, False, False]
    assert (found.values[4, block_slices()["structure"]] == 0.0).all()


def test_metallicity_block_and_its_failures() -> None:
    found = Featurizer(counting_network)([COPPER, SALT], [SYMMETRY, find_symmetry(SALT)])
    assert found.values.shape == (2, 483)
    assert {row: error.code for row, error in found.failures.items()} == {0: ErrorCode.NO_NEIGHBOURS}
    expected = np.full(64, 2.0)
    expected[3] = 0.0  # not finite
    np.testing.assert_array_equal(found.values[1, block_slices()["metallicity"]], expected)


def test_unexpected_error_fails_its_own_row_only() -> None:
    def fragile(crystals: Sequence[Crystal]) -> tuple[NDArray[np.float32], dict[int, FeatureError]]:
        if any(len(crystal) == 2 for crystal in crystals):
            raise ZeroDivisionError("two sites")
        return np.ones((len(crystals), 64), dtype=np.float32), {}

    found = Featurizer(fragile, blocks=("metallicity",))([COPPER, SALT, COPPER], [SYMMETRY] * 3)
    assert list(found.failures) == [1]
    assert "metallicity block failed: ZeroDivisionError: two sites" in found.failures[1].message
    assert (found.values[[0, 2]] == 1.0).all()


def test_a_broken_model_is_no_failure_of_crystals() -> None:
    def broken(_: Sequence[Crystal]) -> tuple[NDArray[np.float32], dict[int, FeatureError]]:
        raise ModelError(ErrorCode.ARTIFACT_MISSING, "no file")

    with pytest.raises(ModelError, match="no file"):
        Featurizer(broken)([COPPER], [SYMMETRY])


def test_blocks_are_chosen_in_any_order() -> None:
    everything = Featurizer()([SALT], [find_symmetry(SALT)]).values
    featurizer = Featurizer(blocks=("lattice", "composition"))
    found = featurizer([SALT], [find_symmetry(SALT)])
    slices = block_slices()
    expected = np.hstack([everything[:, slices["lattice"]], everything[:, slices["composition"]]])
    np.testing.assert_array_equal(found.values, expected)
    assert featurizer.columns[0] == "lattice.a"
    assert set(featurizer.timings) == {"lattice", "composition"}
    assert all(seconds > 0.0 for seconds in featurizer.timings.values())


@pytest.mark.parametrize("blocks", [("soap", "soap"), ("soup",), ("metallicity",)])
def test_blocks_that_cannot_be_had(blocks: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="block"):
        Featurizer(blocks=blocks)


def test_inputs_must_match_and_may_be_empty() -> None:
    with pytest.raises(ValueError, match="1 crystals and 0 symmetries"):
        Featurizer()([COPPER], [])
    found = Featurizer()([], [])
    assert found.values.shape == (0, n_columns(["composition", "structure", "soap", "lattice"]))
    assert found.failures == {}
