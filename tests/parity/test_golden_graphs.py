"""Graphs against the published application's, edge for edge."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pymatgen.core.structure import Structure

from goldilocks_batch.networks import to_pyg
from goldilocks_batch.networks.graphs.bonds import crystal_graph
from goldilocks_batch.networks.graphs.neighbours import find_bonds
from goldilocks_batch.structures.crystal import Crystal

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def crystals(shared: Path) -> dict[str, Crystal]:
    rows = pq.read_table(shared / "golden" / "features.parquet", columns=["id", "structure_json"]).to_pylist()
    return {
        row["id"]: Crystal.from_pymatgen(Structure.from_dict(json.loads(row["structure_json"])))
        for row in rows
    }


def test_every_edge(shared: Path, crystals: dict[str, Crystal]) -> None:
    rows = pq.read_table(shared / "golden" / "graphs.parquet").to_pylist()
    assert len(rows) == len(crystals)
    for row in rows:
        crystal = crystals[row["id"]]
        bonds, graph = find_bonds(crystal), crystal_graph(crystal)
        assert (len(crystal), len(bonds)) == (row["n_atoms"], row["n_edges"]), row["id"]
        np.testing.assert_array_equal(bonds.source, row["edge_src"], err_msg=row["id"])
        np.testing.assert_array_equal(bonds.target, row["edge_dst"], err_msg=row["id"])
        # the golden distances went through float32
        np.testing.assert_array_equal(bonds.distance.astype(np.float32), np.float32(row["distance"]))
        assert graph.n_line_edges == row["n_line_edges"], row["id"]
        cosine = graph.cosine.astype(np.float64)
        tolerance = 1e-7 * max(len(cosine), 10)
        np.testing.assert_allclose(cosine.sum(), row["sum_cos"], rtol=0, atol=tolerance)
        np.testing.assert_allclose((cosine**2).sum(), row["sum_cos2"], rtol=0, atol=tolerance)
        data, lines = to_pyg(crystal)
        np.testing.assert_array_equal(data.edge_index, [row["edge_src"], row["edge_dst"]])
        np.testing.assert_array_equal(data.edge_attr, np.float32(row["distance"]))
        assert lines.num_edges == row["n_line_edges"]
