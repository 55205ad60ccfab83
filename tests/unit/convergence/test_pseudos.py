"""Pseudopotentials are found by table, configuration or name, and what is doubtful is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from goldilocks_batch import GoldilocksError
from goldilocks_batch.config.convergence import CodeOptions
from goldilocks_batch.convergence.pseudos import read_family

HEADER = '<UPF version="2.0.1"><PP_HEADER functional="PBESOL" z_valence="    4.00"/></UPF>\n'
OLD = "    4.00000000000      Z valence\n"


def folder_of(base: Path, **files: str) -> Path:
    folder = base / "pseudo"
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("__", "-")).with_suffix(".upf").write_text(text)
    return folder


def test_files_are_found_by_the_element_in_their_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, Si=HEADER, c_pbe_v1=OLD, Se__dojo=HEADER, README=HEADER)
    family = read_family(CodeOptions(pseudo_dir=folder))
    assert {element: pseudo.path.name for element, pseudo in family.of.items()} == {
        "C": "c_pbe_v1.upf",
        "Se": "Se-dojo.upf",
        "Si": "Si.upf",
    }
    assert [pseudo.valence for pseudo in family.of.values()] == [4.0] * 3
    assert family.of["Si"].functional == "PBESOL"
    assert family.of["Si"].cutoff is None


def test_several_files_of_an_element_are_refused_until_one_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, Si_a=HEADER, Si_b=OLD)
    with pytest.raises(GoldilocksError, match=r"several files for Si: Si_a.upf, Si_b.upf; name one"):
        read_family(CodeOptions(pseudo_dir=folder))
    family = read_family(CodeOptions(pseudo_dir=folder, pseudopotentials={"Si": "Si_b.upf"}))
    assert family.of["Si"].path.name == "Si_b.upf"


def test_a_table_as_sssp_publishes_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, Si_a=HEADER, Si_b=OLD)
    md5 = hashlib.md5(OLD.encode(), usedforsecurity=False).hexdigest()
    entry = {
        "filename": "Si_b.upf",
        "md5": md5,
        "pseudopotential": "X",
        "cutoff_wfc": 30.0,
        "cutoff_rho": 240.0,
    }
    table = tmp_path / "SSSP.json"
    table.write_text(json.dumps({"Si": entry, "Ge": entry | {"filename": "Ge.upf"}}))
    family = read_family(CodeOptions(pseudo_dir=folder, cutoffs=table))
    assert set(family.of) == {"Si"}  # there is no file of Ge
    assert (family.of["Si"].cutoff, family.of["Si"].density_cutoff) == (30.0, 240.0)
    (folder / "Si_b.upf").write_text(OLD + "edited\n")
    with pytest.raises(GoldilocksError, match="another file"):
        read_family(CodeOptions(pseudo_dir=folder, cutoffs=table))


def test_tables_as_pseudodojo_publishes_them_are_in_hartree(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, Si=HEADER)
    tables = tmp_path / "djrepo"
    tables.mkdir()
    hints = {"low": {"ecut": 14.0}, "normal": {"ecut": 18.0}, "high": {"ecut": 24.0}}
    (tables / "Si.djrepo").write_text(json.dumps({"hints": hints, "md5": "of another format"}))
    for stringency, cutoff in (("low", 28.0), ("normal", 36.0), ("high", 48.0)):
        code = CodeOptions(pseudo_dir=folder, cutoffs=tables, stringency=stringency)
        pseudo = read_family(code).of["Si"]
        assert (pseudo.cutoff, pseudo.density_cutoff) == (cutoff, 4 * cutoff)


@pytest.mark.parametrize("text", ["[]", "no JSON", '{"Si": {"cutoff": 1}}', '{"Si": 3}'])
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    table = tmp_path / "table.json"
    table.write_text(text)
    with pytest.raises(GoldilocksError, match="is no table of cutoffs"):
        read_family(CodeOptions(pseudo_dir=folder_of(tmp_path, Si=HEADER), cutoffs=table))


def test_a_folder_is_needed(tmp_path: Path) -> None:
    with pytest.raises(GoldilocksError, match=r"code\.pseudo_dir"):
        read_family(CodeOptions())
    with pytest.raises(GoldilocksError, match="no folder"):
        read_family(CodeOptions(pseudo_dir=tmp_path / "none"))


@pytest.mark.shared
def test_the_pseudopotentials_that_tests_use_say_their_valence(shared: Path) -> None:
    family = read_family(CodeOptions(pseudo_dir=shared / "pseudo"))
    found = {element: pseudo.valence for element, pseudo in family.of.items()}
    elements, valences = "Al As C Cl Cu Ga Mg Na O Si".split(), (3, 5, 4, 7, 19, 3, 2, 9, 6, 4)
    assert found == dict(zip(elements, valences, strict=True))
    assert {pseudo.functional for pseudo in family.of.values()} == {"PBE"}
