"""Structures in memory, from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

import goldilocks_batch
from goldilocks_batch import GoldilocksError, predict
from goldilocks_batch.core.errors import ConfigError, ErrorCode, InputError
from goldilocks_batch.structures.crystal import Crystal

CRYSTAL = Crystal(4.0 * np.eye(3), np.zeros((1, 3)), np.array([29]))
ATOMS = bulk("Cu")
STRUCTURE = Structure(Lattice.cubic(4.2), ["Mg", "O"], np.array([[0.0] * 3, [0.5] * 3]))


@pytest.mark.parametrize("structure", [CRYSTAL, ATOMS, STRUCTURE], ids=["Crystal", "Atoms", "Structure"])
def test_one_structure_needs_no_list(structure: Any) -> None:
    alone, listed = predict(structure, model="baseline"), predict([structure], model="baseline")
    assert alone.num_rows == 1
    assert alone.equals(listed)


def test_many_may_come_one_by_one() -> None:
    table = predict((one for one in (CRYSTAL, ATOMS, STRUCTURE)), model="baseline")
    assert table["id"].to_pylist() == ["0", "1", "2"]


def test_ids_are_those_given() -> None:
    assert predict(STRUCTURE, model="baseline", ids="MgO")["id"].to_pylist() == ["MgO"]
    table = predict([CRYSTAL, ATOMS], model="baseline", ids=["sc", "fcc"])
    assert table["id"].to_pylist() == ["sc", "fcc"]
    assert table["formula"].to_pylist() == ["Cu", "Cu"]


@pytest.mark.parametrize(
    ("ids", "kind", "code"),
    [
        (["a"], ConfigError, ErrorCode.CONFIG_INVALID),
        ("ab", ConfigError, ErrorCode.CONFIG_INVALID),
        (["a", "a"], InputError, ErrorCode.DUPLICATE_ID),
    ],
)
def test_ids_that_do_not_fit_are_refused(
    ids: str | list[str], kind: type[GoldilocksError], code: ErrorCode
) -> None:
    with pytest.raises(kind) as caught:
        predict([CRYSTAL, ATOMS], model="baseline", ids=ids)
    assert caught.value.code == code


def test_progress_is_told_and_changes_nothing() -> None:
    steps: list[tuple[int, int]] = []
    many = [CRYSTAL, ATOMS, STRUCTURE] * 40
    table = predict(many, model="baseline", progress=lambda done, total: steps.append((done, total)))
    assert steps == [(0, 120), (50, 120), (100, 120), (120, 120)]
    assert table.equals(predict(many, model="baseline"))
    assert predict([], model="baseline", progress=lambda _done, _total: None).num_rows == 0


@pytest.mark.parametrize("thing", ["POSCAR", b"POSCAR", 3, None, [CRYSTAL, "POSCAR"]])
def test_what_is_no_structure_is_named(thing: Any) -> None:
    with pytest.raises(ConfigError, match="expected a pymatgen Structure, ASE Atoms or a Crystal"):
        predict(thing, model="baseline")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"device": "cuda"}, "device cuda is for networks, and model 'baseline' has none"),
        ({"single_site": "supercell"}, "single_site supercell is for networks"),
        ({"grid": "median"}, "has a lower bound only"),
        ({"grid": "medain"}, "did you mean 'median'"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        predict(CRYSTAL, model="baseline", **options)


def test_what_was_never_an_option_is_refused() -> None:
    with pytest.raises(TypeError, match="workers"):
        predict(CRYSTAL, model="baseline", workers=2)  # type: ignore[call-arg]


def test_the_package_shows_its_names() -> None:
    assert dir(goldilocks_batch) == sorted([*goldilocks_batch.__all__, "__version__"])
    assert goldilocks_batch.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="forecast"):
        goldilocks_batch.forecast  # noqa: B018


def tilted() -> Crystal:
    """SrTiO3 in I4/mcm, 20 atoms; averaging sites up to 0.25 Å apart makes it cubic with 5."""
    x = 0.23
    half = np.array(
        [
            *[[0, 0.5, 0.25], [0.5, 0, 0.25], [0, 0, 0], [0, 0, 0.5], [0, 0, 0.25], [0, 0, 0.75]],
            *[[x, x + 0.5, 0], [-x, 0.5 - x, 0], [0.5 - x, x, 0], [x + 0.5, -x, 0]],
        ]
    )
    a = 3.905 * 2**0.5
    numbers = np.array(([38] * 2 + [22] * 2 + [8] * 6) * 2)
    return Crystal(np.diag([a, a, 7.81]), np.concatenate([half, half + 0.5]), numbers)


def published(shared: Path) -> dict[str, Any]:
    """The published forest, which is asked on the averaged cell; a stand-in."""
    registry = Path(__file__).resolve().parents[2] / "registry-standins.toml"
    return {"model": "rf", "artifacts": shared / "hub", "registry": registry}


@pytest.mark.shared
def test_a_model_asked_on_the_averaged_cell_says_so(shared: Path) -> None:
    row = predict(tilted(), **published(shared)).to_pylist()[0]
    assert (row["space_group_number"], row["n_sites_primitive"]) == (140, 10)
    assert "averaged_cell" in row["flags"]


@pytest.mark.parametrize("model", ["baseline", "mc3d"])
def test_symmetry_is_that_of_the_crystal_given(model: str) -> None:
    row = predict(tilted(), model=model).to_pylist()[0]
    assert (row["space_group_number"], row["space_group_symbol"]) == (140, "I4/mcm")
    assert (row["n_sites"], row["n_sites_primitive"]) == (20, 10)
    # 8 x 8 x 6 in the cell as supplied: 16 operations and k = -k, in the plane 15 of 64 points, 4 of 6 planes
    assert row["aiida_mesh"] == [8, 8, 6]
    assert row["aiida_n_kpoints_irreducible"] == 15 * 4
    assert "averaged_cell" not in row["flags"]


@pytest.mark.shared
def test_a_tolerance_changes_the_symmetry_columns_and_no_prediction(shared: Path) -> None:
    narrow, wide = (
        predict(tilted(), **published(shared), symprec=symprec).to_pylist()[0] for symprec in (0.01, 0.4)
    )
    assert (wide["space_group_number"], wide["n_sites_primitive"]) == (221, 5)
    assert "averaged_cell" not in wide["flags"]
    assert [wide[name] for name in ("kdist_lower", "kdist_median", "mesh")] == [
        narrow[name] for name in ("kdist_lower", "kdist_median", "mesh")
    ]


@pytest.mark.parametrize("symprec", [0.0, -0.01, 0.6, float("nan")])
def test_a_tolerance_that_is_none_is_refused(symprec: float) -> None:
    with pytest.raises(ConfigError, match="symprec"):
        predict(CRYSTAL, model="baseline", symprec=symprec)
