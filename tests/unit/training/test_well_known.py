"""Well-known crystals of a model's card: the crystals are right, and the card says what the model answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from goldilocks_batch import predict
from goldilocks_batch.artifacts.trained import shipped_model
from goldilocks_batch.models.trained_boosted import read_boosted
from goldilocks_batch.structures.crystal import SYMBOLS, formula
from goldilocks_batch.training.features import FeatureSet
from goldilocks_batch.training.well_known import well_known_crystals, well_known_table


def test_the_crystals_are_those_of_their_names() -> None:
    from ase import Atoms
    from ase.build import bulk

    compounds = {"GaAs": ("zincblende", 5.653), "NaCl": ("rocksalt", 5.640), "MgO": ("rocksalt", 4.212)}
    crystals = well_known_crystals()
    assert len(crystals) == 11
    for name, crystal in crystals.items():
        if name == "graphite":
            assert formula(crystal.numbers) == "C"
            assert len(crystal) / crystal.volume == pytest.approx(0.1136, abs=2e-4)  # 2.266 g/cm³
            bond = np.linalg.norm(crystal.cart[2] - crystal.cart[0])
            assert bond == pytest.approx(1.421, abs=1e-3)
            continue
        if name in compounds:
            shape, edge = compounds[name]
            expected = bulk(name, shape, a=edge)
        else:
            expected = bulk("C", "diamond", a=3.567) if name == "diamond" else bulk(name)
        own = Atoms(numbers=crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac, pbc=True)
        np.testing.assert_allclose(own.cell.array, expected.cell.array, atol=1e-9)
        np.testing.assert_array_equal(own.numbers, expected.numbers)
        for atoms in (own, expected):  # the nearest neighbours of each site, whichever image was written down
            atoms.set_array("nearest", np.array([_shell(atoms, site) for site in range(len(atoms))]))
        np.testing.assert_allclose(own.get_array("nearest"), expected.get_array("nearest"), atol=1e-9)


def _shell(atoms: Any, site: int) -> NDArray[np.float64]:
    """Distances to the thirty nearest atoms, Å, with their numbers."""
    from ase.neighborlist import neighbor_list

    first, second, distance = neighbor_list("ijd", atoms, 7.0)
    own = np.column_stack([distance, atoms.numbers[second]])[first == site]
    nearest: NDArray[np.float64] = own[np.lexsort((own[:, 1], own[:, 0].round(6)))][:30]
    return nearest


def test_the_card_of_the_model_in_the_package_says_what_a_user_gets() -> None:
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    folder = shipped_model("mc3d")
    card = (folder / "card.md").read_text(encoding="utf-8")
    section = card.split("## Well-known crystals\n")[1].split("\n## ")[0]
    found = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ") for line in section.splitlines()}
    crystals = well_known_crystals()
    structures = [
        Structure(Lattice(c.lattice), [SYMBOLS[z] for z in c.numbers], c.frac) for c in crystals.values()
    ]
    for place, tolerance in enumerate((1.0, 3.0, 5.0)):
        for row in predict(structures, ids=list(crystals), tolerance=tolerance).to_pylist():
            own, other = (
                "×".join(map(str, row[name])) for name in ("primitive_mesh", "primitive_aiida_mesh")
            )
            expected = [f"{row['kdist_median']:.3f}", f"{row['kdist_lower']:.3f}", own]
            said = found[row["id"]]
            assert (said[1], said[2 + 3 * place :][:3]) == (other, expected)


def test_crystals_of_elements_that_a_model_does_not_know_are_left_out() -> None:
    model = read_boosted(shipped_model("mc3d"))
    features = FeatureSet(model.record.feature_schema, cell=model.record.cell)
    table = well_known_table(model.parts, ["Na", "Cl", "Cu"], features)
    assert [line.split(" | ")[0] for line in table.splitlines()[4:]] == ["| NaCl", "| Cu"]
    assert well_known_table(model.parts, ["Xe"], features) == ""
