"""Inputs of pw.x, run to the end by Debian's Quantum ESPRESSO with the development data's atoms."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from ase.io import write as write_structure
from pymatgen.core.structure import Structure

import goldilocks_batch
from goldilocks_batch import RunConfig, run
from goldilocks_batch.exports.export import Target, export
from goldilocks_batch.exports.rows import Choice

pytestmark = [pytest.mark.qe, pytest.mark.shared, pytest.mark.slow]

#: Bohr, in Å (CODATA 2018).
BOHR = 0.529177210903


@pytest.fixture(scope="module")
def pw() -> str:
    # where the suite was asked for by name, a test that cannot run has failed
    give_up = pytest.fail if os.environ.get("GOLDILOCKS_NEED_QE") else pytest.skip
    found = shutil.which("pw.x")
    if found is None:
        give_up("Quantum ESPRESSO is not installed here: make test-qe")
    return str(found)


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cubic silicon, an insulator, and aluminium of a centred tetragonal cell, a metal."""
    folder = tmp_path_factory.mktemp("screened")
    (folder / "in").mkdir()
    write_structure(folder / "in" / "Si.vasp", bulk("Si", cubic=True))
    tetragonal = bulk("Al", cubic=True)
    tetragonal.set_cell([4.05, 4.05, 4.4], scale_atoms=True)
    write_structure(folder / "in" / "Al.vasp", tetragonal)
    run(RunConfig(inputs=(folder / "in",), output=folder / "run", model="baseline", executor="serial"))
    return folder / "run"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    path = tmp_path_factory.mktemp("template") / "scf.in"
    path.write_text(
        f"&control\n calculation = 'scf', pseudo_dir = '{shared / 'pseudo'}', outdir = './out'\n/\n"
        "&system\n ecutwfc = 12, occupations = 'smearing', smearing = 'cold', degauss = 0.02\n/\n"
        "&electrons\n conv_thr = 1d-5\n/\nATOMIC_SPECIES\nSi 28.085 Si.upf\nAl 26.982 Al.upf\n"
    )
    return path


def answer(pw: str, folder: Path) -> tuple[int, str]:
    """What pw.x says to the input of a folder."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [pw, "-in", "pw.in"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in goldilocks_batch.read_results(folder).to_pylist()}


@pytest.mark.parametrize("structure", ["Si", "Al"])
def test_pw_runs_to_the_end_on_the_mesh_of_the_row(
    pw: str, screened: Path, template: Path, tmp_path: Path, structure: str
) -> None:
    choice = Choice(cell="primitive", where=[f"id={structure}"])
    export(screened, Target("qe", tmp_path / "inputs", template=template), choice)
    code, said = answer(pw, tmp_path / "inputs" / structure)
    assert code == 0, said[-2000:]
    assert "JOB DONE" in said
    row = rows(screened)[structure]
    (points,) = re.findall(r"number of k points=\s*(\d+)", said)
    assert int(points) == row["primitive_n_kpoints_irreducible"]
    (sites,) = re.findall(r"number of atoms/cell\s*=\s*(\d+)", said)
    assert int(sites) == row["n_sites_primitive"]
    (volume,) = re.findall(r"unit-cell volume\s*=\s*([\d.]+)", said)
    supplied = Structure.from_file(screened.parent / "in" / f"{structure}.vasp")
    whole = supplied.volume * row["n_sites_primitive"] / row["n_sites"]
    assert float(volume) * BOHR**3 == pytest.approx(whole, rel=1e-4)


def test_pw_stops_at_each_marked_place(pw: str, screened: Path, template: Path, tmp_path: Path) -> None:
    export(screened, Target("qe", tmp_path / "marked"), Choice(where=["id=Si"]))
    text = (tmp_path / "marked" / "Si" / "pw.in").read_text()
    filled = {
        "@ECUTWFC@": "12",
        "@OCCUPATIONS@": "'fixed'",
        "@PSEUDO_DIR@": re.findall(r"pseudo_dir = ('.*?')", template.read_text())[0],
        "@PSEUDOPOTENTIAL_Si@": "Si.upf",
    }
    for left in filled:
        changed = text
        for mark, value in filled.items():
            if mark != left:
                assert mark in changed
                changed = changed.replace(f"'{mark}'", value).replace(mark, value)
        folder = tmp_path / left.strip("@")
        folder.mkdir()
        (folder / "pw.in").write_text(changed)
        code, said = answer(pw, folder)
        assert code != 0, left
        assert "JOB DONE" not in said
        assert "End of self-consistent calculation" not in said
