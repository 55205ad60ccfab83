"""``export``: what is written is read back by the codes' readers, as the crystal and the mesh of the row."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.io.espresso import kspacing_to_grid
from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from typer.testing import CliRunner

import goldilocks_batch
from goldilocks_batch import GoldilocksError, RunConfig, run
from goldilocks_batch.cli.app import app
from goldilocks_batch.exports.export import ExportSummary, Target, export
from goldilocks_batch.exports.formats.table import COLUMNS
from goldilocks_batch.exports.rows import Choice
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.read import load
from goldilocks_batch.structures.sources.sourceset import open_sources
from tests.contract.observed import EXAMPLES

IDS = ["plain", "a/b", "../up", "Si", "SI", "CON", "ü x", "-rf", "=1+1", "n" * 200, "a\nb", '"q", x']
TEMPLATE = """\
 &control  calculation = 'scf', pseudo_dir = './pseudo' /
&SYSTEM
  ibrav = 2, celldm(1) = 10.2, nat = 2, ntyp = 1   ! another crystal's
  ecutwfc = 30
  occupations = 'smearing', smearing = 'cold', degauss = 0.01
/
&electrons  conv_thr = 1d-8 /
ATOMIC_SPECIES
Si 28.085 Si.upf
C  12.011 C.upf
ATOMIC_POSITIONS alat
Si 0 0 0
Si .25 .25 .25
K_POINTS automatic
4 4 4 1 1 1
"""


def manifest(path: Path, ids: list[str]) -> Path:
    """Skewed cells with sites of two elements in turn; the last two rows make no crystal."""
    random = np.random.default_rng(7)
    rows = []
    for place, structure_id in enumerate(ids):
        cell = np.diag(random.uniform(4, 6, 3)) + random.uniform(-1, 1, (3, 3))
        frac = np.array([[0, 0, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.5, 0.5, 0]]) + 0.01 * place
        if place % 3 == 0:  # doubled, so that the primitive cell is another
            cell, frac = (
                cell * [[1], [1], [2]],
                np.concatenate([frac, frac + np.array([0, 0, 1])]) / [1, 1, 2],
            )
        if place >= len(ids) - 2:
            frac[1] = frac[0]
        numbers = [14, 6, 14, 6] * (len(frac) // 4)
        rows.append(
            {
                "id": structure_id,
                "cell": cell.tolist(),
                "positions": (frac @ cell).tolist(),
                "atomic_numbers": numbers,
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of made-up crystals with ids that are no file names, in three result files."""
    folder = tmp_path_factory.mktemp("screened")
    inputs = manifest(folder / "crystals.parquet", [*IDS, "broken 1", "broken 2"])
    run(RunConfig(inputs=(inputs,), output=folder / "run", executor="serial", shard_size=5))
    return folder / "run"


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of some of the example crystals."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "structures").mkdir()
    for name in (
        "C-graphene.xyz",
        "NaCl.cif",
        "Si-diamond.cif",
        "Al-fcc.cif",
        "GaN-wurtzite.cif",
        "Mg-hcp.cif",
    ):
        if (EXAMPLES / name).exists():
            shutil.copy(EXAMPLES / name, folder / "structures")
    run(
        RunConfig(inputs=(folder / "structures",), output=folder / "run", model="baseline", executor="serial")
    )
    return folder / "run"


def written(
    run_folder: Path, form: Any, output: Path, *, choice: Choice | None = None, **options: Any
) -> ExportSummary:
    return export(run_folder, Target(form, output, **options), choice or Choice())


def supplied(run_folder: Path) -> dict[str, Crystal]:
    """All structures that can be read, by id, as the run's inputs have them."""
    record = json.loads((run_folder / "run.json").read_text())
    sources = open_sources([Path(entry["path"]) for entry in record["inputs"]])
    found = {}
    for piece in sources.pieces(0, sources.rows):
        for reference in piece.read():
            try:
                found[reference.id] = load(reference, max_sites=1000)
            except GoldilocksError:
                continue
    return found


def rows(run_folder: Path) -> dict[str, dict[str, Any]]:
    return {
        row["id"]: row
        for row in goldilocks_batch.read_results(run_folder).to_pylist()
        if row["status"] == "ok"
    }


def index(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "kpoints.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def assert_same(found: Structure, crystal: Crystal, *, within: float) -> None:
    """The same crystal in the same cell, sites in any order."""
    assert np.abs(found.lattice.matrix - crystal.lattice).max() < within
    assert len(found) == len(crystal)
    left = [*range(len(crystal))]
    for site in found:
        offsets = crystal.frac[left] - site.frac_coords
        distances = np.abs((offsets - np.rint(offsets)) @ crystal.lattice).max(axis=1)
        same = [place for place, near in zip(left, distances < within, strict=True) if near]
        assert [crystal.numbers[place] for place in same] == [site.specie.Z]
        left.remove(same[0])


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


# ---- each format, with its own reader


def test_vasp(screened: Path, tmp_path: Path) -> None:
    summary = written(screened, "vasp", tmp_path / "out")
    assert summary.written == len(IDS)
    listed, table, crystals = index(tmp_path / "out"), rows(screened), supplied(screened)
    assert listed.keys() == table.keys() == {*IDS}
    for structure_id, about in listed.items():
        folder = tmp_path / "out" / about["folder"]
        assert {path.name for path in folder.iterdir()} == {"POSCAR", "KPOINTS"}
        poscar = Poscar.from_file(folder / "POSCAR", check_for_potcar=False)
        assert poscar.site_symbols == ["Si", "C"]  # for a POTCAR with each once
        assert_same(poscar.structure, crystals[structure_id], within=1e-13)
        assert_same(
            Structure.from_ase_atoms(ase.io.read(folder / "POSCAR")), crystals[structure_id], within=1e-13
        )
        kpoints = Kpoints.from_file(folder / "KPOINTS")
        assert kpoints.style.name == "Gamma"
        assert list(kpoints.kpts[0]) == table[structure_id]["mesh"]
        assert list(kpoints.kpts_shift) == [0, 0, 0]


def test_vasp_by_kspacing(examples: Path, tmp_path: Path) -> None:
    summary = written(examples, "vasp", tmp_path / "out", kspacing=True)
    table, crystals = rows(examples), supplied(examples)
    layers = 0
    for structure_id, about in index(tmp_path / "out").items():
        folder = tmp_path / "out" / about["folder"]
        if not crystals[structure_id].pbc.all():
            layers += 1
            assert {path.name for path in folder.iterdir()} == {"POSCAR", "KPOINTS"}
            continue
        incar = Incar.from_file(folder / "INCAR")
        assert incar["KGAMMA"] is True
        lengths = Poscar.from_file(
            folder / "POSCAR", check_for_potcar=False
        ).structure.lattice.reciprocal_lattice.abc
        counts = [max(1, int(np.ceil(length / incar["KSPACING"]))) for length in lengths]
        assert counts == table[structure_id]["mesh"]
        assert not (folder / "KPOINTS").exists()
    assert layers == 1
    assert summary.notes["no KSPACING gives the mesh: KPOINTS was written"] == 1
    assert summary.notes["axis that is not periodic: VASP takes every axis for periodic"] == 1


def test_qe_with_a_template(screened: Path, tmp_path: Path) -> None:
    (tmp_path / "scf.in").write_text(TEMPLATE)
    summary = written(screened, "qe", tmp_path / "out", template=tmp_path / "scf.in")
    assert not summary.notes
    table, crystals = rows(screened), supplied(screened)
    for structure_id, about in index(tmp_path / "out").items():
        text = (tmp_path / "out" / about["folder"] / "pw.in").read_text()
        assert "@" not in text
        assert "Si.upf" in text
        assert "ecutwfc          = 30" in text
        assert "celldm" not in text
        lines = text.splitlines()
        mesh = lines[lines.index("K_POINTS automatic") + 1].split()
        assert mesh == [*map(str, table[structure_id]["mesh"]), "0", "0", "0"]
        atoms = ase.io.read(io.StringIO(text), format="espresso-in")
        assert_same(Structure.from_ase_atoms(atoms), crystals[structure_id], within=2e-9)


def test_qe_without_a_template_has_marked_places(examples: Path, tmp_path: Path) -> None:
    summary = written(examples, "qe", tmp_path / "out")
    assert summary.notes["places marked @…@ to be filled in: pw.x stops there"] == summary.written
    text = (tmp_path / "out" / "NaCl" / "pw.in").read_text()
    for mark in (
        "@ECUTWFC@",
        "@OCCUPATIONS@",
        "@PSEUDO_DIR@",
        "@PSEUDOPOTENTIAL_Na@",
        "@PSEUDOPOTENTIAL_Cl@",
    ):
        assert mark in text


def test_qe_marks_elements_that_the_template_lacks(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "scf.in").write_text(TEMPLATE)
    summary = written(examples, "qe", tmp_path / "out", template=tmp_path / "scf.in")
    marked = {path.parent.name for path in (tmp_path / "out").glob("*/pw.in") if "@" in path.read_text()}
    assert {"NaCl", "Al-fcc"} <= marked
    assert not marked & {"Si-diamond", "C-graphene"}
    assert summary.notes["places marked @…@ to be filled in: pw.x stops there"] == len(marked)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("ecutwfc", "nbnd = 8, ecutwfc"), "nbnd"),
        (
            lambda text: text.replace("ecutwfc", "starting_magnetization(1) = 1, ecutwfc"),
            "starting_magnetization",
        ),
        (lambda text: text + "CONSTRAINTS\n1\n", "CONSTRAINTS"),
        (lambda text: text.replace("Si 28.085 Si.upf", "Si1 28.085 Si.upf"), "among its species"),
        (lambda text: text.replace("&SYSTEM", "&nothing"), "no namelist &SYSTEM"),
        (lambda _text: "", "no namelist &SYSTEM"),
    ],
)
def test_templates_that_fit_one_structure_are_refused(
    examples: Path, tmp_path: Path, change: Callable[[str], str], told: str
) -> None:
    (tmp_path / "scf.in").write_text(change(TEMPLATE))
    with pytest.raises(GoldilocksError, match=told):
        written(examples, "qe", tmp_path / "out", template=tmp_path / "scf.in")
    assert not (tmp_path / "out").exists()


def test_qe_writes_gamma_only_where_it_is_allowed(tmp_path: Path) -> None:
    atoms = Atoms("Si", cell=[40, 40, 40], pbc=True)
    (tmp_path / "in").mkdir()
    ase.io.write(tmp_path / "in" / "box.cif", atoms)
    run(RunConfig(inputs=(tmp_path / "in",), output=tmp_path / "run", model="baseline", executor="serial"))
    written(tmp_path / "run", "qe", tmp_path / "plain")
    written(tmp_path / "run", "qe", tmp_path / "gamma", gamma=True)
    assert "K_POINTS automatic\n1 1 1  0 0 0" in (tmp_path / "plain" / "box" / "pw.in").read_text()
    assert "K_POINTS gamma\n" in (tmp_path / "gamma" / "box" / "pw.in").read_text()


def test_aiida(examples: Path, tmp_path: Path) -> None:
    written(examples, "aiida", tmp_path / "rows.jsonl")
    table, crystals = rows(examples), supplied(examples)
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == list(table)
    for line in lines:
        atoms = Atoms.fromdict(line["structure"])
        assert atoms.pbc.tolist() == crystals[line["id"]].pbc.tolist()
        assert_same(Structure.from_ase_atoms(atoms), crystals[line["id"]], within=1e-12)
        assert line["kpoints_mesh"] == table[line["id"]]["mesh"]
        base = {"kpoints_distance": line["kpoints_distance"]}
        assert line["overrides"] == {
            "PwBaseWorkChain": base,
            "PwRelaxWorkChain": {"base_relax": base},
            "PwBandsWorkChain": {"scf": base},
        }


def test_aiida_is_given_the_mesh_where_no_distance_gives_it(tmp_path: Path) -> None:
    """All three vectors of one length, and a mesh that is not isotropic."""
    (tmp_path / "in").mkdir()
    atoms = Atoms("Cu", cell=[[-4, 2, 5], [4, -2, 5], [4, 2, -5]], pbc=True)
    ase.io.write(tmp_path / "in" / "Cu.vasp", atoms)
    run(RunConfig(inputs=(tmp_path / "in",), output=tmp_path / "run", model="baseline", executor="serial"))
    summary = written(tmp_path / "run", "aiida", tmp_path / "rows.jsonl")
    line = json.loads((tmp_path / "rows.jsonl").read_text())
    assert (line["kpoints_distance"], line["overrides"]) == (None, None)
    assert len(set(line["kpoints_mesh"])) > 1
    assert summary.notes == {"no kpoints_distance gives the mesh: give AiiDA kpoints_mesh": 1}


def test_atomate2(screened: Path, tmp_path: Path) -> None:
    written(screened, "atomate2", tmp_path / "rows.jsonl.gz")
    table, crystals = rows(screened), supplied(screened)
    with gzip.open(tmp_path / "rows.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert {line["id"] for line in lines} == table.keys()
    for line in lines:
        kpoints = Kpoints.from_dict(line["kpoints"])
        assert kpoints == Kpoints.gamma_automatic(tuple(table[line["id"]]["mesh"]))
        assert_same(Structure.from_dict(line["structure"]), crystals[line["id"]], within=1e-12)


def test_ase(examples: Path, tmp_path: Path) -> None:
    written(examples, "ase", tmp_path / "rows.xyz")
    table, crystals = rows(examples), supplied(examples)
    frames = ase.io.read(tmp_path / "rows.xyz", ":")
    assert [frame.info["id"] for frame in frames] == list(table)
    for frame in frames:
        row = table[frame.info["id"]]
        assert frame.info["kpts"].tolist() == row["mesh"]
        assert frame.info["gamma"]
        assert frame.info["kdist"] == row["kdist"]
        assert kspacing_to_grid(frame, frame.info["kspacing_ase"]) == row["mesh"]
        assert frame.pbc.tolist() == crystals[row["id"]].pbc.tolist()
        assert_same(Structure.from_ase_atoms(frame), crystals[row["id"]], within=1e-8)


def test_csv(screened: Path, tmp_path: Path) -> None:
    written(screened, "csv", tmp_path / "rows.csv")
    table, crystals = rows(screened), supplied(screened)
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        lines = [*csv.DictReader(file)]
    assert [*lines[0]] == [*COLUMNS]
    assert [line["id"] for line in lines] == list(table)
    for line in lines:
        row = table[line["id"]]
        assert numbers(line["mesh"]) == row["mesh"]
        assert float(line["kdist"]) == row["kdist"]
        assert int(line["n_kpoints"]) == row["n_kpoints"]
        assert int(line["n_kpoints_irreducible"]) == row["n_kpoints_irreducible"]
        assert line["flags"].split() == row["flags"]
        assert line["model_digest"] == row["model_digest"]
        assert numbers(line["lattice"]) == crystals[line["id"]].lattice.ravel().tolist()
        assert line["primitive_lattice"] == line["primitive_transform"] == ""
        assert float(line["kspacing_ase"]) == pytest.approx(float(line["kspacing_2pi"]) / 2 / np.pi)


# ---- cells and bounds


@pytest.mark.parametrize("fixture", ["screened", "examples"])
def test_the_primitive_cell_is_the_one_that_the_mesh_means(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(fixture)
    choice = Choice(cell="primitive")
    written(folder, "vasp", tmp_path / "out", choice=choice)
    table, crystals, listed = rows(folder), supplied(folder), index(tmp_path / "out")
    smaller = 0
    for structure_id, about in listed.items():
        row, crystal = table[structure_id], crystals[structure_id]
        found = Poscar.from_file(
            tmp_path / "out" / about["folder"] / "POSCAR", check_for_potcar=False
        ).structure
        kpoints = Kpoints.from_file(tmp_path / "out" / about["folder"] / "KPOINTS")
        assert list(kpoints.kpts[0]) == numbers(about["mesh"]) == row["primitive_mesh"]
        assert len(found) == row["n_sites_primitive"]
        smaller += len(found) < len(crystal)
        # the mesh of the distance in just this cell, by AiiDA's rule
        lengths = np.array(found.lattice.reciprocal_lattice.abc)
        counts = np.maximum(1, np.ceil(np.round(lengths / row["kdist"], 5)))
        assert np.where(crystal.pbc, counts, 1).tolist() == row["primitive_mesh"]
        # the transformation leads from the vectors supplied to these
        transform = np.array(numbers(about["primitive_transform"])).reshape(3, 3)
        lattice = np.array(numbers(about["lattice"])).reshape(3, 3)
        assert np.abs(transform @ lattice - found.lattice.matrix).max() < 1e-10
        assert np.linalg.det(transform) == pytest.approx(len(found) / len(crystal))
        # and the crystal is the one supplied, in the same place and orientation
        repeated = Crystal(crystal.lattice, crystal.frac, crystal.numbers)
        for site in repeated.to_pymatgen():
            near = found.lattice.get_fractional_coords(site.coords) - found.frac_coords
            near -= np.rint(near)
            distances = np.linalg.norm(near @ found.lattice.matrix, axis=1)
            assert found[int(distances.argmin())].specie == site.specie
            assert distances.min() < 0.01
    assert smaller


def test_bounds_have_their_own_meshes_and_counts(screened: Path, tmp_path: Path) -> None:
    table = rows(screened)
    for cell, prefix in (("supplied", ""), ("primitive", "primitive_")):
        for bound in ("lower", "median", "upper"):
            output = tmp_path / f"{cell}-{bound}.csv"
            written(screened, "csv", output, choice=Choice(cell=cell, bound=bound))  # type: ignore[arg-type]
            with output.open(newline="", encoding="utf-8") as file:
                for line in csv.DictReader(file):
                    row = table[line["id"]]
                    assert numbers(line["mesh"]) == row[f"{prefix}mesh_{bound}"]
                    assert float(line["kdist"]) == row[f"kdist_{bound}"]
                    assert (line["bound"], line["cell"]) == (bound, cell)
                    counted = int(line["n_kpoints_irreducible"])
                    assert np.prod(numbers(line["mesh"])) // 2 <= 2 * counted
                    if bound == "lower":
                        assert counted == row[f"{prefix}n_kpoints_irreducible"]


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")  # spglib's, by pymatgen
def test_irreducible_points_of_other_bounds_are_spglib_s(examples: Path, tmp_path: Path) -> None:
    """The table knows those of the recommended mesh alone."""
    other = tmp_path / "run"
    folder = examples.parent / "structures"
    run(RunConfig(inputs=(folder,), output=other, executor="serial", grid="lower"))
    written(other, "vasp", tmp_path / "out", choice=Choice(bound="upper"))
    for structure_id, about in index(tmp_path / "out").items():
        structure = Poscar.from_file(
            tmp_path / "out" / structure_id / "POSCAR", check_for_potcar=False
        ).structure
        if "low_dimensional" in about["flags"]:
            continue
        first, second, third = map(int, about["mesh"].split())
        found = SpacegroupAnalyzer(structure, symprec=0.01).get_ir_reciprocal_mesh((first, second, third))
        assert int(about["n_kpoints_irreducible"]) == len(found)


# ---- which rows


def test_rows_that_failed_are_listed_with_their_codes(screened: Path, tmp_path: Path) -> None:
    summary = written(screened, "vasp", tmp_path / "out")
    assert summary.skipped == {"ATOMS_OVERLAP": 2}
    assert summary.skipped_path == tmp_path / "out" / "skipped.parquet"
    skipped = pq.read_table(summary.skipped_path).to_pylist()
    failed = [row for row in goldilocks_batch.read_results(screened).to_pylist() if row["status"] != "ok"]
    for found, row in zip(skipped, failed, strict=True):
        assert found == {name: row[name] for name in found}


def test_conditions_choose_rows(screened: Path, tmp_path: Path) -> None:
    choice = Choice(where=['status == "ok" and n_kpoints < 2000', "n_sites=4 or id = 'Si'"])
    summary = written(screened, "aiida", tmp_path / "rows.jsonl", choice=choice)
    table = rows(screened)
    wanted = [i for i, row in table.items() if row["n_kpoints"] < 2000 and (row["n_sites"] == 4 or i == "Si")]
    lines = [json.loads(line)["id"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert lines == wanted
    assert 0 < len(wanted) < len(table)
    assert summary.left_out == len(table) - len(wanted)
    assert sum(summary.skipped.values()) == 2


def test_a_run_without_failures_has_no_table_of_them(examples: Path, tmp_path: Path) -> None:
    assert written(examples, "ase", tmp_path / "rows.xyz").skipped_path is None
    assert [path.name for path in tmp_path.iterdir()] == ["rows.xyz"]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (Choice(bound="median"), "has a lower bound only, no median"),
        (Choice(accuracy=3), "run again with --tolerance 3"),
        (Choice(where=["kdst < 1"]), "did you mean"),
        (Choice(where=["nonsense"]), "is no condition"),
    ],
)
def test_what_the_run_does_not_have_is_refused(
    examples: Path, tmp_path: Path, choice: Choice, told: str
) -> None:
    with pytest.raises(GoldilocksError, match=told) as refusal:
        written(examples, "csv", tmp_path / "rows.csv", choice=choice)
    assert refusal.value.code == "CONFIG_INVALID"
    assert not [*tmp_path.iterdir()]


def test_the_accuracy_of_the_run_is_accepted(screened: Path, tmp_path: Path) -> None:
    assert written(screened, "csv", tmp_path / "rows.csv", choice=Choice(accuracy=1.0)).written == len(IDS)


def test_compacted_results_are_in_the_order_of_the_inputs(screened: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(screened, again)
    assert CliRunner().invoke(app, ["compact", str(again)]).exit_code == 0
    written(screened, "csv", tmp_path / "first.csv")
    written(again, "csv", tmp_path / "second.csv")
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()


def test_rows_without_a_result_yet_are_counted(screened: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(screened, again)
    first = next((again / "results").glob("part-0000000000-*"))
    lost = pq.read_metadata(first).num_rows
    first.unlink()
    summary = written(again, "csv", tmp_path / "rows.csv")
    assert 0 < summary.missing == lost
    assert summary.written == len(IDS) - lost


@pytest.mark.parametrize("key", ["config", "inputs"])
def test_a_record_without_inputs_is_refused(screened: Path, tmp_path: Path, key: str) -> None:
    again = tmp_path / "again"
    shutil.copytree(screened, again)
    record = json.loads((again / "run.json").read_text())
    del record[key]
    (again / "run.json").write_text(json.dumps(record))
    with pytest.raises(GoldilocksError, match="structures cannot be read again") as refusal:
        written(again, "csv", tmp_path / "rows.csv")
    assert refusal.value.code == "RESUME_REFUSED"


# ---- inputs that changed


@pytest.fixture
def changeable(tmp_path: Path) -> Path:
    """A run of a folder and a manifest that a test may change."""
    (tmp_path / "in").mkdir()
    for name in ("NaCl.cif", "Si-diamond.cif"):
        shutil.copy(EXAMPLES / name, tmp_path / "in")
    inputs = (tmp_path / "in", manifest(tmp_path / "m.parquet", ["p", "q", "broken 1", "broken 2"]))
    run(RunConfig(inputs=inputs, output=tmp_path / "run", model="baseline", executor="serial"))
    return tmp_path


@pytest.mark.parametrize("kind", ["coordinates", "new file", "removed", "no folder"])
def test_rows_of_a_changed_input_are_refused_and_others_are_written(changeable: Path, kind: str) -> None:
    path = changeable / "in" / "NaCl.cif"
    if kind == "coordinates":  # neither formula, cell nor mesh tell
        text = path.read_text()
        changed = text.replace("0.5", "0.51", 1)
        assert changed != text
        path.write_text(changed)
    elif kind == "new file":
        shutil.copy(path, path.with_name("A.cif"))
    elif kind == "removed":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    summary = written(changeable / "run", "vasp", changeable / "out")
    assert {path.name for path in (changeable / "out").iterdir() if path.is_dir()} == {"p", "q"}
    code = "INPUT_NOT_FOUND" if kind == "no folder" else "INPUT_CHANGED"
    assert summary.skipped == {code: 2, "ATOMS_OVERLAP": 2}
    skipped = pq.read_table(changeable / "out" / "skipped.parquet").to_pylist()
    assert [row["id"] for row in skipped if row["error_code"] == code] == ["NaCl", "Si-diamond"]


def test_an_input_that_changes_meanwhile_leaves_nothing(changeable: Path) -> None:
    class Changing:
        def started(self, rows: int, done: int, dashboard: str | None) -> None:
            """Nothing to do yet."""

        def advanced(self, _report: object) -> None:
            (changeable / "in" / "NaCl.cif").write_text("data_x\n")

    with pytest.raises(GoldilocksError) as refusal:
        export(changeable / "run", Target("vasp", changeable / "out"), Choice(), observer=Changing())
    assert refusal.value.code == "INPUT_CHANGED"
    assert {path.name for path in changeable.iterdir()} == {"in", "m.parquet", "run"}


@pytest.mark.parametrize("gone", [False, True])
def test_ids_that_were_made_distinct_are_the_run_s(tmp_path: Path, gone: bool) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        shutil.copy(EXAMPLES / "NaCl.cif", tmp_path / name)
    inputs = (tmp_path / "first", tmp_path / "second")
    run(RunConfig(inputs=inputs, output=tmp_path / "run", model="baseline", executor="serial"))
    ids = [*rows(tmp_path / "run")]
    assert len({*ids}) == 2
    if gone:  # what is left would be called by its file's name alone
        shutil.rmtree(tmp_path / "second")
    summary = written(tmp_path / "run", "vasp", tmp_path / "out")
    assert [*index(tmp_path / "out")] == ids[: 1 if gone else 2]
    assert summary.skipped == ({"INPUT_NOT_FOUND": 1} if gone else {})


def test_an_output_within_an_input_is_refused(changeable: Path) -> None:
    with pytest.raises(GoldilocksError, match="an input of the run, which would change"):
        written(changeable / "run", "vasp", changeable / "in" / "out")
    assert {path.name for path in (changeable / "in").iterdir()} == {"NaCl.cif", "Si-diamond.cif"}


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_structures_of_archives_are_found_again(changeable: Path, ending: str) -> None:
    archive = changeable / f"crystals{ending}"
    shutil.make_archive(str(changeable / "crystals"), {".zip": "zip"}.get(ending, "gztar"), changeable / "in")
    run(RunConfig(inputs=(archive,), output=changeable / "other", model="baseline", executor="serial"))
    assert written(changeable / "other", "csv", changeable / "rows.csv").written == 2


def test_results_of_another_structure_are_refused(changeable: Path) -> None:
    """The record names an input with as many rows and this digest, but the rows are of others."""
    record = json.loads((changeable / "run" / "run.json").read_text())
    record["inputs"].reverse()
    (changeable / "run" / "run.json").write_text(json.dumps(record))
    summary = written(changeable / "run", "csv", changeable / "rows.csv")
    assert summary.written == 0
    assert summary.skipped["STRUCTURE_CHANGED"] == 4


# ---- places


def members(path: Path) -> dict[str, bytes]:
    """Files of an archive or a folder."""
    if path.is_dir():
        return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as tarred:
        found = {}
        for member in tarred:
            data = tarred.extractfile(member)
            assert data is not None
            found[member.name] = data.read()
        return found


@pytest.mark.parametrize("ending", [".zip", ".tar.gz", ".tgz"])
def test_archives_hold_what_folders_hold(screened: Path, tmp_path: Path, ending: str) -> None:
    written(screened, "vasp", tmp_path / "folder")
    written(screened, "vasp", tmp_path / f"inputs{ending}")
    found, expected = members(tmp_path / f"inputs{ending}"), members(tmp_path / "folder")
    assert expected.pop("export.json")
    assert (tmp_path / "inputs.skipped.parquet").read_bytes() == expected.pop("skipped.parquet")
    assert found == expected


@pytest.mark.parametrize(
    ("form", "name"), [("vasp", "inputs.zip"), ("qe", "inputs.tar.gz"), ("ase", "rows.xyz")]
)
def test_shards_hold_all_rows_once_in_order(screened: Path, tmp_path: Path, form: str, name: str) -> None:
    written(screened, form, tmp_path / name)
    (tmp_path / "shards").mkdir()
    written(screened, form, tmp_path / "shards" / name, shards=3)
    stem, _, ending = name.partition(".")
    paths = [tmp_path / "shards" / f"{stem}-{shard}-of-3.{ending}" for shard in (1, 2, 3)]
    left = {path for path in (tmp_path / "shards").iterdir() if "skipped" not in path.name}
    assert left == {*paths}
    if form == "ase":
        assert b"".join(path.read_bytes() for path in paths) == (tmp_path / name).read_bytes()
        return
    whole = members(tmp_path / name)
    head, *lines = whole.pop("kpoints.csv").splitlines(keepends=True)
    parts = [members(path) for path in paths]
    indices = [part.pop("kpoints.csv").splitlines(keepends=True) for part in parts]
    assert all(index[0] == head and len(index) > 1 for index in indices)
    assert [line for index in indices for line in index[1:]] == lines
    assert sum(map(len, parts)) == len(whole)
    assert {name: data for part in parts for name, data in part.items()} == whole


def test_shards_of_a_folder_are_folders(screened: Path, tmp_path: Path) -> None:
    written(screened, "vasp", tmp_path / "out", shards=3)
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"1", "2", "3"}
    for about in index(tmp_path / "out").values():
        assert (tmp_path / "out" / about["folder"] / "POSCAR").is_file()


def test_ids_that_are_no_file_names_stay_inside(screened: Path, tmp_path: Path) -> None:
    summary = written(screened, "vasp", tmp_path / "deep" / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}
    folders = [path for path in (tmp_path / "deep" / "out").iterdir() if path.is_dir()]
    assert len(folders) == len({path.name.lower() for path in folders}) == len(IDS)
    changed = [i for i, about in index(tmp_path / "deep" / "out").items() if about["folder"] != i]
    assert {*IDS} - {*changed} == {"plain", "=1+1"}
    assert summary.renamed == len(changed)
    for folder in folders:
        assert (folder / "POSCAR").read_text().isascii()
        assert Poscar.from_file(folder / "POSCAR", check_for_potcar=False)


def test_an_export_is_replaced_only_when_told_and_only_if_it_is_one(screened: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.csv").write_text("mine")
    for name, form in (("mine", "vasp"), ("rows.csv", "csv")):
        with pytest.raises(GoldilocksError) as refusal:
            written(screened, form, tmp_path / name)
        assert refusal.value.code == "OUTPUT_EXISTS"
    with pytest.raises(GoldilocksError, match="not written by an export"):
        written(screened, "vasp", tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"
    written(screened, "vasp", tmp_path / "empty")
    written(screened, "qe", tmp_path / "empty", overwrite=True)
    assert not [*(tmp_path / "empty").glob("*/POSCAR")]
    written(screened, "csv", tmp_path / "rows.csv", overwrite=True)
    assert len((tmp_path / "rows.csv").read_text().splitlines()) > len(IDS)


def test_an_interrupted_export_leaves_nothing(screened: Path, tmp_path: Path) -> None:
    class Interrupting:
        def started(self, rows: int, done: int, dashboard: str | None) -> None:
            """Nothing to do yet."""

        def advanced(self, _report: object) -> None:
            raise KeyboardInterrupt

    for name, form in (("out", "vasp"), ("out.zip", "vasp"), ("rows.jsonl", "aiida")):
        with pytest.raises(KeyboardInterrupt):
            export(screened, Target(form, tmp_path / name), Choice(), observer=Interrupting())  # type: ignore[arg-type]
        assert not [*tmp_path.iterdir()]


def test_what_a_killed_export_left_is_removed_later(screened: Path, tmp_path: Path) -> None:
    old, new = tmp_path / ".out.7-abc.tmp", tmp_path / ".out.8-abc.tmp"
    for folder in (old, new):
        (folder / "Si").mkdir(parents=True)
        (folder / "Si" / "POSCAR").write_text("Si")
    for path in (old, old / "Si"):
        os.utime(path, (0, 0))
    os.utime(new, (0, 0))  # one file of it is being written
    written(screened, "vasp", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", new.name}


def test_a_place_that_cannot_be_written_is_told(screened: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GoldilocksError) as refusal:
        written(screened, "vasp", tmp_path / "file" / "out")
    assert refusal.value.code == "WRITE_FAILED"


@pytest.mark.parametrize(
    ("form", "name", "options", "told"),
    [
        ("csv", "x.csv", {"gamma": True}, "gamma: no effect on the format csv"),
        ("vasp", "x", {"template": Path("t")}, "template: no effect"),
        ("qe", "x", {"kspacing": True}, "kspacing: no effect"),
        ("aiida", "x.zip", {}, r"name it x\.jsonl"),
        ("ase", "x.tar.gz", {}, r"name it x\.xyz"),
        ("vaps", "x", {}, "did you mean 'vasp'"),
        ("csv", "x.csv", {"shards": 0}, "shards is 0"),
        ("qe", "x", {"template": Path("/nowhere/scf.in")}, "cannot be read"),
    ],
)
def test_options_without_effect_are_refused(
    screened: Path, tmp_path: Path, form: str, name: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(GoldilocksError, match=told):
        written(screened, form, tmp_path / name, **options)
    assert not [*tmp_path.iterdir()]


# ---- the command


@pytest.fixture
def command() -> Callable[..., Any]:
    return lambda *arguments: CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "200"}
    )


def test_the_command_says_what_it_did(screened: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    done = command("export", screened, "--to", "vasp", "-o", tmp_path / "out", "--where", "n_sites=4", "-q")
    assert done.exit_code == 1
    fours = sum(row["n_sites"] == 4 for row in rows(screened).values())
    assert f"vasp: {fours} rows in {tmp_path / 'out'}" in done.output
    assert f"not asked for: {len(IDS) - fours} rows" in done.output
    assert "ids are no file names; kpoints.csv there tells whose folder is whose" in done.output
    assert f"skipped: 2 rows, listed in {tmp_path / 'out' / 'skipped.parquet'}" in done.output
    assert "ATOMS_OVERLAP" in done.output


def test_the_command_ends_well_where_all_is_well(
    examples: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    done = command("export", examples, "--to", "csv", "-o", tmp_path / "x.csv", "--cell", "primitive")
    assert done.exit_code == 0, done.output
    done = command("export", examples, "--to", "csv", "-o", tmp_path / "x.csv")
    assert done.exit_code == 2
    assert "OUTPUT_EXISTS" in done.output
    assert command("export", tmp_path, "--to", "csv", "-o", tmp_path / "y.csv").exit_code == 2
