"""The columns of cslr.v1 against those of goldilocks-ml, which defines them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pymatgen.core.structure import Structure

from goldilocks_batch.artifacts.goldilocks_record import CSLR_BLOCKS
from goldilocks_batch.features.featurizer import Featurizer
from goldilocks_batch.features.table import column_names
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import find_symmetry
from tests.oracle import ask

SCRIPT = """
import json, sys
import pyarrow.parquet as pq
from pymatgen.core.structure import Structure
from goldilocks_ml.models.k_points.k_index.qrf.features import column_names, feature_rows
texts = pq.read_table(sys.argv[1])["structure_json"].to_pylist()
krypton = Structure([[0, 2.8, 2.8], [2.8, 0, 2.8], [2.8, 2.8, 0]], ["Kr"], [[0, 0, 0]])
rows = feature_rows([*(Structure.from_dict(json.loads(text)) for text in texts), krypton])
print(json.dumps({"names": column_names(), "rows": rows.tolist()}))
"""


@pytest.mark.shared
def test_published_numbers(shared: Path) -> None:
    golden = shared / "golden" / "features.parquet"
    wanted = ask(SCRIPT, golden)
    texts = pq.read_table(golden)["structure_json"].to_pylist()
    crystals = [Crystal.from_pymatgen(Structure.from_dict(json.loads(text))) for text in texts]
    krypton = Structure([[0, 2.8, 2.8], [2.8, 0, 2.8], [2.8, 2.8, 0]], ["Kr"], [[0, 0, 0]])
    crystals.append(Crystal.from_pymatgen(krypton))
    found = Featurizer(blocks=CSLR_BLOCKS)(crystals, [find_symmetry(crystal) for crystal in crystals])
    rows = np.array(wanted["rows"])
    assert not found.failures
    assert found.values.shape == (len(crystals), 174)
    assert found.structure_block_zero.tolist() == [False] * len(texts) + [True]
    np.testing.assert_allclose(found.values, rows, rtol=1e-8, atol=1e-8)
    ours = [name.split(".", 1)[1].replace("_", " ") for name in column_names(CSLR_BLOCKS)]
    theirs = ["".join(c if c.isalnum() else " " for c in name.lower()) for name in wanted["names"]]
    assert ours == [" ".join(name.split()) for name in theirs]
