"""``kpoints(row)``: what a row says of its k-points, and what a structure adds."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.io.espresso import kspacing_to_grid
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import Kpoints

import goldilocks_batch
from goldilocks_batch import GoldilocksError, kpoints
from goldilocks_batch.structures.crystal import Crystal

SILICON = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.431), ["Si"], [[0, 0, 0]])
CENTRED = Structure(Lattice.tetragonal(3.0, 8.0), ["Cu", "Cu"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])


def row_of(structure: Any, **options: Any) -> dict[str, Any]:
    row: dict[str, Any] = goldilocks_batch.predict([structure], **{"model": "mc3d", **options}).to_pylist()[0]
    return row


@pytest.fixture(scope="module")
def silicon() -> dict[str, Any]:
    return row_of(SILICON)


def test_a_row_alone_gives_its_mesh(silicon: dict[str, Any]) -> None:
    found = kpoints(silicon)
    assert list(found.mesh) == silicon["mesh"]
    assert (found.cell, found.bound, found.shift, found.gamma_centred) == (
        "supplied",
        "lower",
        (0, 0, 0),
        True,
    )
    assert found.n_kpoints == silicon["n_kpoints"]
    assert found.n_kpoints_irreducible == silicon["n_kpoints_irreducible"]
    assert (found.kspacing_2pi, found.kspacing_ase, found.kpoints_distance) == (None, None, None)


@pytest.mark.parametrize("bound", ["lower", "median", "upper"])
def test_bounds_have_meshes_of_their_own(silicon: dict[str, Any], bound: Any) -> None:
    found = kpoints(silicon, SILICON, bound=bound)
    assert list(found.mesh) == silicon[f"mesh_{bound}"]
    assert found.kdist == silicon[f"kdist_{bound}"]
    assert found.bound == bound
    assert (found.n_kpoints_irreducible is None) == (silicon[f"mesh_{bound}"] != silicon["mesh"])


def test_the_bound_of_the_run_is_found_out() -> None:
    assert kpoints(row_of(SILICON, grid="median")).bound == "median"


def test_with_a_structure_there_are_spacings_that_give_the_mesh(silicon: dict[str, Any]) -> None:
    found = kpoints(silicon, SILICON)
    length = 2 * math.pi / 5.431
    assert found.kspacing_2pi is not None
    assert found.kspacing_ase is not None
    assert [math.ceil(length / found.kspacing_2pi)] * 3 == list(found.mesh)
    assert kspacing_to_grid(SILICON.to_ase_atoms(), found.kspacing_ase) == list(found.mesh)
    assert found.kpoints_distance == found.kspacing_2pi == pytest.approx(2 * math.pi * found.kspacing_ase)


def test_structures_of_all_libraries_are_taken(silicon: dict[str, Any]) -> None:
    primitive = SILICON.get_primitive_structure()
    found = kpoints(silicon, primitive, cell="primitive")
    assert list(found.mesh) == silicon["primitive_mesh"]
    assert kpoints(silicon, bulk("Si", a=5.431), cell="primitive") == found
    assert kpoints(silicon, Crystal.from_pymatgen(primitive), cell="primitive") == found


def test_codes_are_given_what_they_take(silicon: dict[str, Any]) -> None:
    found = kpoints(silicon)
    assert found.to_vasp() == Kpoints.gamma_automatic(tuple(silicon["mesh"]))
    assert found.to_espresso().split() == ["K_POINTS", "automatic", *map(str, silicon["mesh"]), *"000"]
    assert found.to_ase() == {"kpts": tuple(silicon["mesh"]), "gamma": True}


def test_aiida_is_given_no_distance_where_it_would_change_the_mesh() -> None:
    cell = Lattice([[-4.0, 2.0, 5.0], [4.0, -2.0, 5.0], [4.0, 2.0, -5.0]])
    structure = Structure(cell, ["Cu"], [[0, 0, 0]])
    row = row_of(structure, model="baseline")
    found = kpoints(row, structure)
    assert len(set(found.mesh)) > 1
    assert found.kspacing_2pi is not None
    assert found.kpoints_distance is None


def test_vasp_is_given_no_spacing_for_a_layer() -> None:
    layer = Structure(Lattice.hexagonal(2.46, 18.0, pbc=(True, True, False)), ["C"], [[0, 0, 0.5]])
    row = row_of(layer, model="baseline")
    found = kpoints(row, layer)
    assert found.mesh[2] == 1
    assert found.kspacing_2pi is None
    assert found.kspacing_ase is not None


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"structure": SILICON, "cell": "primitive"}, "STRUCTURE_CHANGED"),
        ({"structure": SILICON.get_primitive_structure()}, "STRUCTURE_CHANGED"),
        ({"structure": CENTRED}, "STRUCTURE_CHANGED"),
        ({"bound": "mean"}, "CONFIG_INVALID"),
        ({"cell": "niggli"}, "CONFIG_INVALID"),
        ({"structure": 7}, "CONFIG_INVALID"),
    ],
)
def test_what_is_not_the_row_s_is_refused(silicon: dict[str, Any], options: Any, code: str) -> None:
    with pytest.raises(GoldilocksError) as refusal:
        kpoints(silicon, **options)
    assert refusal.value.code == code


def test_a_cell_that_gives_another_mesh_is_refused(silicon: dict[str, Any]) -> None:
    with pytest.raises(GoldilocksError, match="gives the mesh") as refusal:
        kpoints(silicon, SILICON.copy().scale_lattice(SILICON.volume * 1.5))
    assert refusal.value.code == "STRUCTURE_CHANGED"


@pytest.mark.parametrize("equal_axes", [False, True])
def test_cells_that_were_rewritten_are_still_the_row_s(equal_axes: bool) -> None:
    """Fcc aluminium at the edge between two meshes, where noise in the last bits decides."""
    kdist = row_of(bulk("Al"), model="baseline")["kdist"]
    a = math.sqrt(3) * 2 * math.pi / (16 * kdist)
    aluminium = bulk("Al", a=a)
    row = row_of(aluminium, model="baseline", equal_axes=equal_axes)
    for noise in (1e-9, -1e-9, 1e-12):
        atoms = aluminium.copy()
        atoms.set_cell(atoms.cell * (1 + noise), scale_atoms=True)
        assert list(kpoints(row, atoms).mesh) == row["mesh"]


def test_failed_rows_raise_what_they_failed_with() -> None:
    twice = Structure(Lattice.cubic(4.0), ["Si", "Si"], [[0, 0, 0], [0, 0, 0]])
    with pytest.raises(GoldilocksError) as refusal:
        kpoints(row_of(twice))
    assert refusal.value.code == "ATOMS_OVERLAP"
    assert refusal.value.structure_id == "0"


def test_a_model_without_the_bound_is_told() -> None:
    with pytest.raises(GoldilocksError, match="baseline gives no such bound") as refusal:
        kpoints(row_of(SILICON, model="baseline"), bound="median")
    assert refusal.value.code == "BOUND_MISSING"


def test_the_name_is_the_function_whatever_is_imported_first() -> None:
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import goldilocks_batch.kpoints.mesh\n"
        "from goldilocks_batch.kpoints import spacing\n"
        "import goldilocks_batch\n"
        "from goldilocks_batch import kpoints\n"
        "assert kpoints is goldilocks_batch.kpoints\n"
        "assert 'kpoints' in dir(goldilocks_batch)\n"
        "print(kpoints.__name__, spacing.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["kpoints", "goldilocks_batch.kpoints.spacing"], done.stderr


def test_the_spacing_is_the_distance_where_it_lies_inside(silicon: dict[str, Any]) -> None:
    found = kpoints(silicon, SILICON, bound="upper")
    assert found.kspacing_2pi is not None
    assert found.kspacing_2pi == pytest.approx(found.kdist, rel=0.2)
    assert np.isfinite(found.kspacing_2pi)
