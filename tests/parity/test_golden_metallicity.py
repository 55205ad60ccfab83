"""The metallicity block of the published network against the published application's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pymatgen.core.structure import Structure

from goldilocks_batch.features.metallicity import N_METALLICITY, Metallicity
from goldilocks_batch.structures.crystal import Crystal
from tests.oracle import ask

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def network(shared: Path) -> Metallicity:
    folder = shared / "hub" / "JunwenYin" / "metallicity-goldilocks-CGCNN"
    return Metallicity(folder / "is_metal.ckpt", folder / "atom_init.json")


def test_published_numbers(shared: Path, network: Metallicity) -> None:
    rows = pq.read_table(shared / "golden" / "features.parquet").to_pylist()
    crystals = [Crystal.from_pymatgen(Structure.from_dict(json.loads(r["structure_json"]))) for r in rows]
    wanted = np.array([row["features"][-N_METALLICITY:] for row in rows])
    found, failures = network(crystals)
    assert not failures
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())
    single = np.concatenate([network([crystal])[0] for crystal in crystals])
    np.testing.assert_allclose(found, single, rtol=0, atol=1e-6 * np.abs(wanted).max())


def test_the_head_is_that_of_the_published_network(shared: Path, network: Metallicity) -> None:
    import torch

    rows = pq.read_table(shared / "golden" / "features.parquet").to_pylist()
    features = np.array([row["features"][-N_METALLICITY:] for row in rows])
    folder = shared / "hub" / "JunwenYin" / "metallicity-goldilocks-CGCNN"
    state = torch.load(folder / "is_metal.ckpt", weights_only=True, map_location="cpu")["state_dict"]
    x = torch.nn.functional.softplus(torch.tensor(features, dtype=torch.float32))
    for name in ("conv_to_fc", "fcs.0", "fcs.1"):
        x = torch.nn.functional.softplus(
            torch.nn.functional.linear(x, state[f"model.{name}.weight"], state[f"model.{name}.bias"])
        )
    out = torch.nn.functional.linear(x, state["model.fc_out.weight"], state["model.fc_out.bias"])
    wanted = torch.softmax(out, dim=1)[:, 1].numpy()
    np.testing.assert_allclose(network.metal_probability(features), wanted, rtol=0, atol=1e-5)


def test_the_package_that_published_the_network_says_the_same(shared: Path, network: Metallicity) -> None:
    folder = shared / "hub" / "JunwenYin" / "metallicity-goldilocks-CGCNN"
    golden = shared / "golden" / "features.parquet"
    script = """
import json, sys
import pyarrow.parquet as pq, torch
from pathlib import Path
from pymatgen.core.structure import Structure
from torch_geometric.data import Batch
from goldilocks_ml.models.k_points.k_distance.qrf.embedding import build_graph, load_cgcnn
from goldilocks_ml.models.metallicity.is_metal.cgcnn.trainer import class_scores
checkpoint, atoms, golden = map(Path, sys.argv[1:])
texts = pq.read_table(golden)["structure_json"].to_pylist()
graphs = [build_graph(Structure.from_dict(json.loads(text)), atoms) for text in texts]
print(json.dumps([float(score) for score in class_scores(load_cgcnn(checkpoint), graphs)]))
"""
    wanted = np.array(ask(script, folder / "is_metal.ckpt", folder / "atom_init.json", golden))
    rows = pq.read_table(golden).to_pylist()
    crystals = [Crystal.from_pymatgen(Structure.from_dict(json.loads(r["structure_json"]))) for r in rows]
    # graphs of equal distances differ in which of a full shell is kept, and the representation with them
    found = network.metal_probability(network(crystals)[0])
    assert np.quantile(np.abs(found - wanted), 0.9) < 1e-3
    assert ((found > 0.5) == (wanted > 0.5)).all()


def test_metals_and_insulators(network: Metallicity) -> None:
    def cell(species: list[str], frac: list[list[float]], a: float) -> Crystal:
        lattice = a / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
        return Crystal.from_pymatgen(Structure(lattice, species, frac))

    crystals = [
        cell(["Cu"], [[0, 0, 0]], 3.61),
        cell(["Al"], [[0, 0, 0]], 4.05),
        cell(["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]], 5.64),
        cell(["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]], 4.21),
    ]
    copper, aluminium, salt, magnesia = network.metal_probability(network(crystals)[0])
    assert min(copper, aluminium) > 0.9
    assert max(salt, magnesia) < 0.2
