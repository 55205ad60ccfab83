"""Every stand-in checkpoint, and the bounds at the three levels, against the published application's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from goldilocks_batch.models.alignn import Alignn
from goldilocks_batch.models.bounds import finalise
from goldilocks_batch.models.interface import ModelInputs
from goldilocks_batch.networks import to_pyg
from goldilocks_batch.networks.alignn.architecture import checkpoints_in, read_networks
from goldilocks_batch.networks.alignn.cpu import CpuEnsemble
from goldilocks_batch.networks.alignn.gpu import FusedEnsemble
from goldilocks_batch.networks.alignn.module import Alignn as Network
from goldilocks_batch.networks.alignn.stacked import TorchEnsemble
from goldilocks_batch.networks.checkpoint import read_element_table
from goldilocks_batch.networks.graphs.collate import collate, pack
from goldilocks_batch.structures.crystal import Crystal

pytestmark = pytest.mark.shared

TOLERANCE = 2e-6  # a tenth of what is asked for, 1/Å
QUANTILES = (95, 90, 85, 50, 15, 10, 5)
#: Folders of the lower and upper bound, and the published correction, 1/Å.
LEVELS = {"95": (95, 5, 0.0005), "90": (90, 10, 0.0025), "85": (85, 15, -0.0018)}


@pytest.fixture(scope="module")
def rows(shared: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(shared / "golden" / "alignn.parquet").to_pylist())


@pytest.fixture(scope="module")
def inputs(shared: Path, rows: list[dict[str, Any]]) -> ModelInputs:
    table = {r["id"]: r for r in pq.read_table(shared / "golden" / "features.parquet").to_pylist()}
    chosen = [table[row["id"]] for row in rows]
    features = np.array([row["features"] for row in chosen])
    without_soap = np.concatenate([features[:, :152], features[:, 404:]], axis=1)
    structures = [Structure.from_dict(json.loads(row["structure_json"])) for row in chosen]
    return ModelInputs([Crystal.from_pymatgen(structure) for structure in structures], without_soap)


def folder(shared: Path, quantile: int) -> list[Path]:
    repository = shared / "hub" / "STFC-SCD" / "kpoints-goldilocks-ALIGNNd"
    return checkpoints_in(repository / f"quantile{quantile}")


def elements(shared: Path) -> Path:
    repository = shared / "hub" / "stfc" / "goldilocks_kpoints"
    return repository / "embeddings" / "atom_init_with_sssp_cutoffs.json"


def model(shared: Path, lower: int, upper: int) -> Alignn:
    return Alignn.load(folder(shared, lower), folder(shared, 50), folder(shared, upper), elements(shared))


@pytest.mark.parametrize("kind", ["cpu", "torch"])
def test_every_checkpoint(shared: Path, rows: list[dict[str, Any]], inputs: ModelInputs, kind: str) -> None:
    architecture, ensembles = read_networks([folder(shared, quantile) for quantile in QUANTILES])
    names = [
        f"quantile{q}_{k}" for q, paths in zip(QUANTILES, ensembles, strict=True) for k in range(len(paths))
    ]
    wanted = np.array([[row[name] for name in names] for row in rows])
    networks = [network for ensemble in ensembles for network in ensemble]
    table = read_element_table(elements(shared))
    ensemble = (
        CpuEnsemble(architecture, networks, table)
        if kind == "cpu"
        else TorchEnsemble(architecture, networks, table, "cpu")
    )
    prepared = model(shared, 95, 5).prepare(inputs.crystals)
    graphs = [graph for graph in prepared.graphs if graph is not None]
    assert len(graphs) == len(rows)
    assert inputs.features is not None
    costs = np.array([graph[0].n_line_edges for graph in graphs])
    for skip, rows_of_kind in ((True, np.flatnonzero(costs == 0)), (False, np.flatnonzero(costs > 0))):
        assert len(rows_of_kind)
        for part in pack(costs[rows_of_kind], 8_000):
            chosen = rows_of_kind[part]
            batch = collate([graphs[i] for i in chosen])
            found = ensemble(batch, inputs.features[chosen], skip_alignn=skip)
            np.testing.assert_allclose(found, wanted[chosen], rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_fused_kernels(shared: Path, rows: list[dict[str, Any]], inputs: ModelInputs) -> None:
    """Two checkpoints on every graph; in Triton's interpreter where there is no GPU."""
    pytest.importorskip("triton", reason="Triton, which GPUs' kernels are written in, is for Linux")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    architecture, ensembles = read_networks([folder(shared, q)[:1] for q in (95, 5)])
    networks = [network for (network,) in ensembles]
    wanted = np.array([[row[f"quantile{q}_0"] for q in (95, 5)] for row in rows])
    fused, plain = (
        kind(architecture, networks, read_element_table(elements(shared)), device)
        for kind in (FusedEnsemble, TorchEnsemble)
    )
    prepared = model(shared, 95, 5).prepare(inputs.crystals)
    graphs = [graph for graph in prepared.graphs if graph is not None]
    assert inputs.features is not None
    lined = np.array([graph[0].n_line_edges > 0 for graph in graphs])
    for skip in (False, True):
        chosen = np.flatnonzero(lined != skip)
        batch, features = collate([graphs[i] for i in chosen]), inputs.features[chosen]
        found = fused(batch, features, skip_alignn=skip)
        np.testing.assert_allclose(found, wanted[chosen], rtol=0, atol=TOLERANCE)
        in_torch = plain(batch, features, skip_alignn=skip)
        np.testing.assert_allclose(found, in_torch, rtol=0, atol=1e-6 * np.abs(in_torch).max())


def test_the_module_on_whole_graphs(shared: Path, rows: list[dict[str, Any]], inputs: ModelInputs) -> None:
    """A published checkpoint, loaded by its own keys, on graphs as people get them."""
    assert inputs.features is not None
    table = read_element_table(elements(shared))
    for quantile in (95, 5):
        network = Network.from_checkpoint(folder(shared, quantile)[0])
        for row, crystal, features in zip(rows, inputs.crystals, inputs.features, strict=True):
            with torch.no_grad():
                given = torch.from_numpy(features.astype(np.float32))[None]
                found = network(*to_pyg(crystal, elements=table), given)
            assert abs(float(found[0]) - row[f"quantile{quantile}_0"]) <= TOLERANCE, row["id"]


@pytest.mark.parametrize("level", LEVELS)
def test_bounds(shared: Path, rows: list[dict[str, Any]], inputs: ModelInputs, level: str) -> None:
    lower, upper, correction = LEVELS[level]
    answer = model(shared, lower, upper).predict(inputs)
    names = [f"c{level}_{bound}" for bound in ("lower", "median", "upper")]
    wanted = np.array([[row[name] for name in names] for row in rows])
    assert not answer.failures
    shift: NDArray[np.float64] = np.array([-correction, 0.0, correction])
    np.testing.assert_allclose(answer.values + shift, wanted, rtol=0, atol=TOLERANCE)
    # the stand-ins' weights are random: bounds that cross or are not positive are repaired
    final = finalise(answer, correction)
    sound = [not set(flags) & {"crossed_bounds_repaired", "bound_clipped"} for flags in final.flags]
    assert any(sound)
    np.testing.assert_allclose(final.values[sound], wanted[sound], rtol=0, atol=TOLERANCE)
    single = [row for row, flags in answer.flags.items() if "single_site" in flags]
    assert single == [row for row, crystal in enumerate(inputs.crystals) if len(crystal) == 1]
