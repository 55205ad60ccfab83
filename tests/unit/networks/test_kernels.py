"""The fused convolution, in Triton's interpreter where there is no GPU, against torch."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from goldilocks_batch.networks.alignn.device_batch import uploaded
from goldilocks_batch.networks.alignn.gpu import FusedEnsemble, gpu_ensemble
from goldilocks_batch.networks.alignn.kernels import ROWS, Walk, convolve, fused_kernels_run_on
from goldilocks_batch.networks.alignn.module import EdgeGatedConvolution
from goldilocks_batch.networks.alignn.stacked import TorchEnsemble
from goldilocks_batch.networks.graphs.bonds import crystal_graph
from goldilocks_batch.networks.graphs.classes import bond_classes
from goldilocks_batch.networks.graphs.collate import GraphBatch, collate
from goldilocks_batch.structures.crystal import Crystal
from tests.random_networks import alignn_networks, random_crystal

pytest.importorskip("triton", reason="Triton, which GPUs' kernels are written in, is for Linux")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
#: Of the largest output.
TOLERANCE = 1e-6
ROCK_SALT = Crystal(
    2.82 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]),
    np.array([11, 17]),
)
ONE_ATOM = Crystal(3.0 * np.eye(3), np.zeros((1, 3)), np.array([84]))


def assert_near(found: Any, wanted: Any, tolerance: float = TOLERANCE) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype == np.float32
    assert np.abs(found - wanted).max(initial=0.0) <= tolerance * np.abs(wanted).max(initial=0.0)


def convolved(
    width: int, networks: int, counts: list[int], seed: int, rows: int | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Rows with so many edges each: by the kernel and by the module, ``(k, n_after, width)``."""
    torch.manual_seed(seed)
    layer = EdgeGatedConvolution(width, networks).to(DEVICE)
    n, kinds, edges = 7, 5, sum(counts)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    x, gates = (torch.randn(length, networks, width, device=DEVICE) for length in (n, kinds))
    lengths = torch.tensor(counts)
    stop = lengths.cumsum(0)
    source, edge, own = (
        torch.randint(most, (count,), dtype=torch.int32).to(DEVICE)
        for most, count in ((n, edges), (kinds, edges), (n, len(counts)))
    )
    target = torch.repeat_interleave(torch.arange(len(counts)), lengths).to(DEVICE)
    walk = Walk(own, (stop - lengths).int().to(DEVICE), stop.int().to(DEVICE), source, edge)
    parts = (layer.src_gate, layer.dst_gate, layer.dst_update, layer.src_update)
    with torch.no_grad():
        wanted = layer((x, x[own.long()]), torch.stack([source.long(), target]), gates, edge.long())
        projected = torch.cat([part(x) for part in parts], dim=2).transpose(0, 1).to(dtype).contiguous()
        along = layer.edge_gate(gates).transpose(0, 1).to(dtype).contiguous()
        before = x.transpose(0, 1).contiguous()
        found = convolve(projected, along, before, walk, layer.norm.weight, layer.norm.bias, rows=rows)
    return found.cpu(), wanted.transpose(0, 1).cpu()


@given(
    width=st.sampled_from([1, 3, 16, 24, 64, 100]),
    networks=st.integers(1, 3),
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=9),
    seed=st.integers(0, 99),
    rows=st.sampled_from([None, ROWS, 4]),
)
@settings(max_examples=25)
def test_random_graphs(width: int, networks: int, counts: list[int], seed: int, rows: int | None) -> None:
    assert_near(*convolved(width, networks, counts, seed, rows, torch.float32))


@pytest.mark.parametrize("counts", [[0, 0, 0], [0, 1, 0], [1], [16], [17, 0, 33]])
@pytest.mark.parametrize("rows", [None, ROWS, 2])
def test_rows_with_one_edge_and_with_none(counts: list[int], rows: int | None) -> None:
    assert_near(*convolved(64, 2, counts, 1, rows, torch.float32))


def test_halved_numbers_are_near() -> None:
    found, wanted = convolved(64, 2, [3, 12, 20], 1, None, torch.bfloat16)
    assert_near(found, wanted, 4e-3)
    assert not torch.equal(found, wanted)


def test_no_rows_and_what_the_kernel_does_not_read() -> None:
    empty = torch.zeros(0, dtype=torch.int32)
    walk = Walk(empty, empty, empty, empty, empty)
    features, norm = torch.zeros(2, 3, 16), torch.ones(2, 16)
    wide = torch.zeros(2, 3, 64)
    assert convolve(wide, features, features, walk, norm, norm).shape == (2, 0, 16)
    some = torch.zeros(1, dtype=torch.int32)
    with pytest.raises(ValueError, match="contiguous"):
        convolve(
            wide.transpose(0, 1).contiguous().transpose(0, 1),
            features,
            features,
            Walk(some, some, some, some, some),
            norm,
            norm,
        )


def batch_of(crystals: list[Crystal], depth: int) -> GraphBatch:
    graphs = [crystal_graph(crystal) for crystal in crystals]
    return collate([(graph, bond_classes(graph, depth)) for graph in graphs])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_features": 24, "alignn_layers": 1, "gcn_layers": 2},
        {"alignn_layers": 0},
        {"gcn_layers": 0, "edge_input_features": 12, "triplet_input_features": 7},
    ],
)
def test_fused_networks_are_those_in_torch(tmp_path: Path, changes: dict[str, Any]) -> None:
    given = alignn_networks(tmp_path, count=3, **changes)
    crystals = [random_crystal(0, n_atoms=3), ROCK_SALT, random_crystal(1, n_atoms=2)]
    features = np.random.default_rng(3).normal(size=(len(crystals), 231))
    batch = batch_of(crystals, given[0].alignn_layers)
    found = FusedEnsemble(*given, DEVICE)(batch, features)
    assert_near(found, TorchEnsemble(*given, DEVICE)(batch, features))


def test_fused_networks_without_a_line_graph(tmp_path: Path) -> None:
    given = alignn_networks(tmp_path)
    features = np.random.default_rng(3).normal(size=(2, 231))
    batch = batch_of([ONE_ATOM] * 2, 0)
    found = FusedEnsemble(*given, DEVICE)(batch, features, skip_alignn=True)
    assert_near(found, TorchEnsemble(*given, DEVICE)(batch, features, skip_alignn=True))


def test_a_batch_is_uploaded_as_it_is() -> None:
    arrays = {
        "whole": np.arange(6, dtype=np.int32).reshape(2, 3),
        "wide": np.array([1.5, -2.0, 1e300]),
        "none": np.empty(0, dtype=np.float32),
        "numbers": np.array([0.1, 0.2], dtype=np.float32),
        "long": np.array([7], dtype=np.int64),
    }
    with np.errstate(over="ignore"):
        found = uploaded(arrays, torch.device(DEVICE))
        for name, array in arrays.items():
            wanted = array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
            np.testing.assert_array_equal(found[name].cpu(), wanted)
            assert found[name].cpu().numpy().dtype == wanted.dtype


def test_kernels_are_used_where_they_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = alignn_networks(tmp_path)
    with caplog.at_level(logging.WARNING, "goldilocks_batch"):
        assert isinstance(gpu_ensemble(*given, DEVICE), FusedEnsemble)
    assert not caplog.messages


def test_plain_torch_where_they_do_not_run_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = alignn_networks(tmp_path)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not fused_kernels_run_on(torch.device("cpu"))
    with caplog.at_level(logging.WARNING, "goldilocks_batch"):
        assert isinstance(gpu_ensemble(*given, "cpu"), TorchEnsemble)
    assert "networks run in plain torch on cpu" in caplog.text


def test_plain_torch_where_triton_can_not_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_arguments: object, **_options: object) -> Tensor:
        raise RuntimeError("Failed to find C compiler")

    given = alignn_networks(tmp_path)
    monkeypatch.setattr("goldilocks_batch.networks.alignn.gpu.convolve", broken)
    with caplog.at_level(logging.WARNING, "goldilocks_batch"):
        assert isinstance(gpu_ensemble(*given, DEVICE), TorchEnsemble)
    assert "Failed to find C compiler" in caplog.text


COMPILE = """
import sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from goldilocks_batch.networks.alignn._convolution import edge_gated_convolution as kernel
from goldilocks_batch.networks.alignn.kernels import ROWS, TILE
numbers, capability = sys.argv[1], int(sys.argv[2])
types = dict.fromkeys(kernel.arg_names, "*fp32") | {"projected": numbers, "gates": numbers, "epsilon": "fp32"}
types |= dict.fromkeys(["start", "stop", "own", "source", "edge"], "*i32")
types |= dict.fromkeys(["rows_before", "rows_gates", "rows_after"], "i32")
fixed = {"WIDTH": 64, "PADDED": 64, "ROWS": ROWS, "TILE": TILE}
types |= dict.fromkeys(fixed, "constexpr")
floats = [k for k, name in enumerate(kernel.arg_names) if types[name] in ("*fp32", "*bf16")]
aligned = {(k,): [["tt.divisibility", 16]] for k in floats}
source = ASTSource(kernel, types, {(kernel.arg_names.index(n),): v for n, v in fixed.items()}, aligned)
made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 1})
print(len(made.asm["cubin"]) > 1000, "ld.global.v" in made.asm["ptx"])
"""


@pytest.mark.parametrize(("numbers", "capability"), [("*fp32", 80), ("*fp32", 90), ("*bf16", 90)])
def test_it_compiles_for_gpus(numbers: str, capability: int, tmp_path: Path) -> None:
    """Without one: what the interpreter accepts, the compiler may not."""
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-c", COMPILE, numbers, str(capability)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "True"], done.stderr
