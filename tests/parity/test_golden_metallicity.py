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
