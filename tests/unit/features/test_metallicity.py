"""The metallicity block against its formulas, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.features import metallicity
from goldilocks_batch.features.metallicity import Metallicity
from goldilocks_batch.networks.checkpoint import read_element_table
from goldilocks_batch.networks.graphs.neighbours import find_bonds
from goldilocks_batch.structures.crystal import Crystal
from tests.random_networks import (
    cgcnn_arguments,
    cgcnn_state,
    random_crystal,
    write_checkpoint,
    write_elements,
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    arguments = cgcnn_arguments()
    checkpoint = write_checkpoint(tmp_path / "is_metal.ckpt", arguments, cgcnn_state(arguments, 0))
    return checkpoint, write_elements(tmp_path / "atom_init.json", 5, range(1, 80))


def written_out(crystal: Crystal, checkpoint: Path, elements: Path) -> NDArray[np.float64]:
    """The network, one bond at a time."""
    stored = torch.load(checkpoint, weights_only=True)["state_dict"]
    w = {key.removeprefix("model."): value.double().numpy() for key, value in stored.items()}
    table = read_element_table(elements).astype(np.float64)
    centers = w["rbf.centers"]
    bonds = find_bonds(crystal)
    x = table[crystal.numbers] @ w["embedding.weight"].T + w["embedding.bias"]
    for layer in ("convs.0", "convs.1"):
        total = x.copy()
        for s, t, d in zip(bonds.source, bonds.target, bonds.distance, strict=True):
            z = np.concatenate([x[t], x[s], np.exp(-((d - centers) ** 2) / (centers[1] - centers[0]) ** 2)])
            f = w[f"{layer}.lin_f.weight"] @ z + w[f"{layer}.lin_f.bias"]
            g = w[f"{layer}.lin_s.weight"] @ z + w[f"{layer}.lin_s.bias"]
            total[t] += np.logaddexp(0, g) / (1 + np.exp(-f))
        mean, variance = w[f"{layer}.batch_norm.running_mean"], w[f"{layer}.batch_norm.running_var"]
        x = (total - mean) / np.sqrt(variance + 1e-5) * w[f"{layer}.batch_norm.weight"]
        x += w[f"{layer}.batch_norm.bias"]
    return np.asarray(x.mean(axis=0))


CRYSTALS = [random_crystal(seed, n_atoms=n) for seed, n in enumerate([1, 2, 5, 9, 3])]


def test_agrees_with_the_formulas(files: tuple[Path, Path]) -> None:
    features, failures = Metallicity(*files)(CRYSTALS)
    wanted = np.array([written_out(crystal, *files) for crystal in CRYSTALS])
    assert not failures
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, wanted, atol=2e-6 * np.abs(wanted).max())


def test_batch_equals_single_in_any_order(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    network = Metallicity(*files)
    single = np.concatenate([network([crystal])[0] for crystal in CRYSTALS])
    np.testing.assert_allclose(network(CRYSTALS)[0], single, atol=1e-6 * np.abs(single).max())
    np.testing.assert_allclose(network(CRYSTALS[::-1])[0][::-1], single, atol=1e-6 * np.abs(single).max())
    monkeypatch.setattr(metallicity, "ATOMS_PER_BATCH", 6)
    np.testing.assert_allclose(network(CRYSTALS)[0], single, atol=1e-6 * np.abs(single).max())


def test_bad_structures_fail_alone(files: tuple[Path, Path]) -> None:
    network = Metallicity(*files)
    unknown = Crystal(4.0 * np.eye(3), np.zeros((1, 3)), np.array([94]))
    lonely = Crystal(40.0 * np.eye(3), np.zeros((1, 3)), np.array([10]))
    features, failures = network([CRYSTALS[0], unknown, CRYSTALS[1], lonely])
    np.testing.assert_allclose(features[[0, 2]], network(CRYSTALS[:2])[0], rtol=1e-5)
    assert {row: error.code for row, error in failures.items()} == {
        1: ErrorCode.ELEMENT_NOT_TABULATED,
        3: ErrorCode.NO_NEIGHBOURS,
    }
    assert "Pu" in failures[1].message
    assert not features[[1, 3]].any()


def test_nothing_in_nothing_out(files: tuple[Path, Path]) -> None:
    features, failures = Metallicity(*files)([])
    assert features.shape == (0, 64)
    assert not failures


def test_inputs_stay_as_they_were(files: tuple[Path, Path]) -> None:
    crystal = random_crystal(3)
    before = crystal.lattice.copy(), crystal.frac.copy(), crystal.numbers.copy()
    Metallicity(*files)([crystal])
    for found, wanted in zip((crystal.lattice, crystal.frac, crystal.numbers), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_other_networks_are_refused(tmp_path: Path, files: tuple[Path, Path]) -> None:
    _, elements = files
    arguments = cgcnn_arguments()
    state = cgcnn_state(arguments, 0)

    def refused(changes: dict[str, object], state: dict[str, torch.Tensor], pattern: str) -> None:
        path = write_checkpoint(tmp_path / "bad.ckpt", arguments | changes, state)
        with pytest.raises(ModelError, match=pattern) as caught:
            Metallicity(path, elements)
        assert caught.value.code is ErrorCode.ARTIFACT_INVALID

    key = "model.convs.1.lin_s.bias"
    refused({}, {k: v for k, v in state.items() if k != key}, f'missing "{key}"')
    refused({}, state | {"model.extra": torch.zeros(1)}, 'not expected: "model.extra"')
    refused({}, state | {key: torch.zeros(3)}, f'"{key}" has shape')
    refused({"n_conv": 3}, state, r'missing "model.convs.2')
    refused({"atom_fea_len": 32}, state, "32 features")
    refused({"n_conv": "two"}, state, "\"n_conv\" is 'two'")
    bad = state[key].clone()
    bad[0] = torch.nan
    refused({}, state | {key: bad}, f'"{key}" holds 1 values')


def test_a_table_of_other_length_is_refused(tmp_path: Path, files: tuple[Path, Path]) -> None:
    with pytest.raises(ModelError, match=r"has 6 numbers an element.*expects 5"):
        Metallicity(files[0], write_elements(tmp_path / "long.json", 6))
