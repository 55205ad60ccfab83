"""Feature blocks against the vectors of the published application."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from goldilocks_batch.features.featurizer import Featurizer
from goldilocks_batch.features.soap import soap
from goldilocks_batch.features.table import block_slices
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import find_symmetry

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def golden(shared: Path) -> tuple[list[Crystal], NDArray[np.float64]]:
    rows = pq.read_table(shared / "golden" / "features.parquet").to_pylist()
    structures = [Structure.from_dict(json.loads(row["structure_json"])) for row in rows]
    return [Crystal.from_pymatgen(s) for s in structures], np.array([row["features"] for row in rows])


@pytest.fixture(scope="module")
def computed(golden: tuple[list[Crystal], NDArray[np.float64]]) -> NDArray[np.float64]:
    crystals, _ = golden
    found = Featurizer()(crystals, [find_symmetry(crystal) for crystal in crystals])
    assert found.failures == {}
    return found.values


@pytest.mark.parametrize("block", ["composition", "structure", "lattice"])
def test_tabulated_blocks(
    block: str, golden: tuple[list[Crystal], NDArray[np.float64]], computed: NDArray[np.float64]
) -> None:
    columns = block_slices()[block]
    np.testing.assert_allclose(computed[:, columns], golden[1][:, columns], rtol=1e-8, atol=1e-9)


def test_soap_block(golden: tuple[list[Crystal], NDArray[np.float64]], computed: NDArray[np.float64]) -> None:
    columns = block_slices()["soap"]
    expected = golden[1][:, columns]
    worst = np.abs(computed[:, columns] - expected).max(axis=1) / np.abs(expected).max(axis=1)
    assert worst.max() < 1e-7  # required: 2e-6


def test_soap_of_all_atoms(golden: tuple[list[Crystal], NDArray[np.float64]]) -> None:
    columns = block_slices()["soap"]
    for crystal, row in list(zip(*golden, strict=True))[::5]:
        expected = row[columns]
        assert np.abs(soap(crystal) - expected).max() < 1e-10 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # pymatgen reports how it read each CIF, spglib its deprecations
def test_symmetry_and_soap_on_real_crystals(shared: Path) -> None:
    """Beyond the golden set: pymatgen's analyzer, and SOAP over all atoms."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    cifs = pq.read_table(shared / "data" / "mc3d_pbe.parquet", columns=["cif"])["cif"]
    for position in np.random.default_rng(11).choice(len(cifs), 200, replace=False):
        structure = _primitive(cifs[int(position)].as_py())
        crystal = Crystal.from_pymatgen(structure)
        symmetry = find_symmetry(crystal)
        analyzer = SpacegroupAnalyzer(structure, symprec=0.01)
        dataset = analyzer.get_symmetry_dataset()
        assert (symmetry.number, symmetry.international) == (dataset.number, dataset.international)
        assert symmetry.crystal_system == analyzer.get_crystal_system()
        assert symmetry.is_centrosymmetric == analyzer.is_laue()
        assert sorted(symmetry.rotations.tolist()) == sorted(dataset.rotations.tolist())
        assert symmetry.equivalent_atoms.tolist() == dataset.equivalent_atoms.tolist()
        expected = soap(crystal)
        assert np.abs(soap(crystal, symmetry) - expected).max() < 2e-6 * np.abs(expected).max()


def _primitive(cif: str) -> Structure:
    return Structure.from_str(cif, fmt="cif").get_primitive_structure()
