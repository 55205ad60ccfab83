"""ALIGNN on a real GPU: the CPU's numbers, and batches that do not fit.  Skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goldilocks_batch.models.alignn import Alignn
from goldilocks_batch.models.interface import ModelInputs
from goldilocks_batch.networks.alignn.architecture import checkpoints_in
from goldilocks_batch.networks.alignn.gpu import FusedEnsemble
from goldilocks_batch.structures.crystal import Crystal
from tests.random_networks import (
    alignn_arguments,
    alignn_state,
    random_crystal,
    write_checkpoint,
    write_elements,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

#: Folder of each bound and the quantile its networks are trained for.
BOUNDS = {"lower": 0.95, "median": 0.5, "upper": 0.05}


@pytest.fixture
def inputs() -> ModelInputs:
    rng = np.random.default_rng(3)
    crystals: list[Crystal] = [random_crystal(seed, atoms) for seed, atoms in enumerate((1, 2, 5, 9, 14, 30))]
    features: NDArray[np.float64] = rng.normal(size=(len(crystals), 231))
    return ModelInputs(crystals, features)


def load(folder: Path, device: str) -> Alignn:
    arguments = alignn_arguments()
    for number, (bound, quantile) in enumerate(BOUNDS.items()):
        for k in range(3):
            state = alignn_state(arguments, seed=10 * number + k)
            write_checkpoint(folder / bound / f"{k}.ckpt", arguments, state, quantile)
    write_elements(folder / "elements.json")
    lower, median, upper = (checkpoints_in(folder / bound) for bound in BOUNDS)
    return Alignn.load(lower, median, upper, folder / "elements.json", device=device)


def test_the_gpu_gives_the_numbers_of_the_cpu(inputs: ModelInputs, tmp_path: Path) -> None:
    on_cpu, on_gpu = (load(tmp_path, device).predict(inputs) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu.values, on_cpu.values, atol=2e-5, rtol=0)
    assert not any("cpu_fallback" in flags for flags in on_gpu.flags.values())


def test_fused_kernels_run_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("triton")
    assert isinstance(load(tmp_path, "cuda")._ensemble, FusedEnsemble)
    assert not caplog.messages


def test_a_share_of_the_memory_is_kept_to(
    inputs: ModelInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDILOCKS_GPU_MEMORY", str(10**9))
    try:
        model = load(tmp_path, "auto")
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(900_000_000, dtype=torch.uint8, device="cuda")
        found = model.predict(inputs)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    np.testing.assert_allclose(found.values, load(tmp_path, "cpu").predict(inputs).values, atol=2e-5, rtol=0)


def test_what_does_not_fit_is_halved_and_falls_back(inputs: ModelInputs, tmp_path: Path) -> None:
    expected = load(tmp_path, "cpu").predict(inputs)
    model = load(tmp_path, "cuda")
    before = model.edges
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(2e6 / total)
    try:
        found = model.predict(inputs)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    np.testing.assert_allclose(found.values, expected.values, atol=2e-5, rtol=0)
    assert any("cpu_fallback" in flags for flags in found.flags.values())
    assert model.edges < before
