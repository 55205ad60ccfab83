"""The physics block: element data, known crystals, and that it belongs to the crystal and not to a cell."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import goldilocks_batch.features.chemistry as chemistry_module
from goldilocks_batch.features.chemistry import chemistry
from goldilocks_batch.features.physics import PHYSICS_LABELS, elements_block, physics_block
from goldilocks_batch.features.table import BLOCKS, column_names
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.exact import exact_primitive
from goldilocks_batch.structures.symmetry import find_symmetry


def crystal(lattice: object, frac: object, numbers: list[int]) -> Crystal:
    return Crystal(np.array(lattice, float), np.array(frac, float), np.array(numbers, dtype=np.int64))


SILICON = crystal(
    [[0, 2.715, 2.715], [2.715, 0, 2.715], [2.715, 2.715, 0]], [[0, 0, 0], [0.25, 0.25, 0.25]], [14, 14]
)
SALT = crystal([[0, 2.82, 2.82], [2.82, 0, 2.82], [2.82, 2.82, 0]], [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17])
ALUMINIUM = crystal([[0, 2.02, 2.02], [2.02, 0, 2.02], [2.02, 2.02, 0]], [[0, 0, 0]], [13])
NEON = crystal([[0, 2.2, 2.2], [2.2, 0, 2.2], [2.2, 2.2, 0]], [[0, 0, 0]], [10])


def columns(given: Crystal) -> dict[str, float]:
    values: NDArray[np.float64] = physics_block([given], [find_symmetry(given)])[0]
    assert np.isfinite(values).all()
    return dict(zip(PHYSICS_LABELS, values.tolist(), strict=True))


def test_the_widths_are_those_of_the_table() -> None:
    assert BLOCKS["physics"] == len(PHYSICS_LABELS)
    names = column_names(("physics", "elements"))
    assert len(set(names)) == BLOCKS["physics"] + BLOCKS["elements"]


def test_electrons_and_the_fermi_sphere_of_known_crystals() -> None:
    silicon, salt, aluminium = columns(SILICON), columns(SALT), columns(ALUMINIUM)
    assert (silicon["electrons"], salt["electrons"], aluminium["electrons"]) == (8, 8, 3)
    assert (aluminium["electrons_mod_2"], aluminium["metals"], aluminium["excess"]) == (1, 1, 3)
    assert aluminium["fermi"] == pytest.approx((3 * math.pi**2 * 3 / ALUMINIUM.volume) ** (1 / 3))
    assert (salt["charge_balanced"], salt["wanted"], salt["given"], salt["excess"]) == (1, 0.5, 0.5, 0)
    assert salt["electrons_per_anion"] == 8
    assert silicon["b1"] == pytest.approx(2 * math.pi / 2.715 * math.sqrt(3) / 2)
    assert silicon["coordination_mean"] == pytest.approx(4, abs=0.3)
    assert salt["metal_metal"] == pytest.approx(0, abs=0.2)
    assert salt["metal_other"] > 0.8


@pytest.mark.parametrize("given", [SILICON, SALT, ALUMINIUM, NEON])
def test_another_cell_of_the_crystal_has_the_same_columns(given: Crystal) -> None:
    expected = columns(given)
    change = np.array([[1, 1, 0], [0, 1, 2], [0, 0, 1]])
    other = Crystal(change @ given.lattice, given.frac @ np.linalg.inv(change) + 0.3, given.numbers)
    large = np.array([[2, 0, 0], [0, 1, 0], [0, 0, 3]])
    shifts = [[i, 0, k] for i in range(2) for k in range(3)]
    frac = np.vstack([(given.frac + shift) @ np.linalg.inv(large) for shift in shifts])
    supercell = Crystal(large @ given.lattice, frac, np.tile(given.numbers, 6))
    for cell in (other, exact_primitive(supercell, find_symmetry(supercell))):
        found = columns(cell)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


def test_fractions_of_elements() -> None:
    values = elements_block([SALT, SILICON])
    assert values.shape == (2, 118)
    assert (values[0, 10], values[0, 16], values[1, 13]) == (0.5, 0.5, 1.0)
    assert values.sum(axis=1).tolist() == [1.0, 1.0]


def test_the_element_data_are_the_libraries() -> None:
    from ase.data import covalent_radii
    from pymatgen.core.periodic_table import Element

    rows = json.loads(Path(chemistry_module.__file__).with_name("elements.json").read_text(encoding="utf-8"))
    assert len(rows) == len(chemistry().numbers) - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for z, row in enumerate(rows, start=1):
            element = Element.from_Z(z)
            assert (row["symbol"], row["group"], row["row"]) == (element.symbol, element.group, element.row)
            if not math.isnan(element.X):
                assert row["electronegativity"] == pytest.approx(element.X)
            if z < len(covalent_radii):
                assert row["covalent_radius"] == pytest.approx(covalent_radii[z])
            assert tuple(row["common_oxidation_states"]) == tuple(element.common_oxidation_states)
