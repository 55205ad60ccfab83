"""From a structure to corrected bounds, against what the published application gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from goldilocks_batch import RunConfig, predict
from goldilocks_batch.artifacts.find import find_network
from goldilocks_batch.models.bounds import SMALLEST_KDIST
from goldilocks_batch.models.forest import Forest
from goldilocks_batch.models.forest_pickle import read_forest_pickle
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.screening.featurization import Featurization
from goldilocks_batch.structures.sources.reference import ArraysPayload, Reference

pytestmark = pytest.mark.shared

REGISTRY = Path(__file__).resolve().parents[1] / "registry-standins.toml"
BLOCKS = {
    "composition": slice(0, 146),
    "structure": slice(146, 152),
    "soap": slice(152, 404),
    "lattice": slice(404, 419),
    "metallicity": slice(419, 483),
}
BOUNDS = ("lower", "median", "upper")
#: Largest deviation allowed, of the largest entry of the block.
ROUNDING = {"composition": 1e-8, "structure": 1e-8, "soap": 2e-6, "lattice": 1e-8, "metallicity": 1e-5}


@pytest.fixture(scope="module")
def golden(shared: Path) -> pa.Table:
    return pq.read_table(shared / "golden" / "features.parquet")


@pytest.fixture(scope="module")
def structures(golden: pa.Table) -> list[Structure]:
    return [Structure.from_dict(json.loads(text)) for text in golden["structure_json"].to_pylist()]


@pytest.fixture(scope="module")
def features(shared: Path, structures: list[Structure]) -> NDArray[np.float64]:
    """``(76, 483)`` by the pipeline of ``featurize``, metallicity network included."""
    config = RunConfig(artifacts=shared / "hub", registry=REGISTRY)
    references = [
        Reference(
            str(row),
            "golden",
            ArraysPayload(
                np.array(s.lattice.matrix),
                np.array(s.frac_coords),
                False,
                np.array(s.atomic_numbers, dtype=np.int64),
            ),
        )
        for row, s in enumerate(structures)
    ]
    batch = Batch(references)
    batch.load(1000)
    found = (
        Featurization(find_network(config.choice), config.max_sites)
        .build()
        .featurizer(batch.crystals(batch.alive), batch.symmetries(batch.alive))
    )
    assert not found.failures
    return found.values


@pytest.fixture(scope="module")
def expected(golden: pa.Table) -> NDArray[np.float64]:
    return np.array(golden["features"].to_pylist())


@pytest.mark.parametrize("block", BLOCKS)
def test_features(features: NDArray[np.float64], expected: NDArray[np.float64], block: str) -> None:
    place = BLOCKS[block]
    deviation = np.abs(features - expected)[:, place]
    if block in ("soap", "metallicity"):
        limit = ROUNDING[block] * np.abs(expected[:, place]).max(axis=1, keepdims=True)
    else:
        limit = np.maximum(1e-8 * np.abs(expected[:, place]), 1e-9)
    assert (deviation <= limit).all()


@pytest.mark.parametrize("confidence", [0.95, 0.90, 0.85])
def test_bounds(
    shared: Path,
    structures: list[Structure],
    features: NDArray[np.float64],
    expected: NDArray[np.float64],
    confidence: float,
) -> None:
    table = predict(
        structures, model="rf", artifacts=shared / "hub", registry=REGISTRY, confidence=confidence
    )
    level = f"{confidence:.2f}"[2:]
    reference = pq.read_table(shared / "golden" / "rf.parquet")
    wrong = np.zeros(len(structures), dtype=bool)
    for bound in ("lower", "median", "upper"):
        ours, theirs = table[f"kdist_{bound}"].to_numpy(), reference[f"c{level}_{bound}"].to_numpy()
        wrong |= ~(np.abs(ours - theirs) <= 1e-6)
    assert wrong.sum() <= 2
    pickle = shared / "hub" / "STFC-SCD" / "kpoints-goldilocks-QRF" / f"QRF{level}.pkl"
    forest = read_forest_pickle(pickle)
    for row in np.flatnonzero(wrong):
        splits = diverging_splits(forest, features[row], expected[row])
        assert splits, "the bounds differ although every tree leads to the same leaf"
        for column in splits:
            block = next(name for name, place in BLOCKS.items() if place.start <= column < place.stop)
            scale = np.abs(expected[row, BLOCKS[block]]).max()
            assert abs(features[row, column] - expected[row, column]) <= ROUNDING[block] * scale


@pytest.mark.parametrize("confidence", [0.95, 0.90, 0.85])
def test_bounds_of_networks(shared: Path, structures: list[Structure], confidence: float) -> None:
    table = predict(
        structures, model="alignn", artifacts=shared / "hub", registry=REGISTRY, confidence=confidence
    )
    ids = pq.read_table(shared / "golden" / "features.parquet")["id"].to_pylist()
    reference = {row["id"]: row for row in pq.read_table(shared / "golden" / "alignn.parquet").to_pylist()}
    level = f"{confidence:.2f}"[2:]
    compared = 0
    for name, row in zip(ids, table.to_pylist(), strict=True):
        assert row["status"] == "ok"
        if name not in reference:
            continue
        wanted = [reference[name][f"c{level}_{bound}"] for bound in BOUNDS]
        if {"crossed_bounds_repaired", "bound_clipped"} & set(row["flags"]):
            wanted = [max(value, SMALLEST_KDIST) for value in sorted(wanted)]
        found = [row[f"kdist_{bound}"] for bound in BOUNDS]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5, err_msg=name)
        assert all(row[f"spread_{bound}"] > 0 for bound in BOUNDS)
        compared += 1
    assert compared == len(reference)


def diverging_splits(forest: Forest, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> list[int]:
    """Columns of the first split of every tree at which the two rows part."""
    columns = []
    a, b = ours.astype(np.float32), theirs.astype(np.float32)
    for root in forest.roots:
        node = root
        while (column := forest.feature[node]) >= 0:
            left = a[column] <= forest.threshold[node]
            if left != (b[column] <= forest.threshold[node]):
                columns.append(int(column))
                break
            node = forest.left[node] if left else forest.right[node]
    return columns


def test_the_batch_does_not_matter(shared: Path, structures: list[Structure]) -> None:
    options: dict[str, Any] = {"model": "rf", "artifacts": shared / "hub", "registry": REGISTRY}
    whole = predict(structures[:12], **options)
    single = pa.concat_tables([predict([structure], **options) for structure in structures[:12]])
    keys = ["kdist_lower", "kdist_median", "kdist_upper", "mesh", "n_kpoints_irreducible", "flags"]
    assert whole.select(keys).equals(single.select(keys))


def test_metals_are_told_where_the_model_asks_the_network(shared: Path) -> None:
    lattice = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    metal = Structure(lattice * 3.61 / 2, ["Cu"], [[0, 0, 0]])
    salt = Structure(lattice * 5.64 / 2, ["Na", "Cl"], [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5)])
    for model, told in (("rf", True), ("alignn", True), ("baseline", False)):
        options: dict[str, Any] = {"artifacts": shared / "hub", "registry": REGISTRY} if told else {}
        table = predict([metal, salt], model=model, **options)
        assert table["is_metal"].to_pylist() == ([True, False] if told else [None, None])
        for metallic, probability in zip(
            table["is_metal"].to_pylist(), table["metal_probability"].to_pylist(), strict=True
        ):
            assert (probability is None) == (metallic is None)
            assert probability is None or (probability >= 0.5) == metallic
