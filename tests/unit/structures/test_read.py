"""Every kind of bad structure has its code, its stage and its id."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.checks import overlapping_pair
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.read import load
from goldilocks_batch.structures.sources import files
from goldilocks_batch.structures.sources.reference import (
    ArraysPayload,
    FailedPayload,
    FilePayload,
    Format,
    Reference,
    TextPayload,
)

HEADER = "data_x\n_symmetry_space_group_name_H-M 'P 1'\n"
CELL = "\n".join(
    [f"_cell_length_{x} 4.0" for x in "abc"] + [f"_cell_angle_{x} 90" for x in ("alpha", "beta", "gamma")]
)
SITES = "\nloop_\n_atom_site_type_symbol\n_atom_site_label\n" + "".join(
    f"_atom_site_fract_{x}\n" for x in "xyz"
)
CIF = f"{HEADER}{CELL}{SITES}_atom_site_occupancy\nCs Cs1 0 0 0 1\nCl Cl1 0.5 0.5 0.5 1\n"
POSCAR = "CsCl\n1.0\n4 0 0\n0 4 0\n0 0 4\nCs Cl\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"
XYZ = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="T T T"\nCs 0 0 0\nCl 2 2 2\n'


def text(content: str, text_format: Format) -> Reference:
    return Reference("case", "test", TextPayload(text_format, content))


def arrays(
    lattice: Any = ((4, 0, 0), (0, 4, 0), (0, 0, 4)),
    positions: Any = ((0, 0, 0), (2, 2, 2)),
    species: Sequence[str] | Any = ("Cs", "Cl"),
    **options: Any,
) -> Reference:
    payload = ArraysPayload(np.array(lattice, float), np.array(positions, float), True, species, **options)
    return Reference("case", "test", payload)


def structure_json(**changes: Any) -> str:
    sites = [
        {"species": [{"element": "Cs", "occu": 1}], "abc": [0.0, 0.0, 0.0]},
        {"species": [{"element": "Cl", "oxidation_state": -1, "occu": 1}], "abc": [0.5, 0.5, 0.5]},
    ]
    return json.dumps({"lattice": {"matrix": (4.0 * np.eye(3)).tolist()}, "sites": sites} | changes)


CAESIUM_CHLORIDE = [
    text(CIF, Format.CIF),
    text(POSCAR, Format.POSCAR),
    text(XYZ, Format.XYZ),
    text(structure_json(), Format.JSON),
    arrays(),
    arrays(species=np.array([55, 17])),
    arrays(species=("Cs+", "Cl1-")),
]


@pytest.mark.parametrize("reference", CAESIUM_CHLORIDE)
def test_all_kinds_of_reference_give_the_same_crystal(reference: Reference) -> None:
    crystal = load(reference, max_sites=2)
    np.testing.assert_allclose(crystal.lattice, 4 * np.eye(3), atol=1e-12)
    assert crystal.numbers.tolist() == [55, 17]
    np.testing.assert_allclose(crystal.frac, np.array([[0.0] * 3, [0.5] * 3]), atol=1e-12)
    assert crystal.pbc.tolist() == [True, True, True]
    assert all(a.flags.writeable for a in (crystal.lattice, crystal.frac, crystal.numbers))


def mixture(symbols: list[str], shares: list[float], **more: Any) -> str:
    return json.dumps([{"name": "Cs", "chemical_symbols": symbols, "concentration": shares, **more}])


DISORDERED = [
    {"species": [{"element": "Cs", "occu": 0.5}, {"element": "K", "occu": 0.5}], "abc": [0.0, 0.0, 0.0]}
]

BAD: dict[str, tuple[Reference, ErrorCode]] = {
    "empty cif": (text(" \n", Format.CIF), ErrorCode.PARSE_FAILED),
    "garbage cif": (text("\x00\x01 what?", Format.CIF), ErrorCode.PARSE_FAILED),
    "cif cut in a row": (text(CIF[:-12], Format.CIF), ErrorCode.PARSE_FAILED),
    "cif cut before the rows": (text(CIF[: CIF.index("Cs Cs1")], Format.CIF), ErrorCode.PARSE_FAILED),
    "cif without sites": (text(HEADER + CELL, Format.CIF), ErrorCode.NO_STRUCTURE),
    "cif without a cell": (text(CIF.replace("_cell_length_a 4.0", ""), Format.CIF), ErrorCode.PARSE_FAILED),
    "cif with two structures": (
        text(CIF + CIF.replace("data_x", "data_y"), Format.CIF),
        ErrorCode.SEVERAL_STRUCTURES,
    ),
    "cif with one name twice": (text(CIF + CIF, Format.CIF), ErrorCode.SEVERAL_STRUCTURES),
    "cif partial": (text(CIF.replace("0.5 1\n", "0.5 0.7\n"), Format.CIF), ErrorCode.PARTIAL_OCCUPANCY),
    "cif mixed": (text(CIF + "K K1 0 0 0 0.2\n", Format.CIF), ErrorCode.PARTIAL_OCCUPANCY),
    "cif disorder group": (
        text(
            CIF.replace("_occupancy", "_disorder_group")
            .replace("0 1\n", "0 .\n")
            .replace("0.5 1\n", "0.5 A\n"),
            Format.CIF,
        ),
        ErrorCode.PARTIAL_OCCUPANCY,
    ),
    "cif unknown species": (text(CIF.replace("Cl Cl1", "Qq Q1"), Format.CIF), ErrorCode.SPECIES_UNKNOWN),
    "cif no species": (text(CIF.replace("Cl Cl1", "? X1"), Format.CIF), ErrorCode.SPECIES_UNKNOWN),
    "cif unknown coordinate": (
        text(CIF.replace("0.5 0.5 0.5", "0.5 ? 0.5"), Format.CIF),
        ErrorCode.NULL_VALUE,
    ),
    "cif nan": (text(CIF.replace("0.5 0.5 0.5", "0.5 nan 0.5"), Format.CIF), ErrorCode.NOT_FINITE),
    "cif zero cell": (text(CIF.replace("_a 4.0", "_a 0.0"), Format.CIF), ErrorCode.LATTICE_ZERO),
    "cif flat cell": (text(CIF.replace("gamma 90", "gamma 180"), Format.CIF), ErrorCode.LATTICE_COLLAPSED),
    "cif atoms on one spot": (text(CIF + "Cl Cl2 0.5 0.5 0.5 1\n", Format.CIF), ErrorCode.ATOMS_OVERLAP),
    "cif hidden hydrogen": (
        text(CIF.replace("_occupancy", "_attached_hydrogens"), Format.CIF),
        ErrorCode.HYDROGENS_MISSING,
    ),
    "poscar empty": (text("", Format.POSCAR), ErrorCode.PARSE_FAILED),
    "poscar cut": (text(POSCAR[:-15], Format.POSCAR), ErrorCode.PARSE_FAILED),
    "poscar nameless": (text(POSCAR.replace("Cs Cl\n", ""), Format.POSCAR), ErrorCode.SPECIES_UNKNOWN),
    "poscar dummy": (text(POSCAR.replace("Cs Cl", "Cs X"), Format.POSCAR), ErrorCode.SPECIES_UNKNOWN),
    "poscar unknown": (text(POSCAR.replace("Cs Cl", "Cs 4u"), Format.POSCAR), ErrorCode.SPECIES_UNKNOWN),
    "poscar zero": (text(POSCAR.replace("0 4 0", "0 0 0"), Format.POSCAR), ErrorCode.LATTICE_ZERO),
    "xyz frames": (text(XYZ + XYZ, Format.XYZ), ErrorCode.SEVERAL_STRUCTURES),
    "xyz molecule": (text("1\nwater\nO 0 0 0\n", Format.XYZ), ErrorCode.LATTICE_ZERO),
    "xyz cut": (text(XYZ[:-8], Format.XYZ), ErrorCode.PARSE_FAILED),
    "xyz garbage": (text("hello", Format.XYZ), ErrorCode.PARSE_FAILED),
    "xyz dummy": (text(XYZ.replace("Cl 2", "X 2"), Format.XYZ), ErrorCode.SPECIES_UNKNOWN),
    "xyz nan": (text(XYZ.replace("Cl 2", "Cl nan"), Format.XYZ), ErrorCode.NOT_FINITE),
    "json garbage": (text("{", Format.JSON), ErrorCode.PARSE_FAILED),
    "json other": (text('{"a": 1}', Format.JSON), ErrorCode.NO_STRUCTURE),
    "json several": (
        text(f"[{structure_json()},{structure_json()}]", Format.JSON),
        ErrorCode.SEVERAL_STRUCTURES,
    ),
    "json null": (text(structure_json(lattice=None), Format.JSON), ErrorCode.NULL_VALUE),
    "json null coordinate": (
        text(structure_json().replace("0.5", "null", 1), Format.JSON),
        ErrorCode.NULL_VALUE,
    ),
    "json shape": (
        text(structure_json(lattice={"matrix": [[1, 2, 3]]}), Format.JSON),
        ErrorCode.SHAPE_MISMATCH,
    ),
    "json disorder": (text(structure_json(sites=DISORDERED), Format.JSON), ErrorCode.PARTIAL_OCCUPANCY),
    "json no sites": (text(structure_json(sites=[]), Format.JSON), ErrorCode.NO_STRUCTURE),
    "json NaN": (text(structure_json().replace("0.5", "NaN", 1), Format.JSON), ErrorCode.NOT_FINITE),
    "json dummy": (text(structure_json().replace("Cs", "X0+"), Format.JSON), ErrorCode.SPECIES_UNKNOWN),
    "no atoms": (arrays(positions=np.zeros((0, 3)), species=()), ErrorCode.NO_STRUCTURE),
    "shapes": (arrays(species=("Cs",)), ErrorCode.SHAPE_MISMATCH),
    "pbc shape": (arrays(pbc=np.array([True])), ErrorCode.SHAPE_MISMATCH),
    "unknown name": (arrays(species=("Cs", "vacancy")), ErrorCode.SPECIES_UNKNOWN),
    "unknown number": (arrays(species=np.array([55, 0])), ErrorCode.SPECIES_UNKNOWN),
    "number too large": (arrays(species=np.array([55, 119])), ErrorCode.SPECIES_UNKNOWN),
    "mixture": (arrays(definitions=mixture(["Cs", "K"], [0.5, 0.5])), ErrorCode.PARTIAL_OCCUPANCY),
    "vacancies": (arrays(definitions=mixture(["Cs"], [0.9])), ErrorCode.PARTIAL_OCCUPANCY),
    "unknown symbol": (arrays(definitions=mixture(["X"], [1.0])), ErrorCode.SPECIES_UNKNOWN),
    "attached": (arrays(definitions=mixture(["Cs"], [1.0], nattached=[2])), ErrorCode.SPECIES_UNKNOWN),
    "bad definitions": (arrays(definitions="{"), ErrorCode.PARSE_FAILED),
    "definitions without lists": (
        arrays(definitions='[{"name": "Cs", "concentration": 1}]'),
        ErrorCode.PARSE_FAILED,
    ),
    "zero lattice": (arrays(lattice=np.zeros((3, 3))), ErrorCode.LATTICE_ZERO),
    "flat lattice": (arrays(lattice=[[4, 0, 0], [0, 4, 0], [4, 4, 1e-4]]), ErrorCode.LATTICE_COLLAPSED),
    "tiny lattice": (
        arrays(lattice=0.9 * np.eye(3), positions=np.zeros((2, 3))),
        ErrorCode.LATTICE_COLLAPSED,
    ),
    "nan lattice": (arrays(lattice=np.full((3, 3), math.nan)), ErrorCode.NOT_FINITE),
    "infinite position": (arrays(positions=[[0, 0, 0], [math.inf, 0, 0]]), ErrorCode.NOT_FINITE),
    "one spot": (arrays(positions=[[0, 0, 0], [0.05, 0, 0]]), ErrorCode.ATOMS_OVERLAP),
    "one spot next door": (arrays(positions=[[0, 0, 0], [7.98, 4, -4]]), ErrorCode.ATOMS_OVERLAP),
    "own image": (
        arrays(lattice=np.diag([0.05, 30, 30]), positions=[[0, 0, 0]], species=("H",)),
        ErrorCode.ATOMS_OVERLAP,
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_structures_fail_with_their_code(case: str) -> None:
    reference, code = BAD[case]
    with pytest.raises(StructureError) as caught:
        load(reference, max_sites=200)
    assert caught.value.code == code, caught.value
    assert caught.value.structure_id == "case"
    assert caught.value.stage in (Stage.READ, Stage.CHECK)
    assert "\n" not in caught.value.message


def test_too_many_sites() -> None:
    with pytest.raises(StructureError, match="2 sites, the limit is 1") as caught:
        load(arrays(), max_sites=1)
    assert caught.value.code == ErrorCode.TOO_MANY_SITES


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("missing.cif", None, ErrorCode.FILE_NOT_FOUND),
        ("folder.cif", "folder", ErrorCode.FILE_NOT_FOUND),
        ("large.cif", "large", ErrorCode.FILE_UNREADABLE),
        ("binary.cif", b"\xff\xfe\x00data_", ErrorCode.PARSE_FAILED),
    ],
)
def test_bad_files(
    name: str, content: bytes | str | None, code: ErrorCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content == "large":
        monkeypatch.setattr(files, "MAX_BYTES", 10)
        path.write_text(CIF)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(StructureError) as caught:
        load(Reference("case", str(path), FilePayload(path, Format.CIF)), max_sites=5)
    assert caught.value.code == code


def test_a_refused_read_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.cif"
    path.write_text(CIF)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no mode stops
    with pytest.raises(StructureError, match=r"a\.cif cannot be read: Permission denied") as caught:
        load(Reference("case", "test", FilePayload(path, Format.CIF)), max_sites=5)
    assert caught.value.code == ErrorCode.FILE_UNREADABLE


def test_hydrogen_by_any_name() -> None:
    for reference in (
        arrays(species=("D", "T")),
        arrays(species=("H+", "D1+")),
        text(CIF.replace("Cs Cs1", "D D1").replace("Cl Cl1", "H H1"), Format.CIF),
        text(POSCAR.replace("Cs Cl", "D H"), Format.POSCAR),
        text(XYZ.replace("Cs 0", "D 0").replace("Cl 2", "T 2"), Format.XYZ),
        text(structure_json().replace("Cs", "D").replace("Cl", "T"), Format.JSON),
    ):
        assert load(reference, max_sites=5).numbers.tolist() == [1, 1]


def test_optimade_names_are_looked_up() -> None:
    definitions = json.dumps(
        [
            {"name": "Cs_sv", "chemical_symbols": ["Cs"], "concentration": [1.0]},
            {"name": "unused", "chemical_symbols": ["K", "vacancy"], "concentration": [0.5, 0.5]},
        ]
    )
    crystal = load(arrays(species=("Cs_sv", "Cl"), definitions=definitions), max_sites=5)
    assert crystal.numbers.tolist() == [55, 17]


def test_axes_that_are_not_periodic() -> None:
    slab = np.array([True, True, False])
    assert load(arrays(pbc=slab), max_sites=5).pbc.tolist() == slab.tolist()
    xyz = text(XYZ.replace("T T T", "T T F"), Format.XYZ)
    assert load(xyz, max_sites=5).pbc.tolist() == slab.tolist()
    lattice = {"matrix": (4.0 * np.eye(3)).tolist(), "pbc": [True, True, False]}
    assert load(text(structure_json(lattice=lattice), Format.JSON), max_sites=5).pbc.tolist() == slab.tolist()
    # top and bottom of a slab are no neighbours
    apart = [[0, 0, 0], [0, 0, 3.99]]
    assert len(load(arrays(positions=apart, pbc=slab), max_sites=5)) == 2
    with pytest.raises(StructureError):
        load(arrays(positions=apart), max_sites=5)


@given(
    seed=st.integers(0, 2**32 - 1),
    sites=st.integers(1, 5),
    limit=st.sampled_from([0.1, 0.7, 1.5]),
    skew=st.booleans(),
)
@settings(max_examples=40)
def test_overlaps_equal_brute_force(seed: int, sites: int, limit: float, skew: bool) -> None:
    rng = np.random.default_rng(seed)
    lattice = np.eye(3) * rng.uniform(1, 3) + rng.uniform(-0.5, 0.5, (3, 3))
    if skew:
        lattice[0] += 2 * lattice[1]
    frac = rng.uniform(-1.5, 1.5, (sites, 3))
    steps = np.arange(-8, 9)
    images = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 1, 1, 3)
    distances = np.linalg.norm((frac[None] - frac[:, None] + images) @ lattice, axis=-1)
    distances[len(images) // 2][np.diag_indices(sites)] = np.inf
    first, _, distance = overlapping_pair(lattice, frac, np.ones(3, dtype=bool), limit)
    assert (first >= 0) == (distances.min() < limit)
    assert first < 0 or distance >= distances.min() - 1e-12


@given(
    seed=st.integers(0, 2**32 - 1),
    text_format=st.sampled_from([Format.JSON, Format.POSCAR, Format.XYZ, Format.CIF]),
)
@settings(max_examples=40)
def test_round_trips_through_text(seed: int, text_format: Format) -> None:
    rng = np.random.default_rng(seed)
    lattice = np.diag(rng.uniform(3, 8, 3)) + rng.uniform(-0.5, 0.5, (3, 3))
    sites = int(rng.integers(1, 6))
    frac = (np.arange(sites)[:, None] + rng.uniform(0, 0.4, (sites, 3))) / sites
    crystal = Crystal(lattice, frac, np.sort(rng.integers(1, 95, sites)))
    found = load(text(written(crystal, text_format), text_format), max_sites=10)
    assert sorted(found.numbers) == sorted(crystal.numbers)
    assert found.volume == pytest.approx(crystal.volume, rel=1e-6)
    if text_format is Format.JSON:
        assert np.array_equal(found.frac, crystal.frac)
    elif text_format is not Format.CIF:  # which sorts by electronegativity
        np.testing.assert_allclose(found.cart, crystal.cart, atol=1e-6)


def written(crystal: Crystal, text_format: Format) -> str:
    structure = crystal.to_pymatgen()
    if text_format is Format.XYZ:
        import io

        from ase import Atoms
        from ase.io import write

        atoms = Atoms(crystal.numbers, scaled_positions=crystal.frac, cell=crystal.lattice, pbc=True)
        stream = io.StringIO()
        write(stream, atoms, format="extxyz")
        return stream.getvalue()
    if text_format is Format.POSCAR:
        from pymatgen.io.vasp.inputs import Poscar

        return Poscar(structure).get_str(significant_figures=12)
    return str(structure.to(fmt="cif" if text_format is Format.CIF else "json"))


def test_a_reference_that_failed_before_keeps_its_reason() -> None:
    gone = FailedPayload(StructureError(ErrorCode.FILE_UNREADABLE, "gone", stage=Stage.READ))
    with pytest.raises(StructureError, match="gone") as caught:
        load(Reference("case", "test", gone), max_sites=5)
    assert caught.value.code == ErrorCode.FILE_UNREADABLE
    assert caught.value.structure_id == "case"


CUT_CIF = """data_NaCl
_symmetry_space_group_name_H-M   'P 1'
_cell_length_a   5.64
_cell_length_b   5.64
_cell_length_c   5.64
_cell_angle_alpha   90
_cell_angle_beta   90
_cell_angle_gamma   90
_chemical_formula_sum   'Na4 Cl4'
loop_
_atom_site_type_symbol
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na Na0 0 0 0
Na Na1 0 0.5 0.5
Na Na2 0.5 0 0.5
Na Na3 0.5 0.5 0
Cl Cl0 0.5 0.5 0.5
Cl Cl1 0.5 0 0
Cl Cl2 0 0.5 0
Cl Cl3 0 0 0.5
"""


@pytest.mark.parametrize("rows", range(1, 9))
def test_a_cif_cut_between_two_sites_is_not_another_compound(rows: int) -> None:
    lines = CUT_CIF.splitlines(keepends=True)
    text = "".join(lines[: len(lines) - 8 + rows])
    reference = Reference("x", "x.cif", TextPayload(Format.CIF, text))
    if rows == 8:
        assert len(load(reference, max_sites=100)) == 8
        return
    with pytest.raises(StructureError) as caught:
        load(reference, max_sites=100)
    assert caught.value.code == ErrorCode.PARSE_FAILED
    assert "cut short" in caught.value.message
