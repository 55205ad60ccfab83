"""A CIF that was cut, or whose sites are not what its formula says, is refused; good files are not."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from goldilocks_batch.core.errors import ErrorCode, StructureError
from goldilocks_batch.structures.cif.contents import parse_formula
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal
from tests.structure_texts import cif_text, positions, read_text_of, refusal

PEROVSKITE = Crystal(
    np.diag([3.9, 3.9, 7.8]),
    np.array([[0, 0, z] for z in (0, 0.5)] + [[0.5, 0.5, z] for z in (0.25, 0.75)]
             + [[0.5, 0, 0.25], [0.5, 0, 0.75], [0, 0.5, 0.25], [0, 0.5, 0.75], [0.5, 0.5, 0], [0.5, 0.5,
                 0.5]]),
    np.array([38, 38, 22, 22] + [8] * 6),
)  # fmt: skip
SILICON = Crystal(
    5.43 * np.eye(3),
    np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]] * 2)
    + np.repeat([[0.0], [0.25]], 4, axis=0),
    np.full(8, 14),
)


def by_pymatgen(crystal: Crystal) -> str:
    return str(crystal.to_pymatgen().to(fmt="cif"))


def by_ase(crystal: Crystal) -> str:
    from ase import Atoms
    from ase.io import write

    buffer = io.BytesIO()
    write(
        buffer,
        Atoms(crystal.numbers, scaled_positions=crystal.frac, cell=crystal.lattice, pbc=True),
        format="cif",
    )
    return buffer.getvalue().decode()


def by_gemmi(crystal: Crystal) -> str:
    import gemmi

    small = gemmi.SmallStructure()
    small.cell = gemmi.UnitCell(*crystal.to_pymatgen().lattice.parameters)
    small.spacegroup_hm = "P 1"
    for number, position in zip(crystal.numbers, crystal.frac, strict=True):
        site = gemmi.SmallStructure.Site()
        site.label = site.type_symbol = gemmi.Element(int(number)).name
        site.fract = gemmi.Fractional(*position)
        small.add_site(site)
    document = gemmi.cif.Document()
    block = small.make_cif_block()
    sites = block.find_loop("_atom_site_label").get_loop()
    assert sites.length() == len(crystal)
    document.add_copied_block(block)
    # it writes no formula: one is put where others write it
    counts = " ".join(
        f"{gemmi.Element(int(z)).name}{n}"
        for z, n in zip(*np.unique(crystal.numbers, return_counts=True), strict=True)
    )
    text = document.as_string()
    return text.replace("_cell_length_a", f"_chemical_formula_sum '{counts}'\n_cell_length_a", 1)


def by_pymatgen_symmetrised(crystal: Crystal) -> str:
    from pymatgen.io.cif import CifWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(CifWriter(crystal.to_pymatgen(), symprec=0.01))


WRITERS = (by_pymatgen, by_ase, by_gemmi, by_pymatgen_symmetrised)


@pytest.mark.parametrize("indent", ["", "    ", "\t"])
@pytest.mark.parametrize("crystal", [PEROVSKITE, SILICON], ids=["SrTiO3", "Si"])
@pytest.mark.parametrize("write", WRITERS)
def test_a_file_cut_anywhere_within_its_sites_is_refused(
    write: Callable[[Crystal], str], crystal: Crystal, indent: str
) -> None:
    """Cut between rows, within rows and within numbers, whatever the indentation."""
    whole = write(crystal)
    if indent:
        lines = whole.split("\n")
        start = max(i for i, line in enumerate(lines) if line.strip() == "loop_")
        whole = (
            "\n".join(lines[:start])
            + "\n"
            + textwrap.indent(textwrap.dedent("\n".join(lines[start:])), indent)
        )
    full = read_text_of(whole)
    last = whole.rstrip().rfind("\n")
    first = re.search(r"_atom_site_\S+\s*\n(?!\s*_)", whole)
    assert first is not None
    step = max(1, (last - first.end()) // 60)
    for stop in [*range(first.end(), last + 1, step), last, last + 1]:
        error = refusal(whole[:stop])
        assert error.code in (
            ErrorCode.PARSE_FAILED,
            ErrorCode.SYMMETRY_CONTRADICTORY,
            ErrorCode.CONTENT_MISMATCH,
        ), stop
        if error.code is ErrorCode.PARSE_FAILED:
            assert "cut short" in error.message
    # within the last row the atom is whole or the file is refused
    for stop in range(last + 2, len(whole)):
        try:
            found = read_text_of(whole[:stop])
        except StructureError:
            continue
        assert len(found.crystal) == len(full.crystal)
        assert positions(found.crystal.frac) == positions(full.crystal.frac) or "ends_abruptly" in found.flags


@pytest.mark.parametrize(
    "given", ["?", ".", "''", "\n;\n\n;", "Cs Cl", "'Cl, Cs'", "'Cs1 Cl1'", "'CsCl'", "'Cs1+ Cl1-'",
        "\n;\nCs Cl\n;",
              "'Cs0.5 Cl0.5'", "'Cs1.00 Cl1.00'", "Cl1Cs1"]
)  # fmt: skip
def test_formulas_of_good_files(given: str) -> None:
    head = f"_chemical_formula_sum {given}\n_symmetry_space_group_name_H-M 'P 1'"
    assert len(read_text_of(cif_text(head=head)).crystal) == 2


@pytest.mark.parametrize(
    ("given", "units"), [("'Fe0.67 O'", None), ("'Fe2 O3'", 6), ("'Fe0.667 O1.0'", 18), ("'Fe4 O6'", 3)]
)
def test_rounded_formulas_of_haematite(given: str, units: int | None) -> None:
    head = f"_symmetry_space_group_name_H-M 'R -3 c'\n_chemical_formula_sum {given}\n"
    head += f"_cell_formula_units_Z {units}" if units else ""
    sites = ["Fe1 Fe 0 0 0.3553", "O1 O 0.3059 0 0.25"]
    text = cif_text([5.038, 5.038, 13.772], [90, 90, 120], sites, head)
    assert len(read_text_of(text).crystal) == 30


@pytest.mark.parametrize(
    ("formula", "units"),
    [
        ("'Fe3 O4'", None),
        ("'Fe O'", None),
        ("'Fe0.6 O'", None),
        ("'Fe2 O3'", 4),
        ("'Fe2 O3 Ti'", None),
        ("'Fe2'", None),
    ],
)
def test_formulas_that_are_another_compound(formula: str, units: int | None) -> None:
    head = f"_symmetry_space_group_name_H-M 'R -3 c'\n_chemical_formula_sum {formula}\n"
    head += f"_cell_formula_units_Z {units}" if units else ""
    sites = ["Fe1 Fe 0 0 0.3553", "O1 O 0.3059 0 0.25"]
    tail = "loop_\n_geom_bond_distance\n2.0\n"  # the file goes on: it was not cut
    error = refusal(cif_text([5.038, 5.038, 13.772], [90, 90, 120], sites, head, tail=tail))
    assert error.code is ErrorCode.CONTENT_MISMATCH
    assert "cut short" not in error.message
    assert "Fe12" in error.message


def test_multiplicities_may_be_orders_of_site_symmetry() -> None:
    """SHELXL-97 wrote 1 for general positions under the tag of the multiplicity."""
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "symmetry_multiplicity")
    head = "_space_group_name_H-M_alt 'P -1'"
    for general, special in (("2", "1"), ("1", "2")):
        sites = [f"Na1 Na 0.1 0.2 0.3 {general}", f"Cl1 Cl 0 0 0 {special}"]
        assert len(read_text_of(cif_text([6, 7, 8], [80, 85, 95], sites, head, columns)).crystal) == 3
    sites = ["Na1 Na 0.1 0.2 0.3 4", "Cl1 Cl 0 0 0 2"]
    assert refusal(cif_text([6, 7, 8], [80, 85, 95], sites, head, columns)).code is ErrorCode.CONTENT_MISMATCH


def test_a_formula_is_parsed() -> None:
    parsed = parse_formula("C6 H12 O6 D2")
    assert parsed is not None
    assert parsed.amounts == {6: 6, 1: 14, 8: 6}
    assert parse_formula("Ca (O H)2") is None
    assert parse_formula("Xx2 O") is None


@pytest.mark.parametrize("symbols", ["H", "N", "O", "F", "Cl", "Li O", "Na O", "H O", "Cs O", "Mg O"])
def test_formula_units_as_pymatgen_counts_them(symbols: str) -> None:
    """Molecules and peroxides have twice the smallest formula as their unit: Cl16 is 8 Cl2."""
    names = symbols.split()
    frac = np.array([[x, y, z] for x in (0.1, 0.6) for y in (0.1, 0.6) for z in (0.1, 0.6)])
    numbers = np.array([SYMBOLS.index(names[i % len(names)]) for i in range(8)])
    found = read_text_of(by_pymatgen(Crystal(8.0 * np.eye(3), frac, numbers)))
    assert len(found.crystal) == 8
    assert found.flags == ()
