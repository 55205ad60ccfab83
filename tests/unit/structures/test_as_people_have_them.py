"""Files in the forms that people have them: compressed, with what macOS and editors add, in odd tables."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch.core.errors import ErrorCode, InputError, StructureError
from goldilocks_batch.structures.crystal import formula
from goldilocks_batch.structures.outcome import Reading, ReadOptions
from goldilocks_batch.structures.plausible import remarks
from goldilocks_batch.structures.read import read
from goldilocks_batch.structures.sources.memory import reference_of
from goldilocks_batch.structures.sources.reference import FailedPayload
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources
from tests.logged import warnings_from_now
from tests.structure_texts import cif_text, read_text_of

COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
POSCAR = "CsCl\n1.0\n4.12 0 0\n0 4.12 0\n0 0 4.12\nCs Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
CELL = [[4.12, 0.0, 0.0], [0.0, 4.12, 0.0], [0.0, 0.0, 4.12]]
CART = [[0.0, 0.0, 0.0], [2.06, 2.06, 2.06]]


def outcomes(sources: SourceSet) -> dict[str, str]:
    """Formula or error code by id, as read from pieces."""
    found = {}
    for piece in sources.pieces(0, sources.rows):
        for reference in piece.read():
            try:
                found[reference.id] = formula(read(reference, ReadOptions(1000)).crystal.numbers)
            except StructureError as error:
                found[reference.id] = str(error.code)
    return found


def only(sources: SourceSet) -> Reading:
    ((reference,),) = (piece.read() for piece in sources.pieces(0, 1))
    return read(reference, ReadOptions(1000))


@pytest.mark.parametrize("ending", COMPRESSED)
def test_compressed_files_are_read_by_themselves_in_folders_and_in_archives(
    ending: str, tmp_path: Path
) -> None:
    compress = COMPRESSED[ending]
    files = {
        f"Si.cif{ending}": compress(cif_text().encode()),
        f"x/POSCAR{ending}": compress(POSCAR.encode()),
        f"bad.cif{ending}": compress(cif_text().encode())[:-20],
        f"notes.txt{ending}": compress(b"no"),
    }
    folder = tmp_path / "d"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    expected = {"Si": "CsCl", "x/POSCAR": "CsCl", "bad": "FILE_UNREADABLE"}
    for name in ("d", "a.zip", "a.tar.gz"):
        sources = open_sources([tmp_path / name])
        assert outcomes(sources) == expected, name
        assert sources.ignored == {ending: 1}
    assert outcomes(open_sources([folder / f"Si.cif{ending}"])) == {"Si": "CsCl"}


@pytest.mark.parametrize("ending", COMPRESSED)
def test_a_file_that_expands_to_too_much_fails_alone(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldilocks_batch.structures.sources.files.MAX_BYTES", 10_000)
    (tmp_path / f"bomb.cif{ending}").write_bytes(COMPRESSED[ending](b"0" * 1_000_000))
    (tmp_path / f"good.cif{ending}").write_bytes(COMPRESSED[ending](cif_text().encode()))
    assert outcomes(open_sources([tmp_path])) == {"bomb": "FILE_UNREADABLE", "good": "CsCl"}


JUNK = ["__MACOSX/._a.cif", "._b.cif", "b.cif~", "POSCAR~", "sub/__MACOSX/c.cif", "notes.txt", "POSCAR.py"]


def test_what_systems_and_editors_leave_is_not_read_and_is_counted(tmp_path: Path) -> None:
    files = {**dict.fromkeys(JUNK, "junk"), "a.cif": cif_text(), "m.mcif": cif_text(), "Si_POSCAR": POSCAR}
    for name, text in files.items():
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_text(text)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    for name in ("d", "a.zip"):
        sources = open_sources([tmp_path / name])
        assert outcomes(sources) == {"a": "CsCl", "m": "CsCl", "Si_POSCAR": "CsCl"}
        assert sources.ignored == {"(of macOS)": 3, "(backups)": 2, ".txt": 1, ".py": 1}
    # who names a file means it
    assert outcomes(open_sources([tmp_path / "d/a.cif"])) == {"a": "CsCl"}


STRUCTURE: dict[str, Any] = {
    "lattice": {"matrix": CELL},
    "sites": [
        {"species": [{"element": "Cs", "occu": 1}], "abc": [0.0] * 3, "properties": {"magmom": 2.0}},
        {"species": [{"element": "Cl", "occu": 1}], "abc": [0.5] * 3},
    ],
}
SPECIES = [{"name": name, "chemical_symbols": [name], "concentration": [1.0]} for name in ("Cs", "Cl")]
OPTIMADE: dict[str, Any] = {
    "lattice_vectors": CELL,
    "cartesian_site_positions": CART,
    "species_at_sites": ["Cs", "Cl"],
}
ASE: dict[str, Any] = {"cell": CELL, "positions": CART, "numbers": [55, 17]}


def manifest(path: Path, *rows: dict[str, Any], schema: pa.Schema | None = None) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"structure": STRUCTURE},
        OPTIMADE | {"species": SPECIES},
        OPTIMADE | {"species": json.dumps(SPECIES), "structure_features": []},
        ASE,
        ASE | {"pbc": True},
        {"cif": cif_text().encode()},
    ],
    ids=["structs", "species", "features", "numbers", "one flag", "bytes"],
)
def test_columns_as_tables_have_them(row: dict[str, Any], tmp_path: Path) -> None:
    found = only(open_sources([manifest(tmp_path / "m.parquet", {"id": "a", **row})]))
    assert formula(found.crystal.numbers) == "CsCl"
    assert found.crystal.pbc.all()
    assert ("magnetic" in found.flags) == ("structure" in row)


def test_text_may_be_laid_out_as_views(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.string()), ("cif", pa.string_view())])
    path = manifest(tmp_path / "m.parquet", {"id": "a", "cif": cif_text()}, schema=schema)
    assert outcomes(open_sources([path])) == {"a": "CsCl"}


def test_one_flag_is_for_all_axes(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m.parquet", ASE | {"pbc": False}, ASE | {"pbc": None})
    first, second = (reference for piece in open_sources([path]).pieces(0, 2) for reference in piece.read())
    assert not read(first, ReadOptions(9)).crystal.pbc.any()
    assert isinstance(second.payload, FailedPayload)
    assert second.payload.error.code == ErrorCode.NULL_VALUE


@pytest.mark.parametrize(
    ("features", "code"),
    [
        (["assemblies"], ErrorCode.PARTIAL_OCCUPANCY),
        (["implicit_atoms"], ErrorCode.CONTENT_MISMATCH),
        (["disorder", "unknown_positions"], ErrorCode.NULL_VALUE),
    ],
)
def test_sites_that_are_not_the_whole_crystal_are_refused(
    features: list[str], code: ErrorCode, tmp_path: Path
) -> None:
    entry = OPTIMADE | {"structure_features": features}
    path = manifest(tmp_path / "m.parquet", {"id": "a", **entry})
    (tmp_path / "b.json").write_text(json.dumps(entry))
    assert outcomes(open_sources([path, tmp_path / "b.json"])) == {"a": str(code), "b": str(code)}


@pytest.mark.parametrize("dialect", ["optimade", "cif"])
def test_the_dialect_may_be_chosen(dialect: str, tmp_path: Path) -> None:
    row = {"id": "a", **OPTIMADE, "cif": cif_text(sites=["Na1 Na 0 0 0", "Cl1 Cl 0.5 0.5 0.5"])}
    path = manifest(tmp_path / "m.parquet", row)
    with pytest.raises(InputError, match="choose with --dialect"):
        open_sources([path])
    expected = {"optimade": "CsCl", "cif": "NaCl"}[dialect]
    assert outcomes(open_sources([path], dialect=dialect)) == {"a": expected}
    with pytest.raises(InputError, match="do not make the dialect ase"):
        open_sources([path], dialect="ase")


def test_the_column_of_ids_may_be_chosen(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m.parquet", {"id": "a", "mp_id": "mp-1", "cif": cif_text()})
    assert list(outcomes(open_sources([path]))) == ["a"]
    assert list(outcomes(open_sources([path], id_column="mp_id"))) == ["mp-1"]
    with pytest.raises(InputError, match="did you mean 'mp_id'") as caught:
        open_sources([path], id_column="mpid")
    assert caught.value.code == ErrorCode.MANIFEST_DIALECT


@pytest.mark.parametrize(("axis", "name"), [(0, "a"), (1, "b"), (2, "c")])
def test_a_slab_that_claims_to_be_periodic_across_its_vacuum_is_flagged(axis: int, name: str) -> None:
    lengths, site = [4.0, 4.0, 4.0], [0.0, 0.0, 0.0]
    lengths[axis], site[axis] = 20.0, 0.2
    text = cif_text(lengths, sites=["Cs1 Cs 0 0 0", "Cl1 Cl " + " ".join(map(str, site))])
    flags = remarks(read_text_of(text).crystal)
    assert [flag for flag in flags if flag.startswith("vacuum")] == ["vacuum", f"vacuum_{name}"]


@pytest.mark.shared
def test_files_of_the_development_cases(shared: Path) -> None:
    cases = shared / "cases"
    assert outcomes(open_sources([cases / "fs/mac.zip"])) != {}
    found = open_sources([cases / "fs/coll"])
    assert set(outcomes(found)) == {"a/POSCAR", "a/Si.cif", "a/Si.vasp", "b/POSCAR"}
    assert outcomes(open_sources([cases / "poscar/POSCAR.gz"])) == {"POSCAR": "CsCl"}
    for name in (
        "ase_numbers",
        "ase_pbcscalar",
        "cif_view",
        "cif_bytes",
        "opt_nested",
        "str_struct",
        "str_json",
    ):
        ((found_formula),) = outcomes(open_sources([cases / f"pq/{name}.parquet"])).values()
        assert found_formula in ("CsCl", "NaCl", "Cs"), name
    found = open_sources([cases / "pq/cif_ok.parquet"], id_column="mp_id")
    assert not any(own.startswith("cif_ok:") for own in outcomes(found))


def flags_of(structure: Any) -> tuple[str, ...]:
    return read(reference_of(0, structure), ReadOptions(9)).flags


def test_charges_and_moments_in_memory_and_in_dictionaries_are_flagged(tmp_path: Path) -> None:
    from ase import Atoms
    from pymatgen.core.structure import Structure

    def atoms(**more: Any) -> Atoms:
        return Atoms("CsCl", positions=CART, cell=CELL, pbc=True, **more)

    def structure(names: list[str], **more: Any) -> Structure:
        return Structure(CELL, names, [[0.0] * 3, [0.5] * 3], **more)

    assert flags_of(atoms()) == flags_of(structure(["Cs", "Cl"])) == ()
    assert flags_of(atoms(magmoms=[1.0, -1.0])) == ("magnetic",)
    assert flags_of(atoms(magmoms=[[0, 0, 1.0], [0, 0, 0]])) == ("magnetic",)
    assert flags_of(atoms(charges=[1.0, -0.5])) == ("charged",)
    assert flags_of(atoms(charges=[1.0, -1.0])) == flags_of(structure(["Cs+", "Cl-"])) == ()
    assert flags_of(structure(["Cs", "Cl"], charge=1)) == flags_of(structure(["Cs2+", "Cl-"])) == ("charged",)
    assert flags_of(structure(["Cs", "Cl"], site_properties={"magmom": [0.0, 2.0]})) == ("magnetic",)
    assert flags_of(structure(["Fe2+,spin=4", "Cl2-"])) == ("magnetic",)
    for more, expected in (({"magmoms": [1.0, 0.0]}, "magnetic"), ({"charges": [1.0, 0.0]}, "charged")):
        content = {name: value.tolist() for name, value in atoms(**more).todict().items()}
        (tmp_path / "a.json").write_text(json.dumps(content))
        assert only(open_sources([tmp_path / "a.json"])).flags == (expected,)


OF_MANY = ["a.jsonl", "b/c.ndjson.gz", "d.parquet", "e.PQ", "f.zip", "g.tar.gz"]


@pytest.mark.parametrize("name", ["d", "d.zip"])
def test_files_of_many_structures_in_a_folder_are_not_read_and_are_named(name: str, tmp_path: Path) -> None:
    files = dict.fromkeys([*OF_MANY, "notes.txt", "__MACOSX/h.parquet", "i.parquet~"], "not read")
    for file, text in files.items():
        (tmp_path / "d" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / file).write_text(text)
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    how = "unpack the archive and name it" if name == "d.zip" else "to read such a file, name it"
    named = "a.jsonl, b/c.ndjson.gz, d.parquet, e.PQ, f.zip, and 1 more may hold many structures"
    with pytest.raises(InputError, match="9 other files") as caught:
        open_sources([tmp_path / name])
    assert caught.value.code == ErrorCode.INPUT_EMPTY
    assert named in caught.value.message
    assert how in caught.value.message
    (tmp_path / "d" / "Si.cif").write_text(cif_text())
    with zipfile.ZipFile(tmp_path / "d.zip", "a") as archive:
        archive.writestr("Si.cif", cif_text())
    told = warnings_from_now()
    assert outcomes(open_sources([tmp_path / name])) == {"Si": "CsCl"}
    (warning,) = told
    assert warning.startswith(f"{tmp_path / name}: {named}")
    assert how in warning


def test_tables_of_a_run_are_results_and_no_inputs(tmp_path: Path) -> None:
    (tmp_path / "Si.cif").write_text(cif_text())
    (tmp_path / "out" / "results").mkdir(parents=True)
    (tmp_path / "out" / "results" / "part-0.parquet").touch()
    told = warnings_from_now()
    open_sources([tmp_path])
    assert len(told) == 1
    (tmp_path / "out" / "run.json").write_text('{"state": "completed", "started": "", "fingerprint": ""}')
    open_sources([tmp_path])
    assert len(told) == 1
