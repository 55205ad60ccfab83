"""The README's way from a database to input files, as it stands, on loopback."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ase.io import read
from pymatgen.io.vasp.inputs import Kpoints

from goldilocks_batch.results.folder import read_results
from tests.optimade_server import entry, serving

pytest.importorskip("optimade", reason="the extra databases is not installed")

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = """\
&CONTROL
  calculation = 'scf'
  pseudo_dir = './'
/
&SYSTEM
  ecutwfc = 40
/
&ELECTRONS
/
ATOMIC_SPECIES
Si 28.085 Si.upf
O 15.999 O.upf
"""


def commands() -> list[list[str]]:
    """The commands of the section, as words."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## From a database to input files, in four commands")[1].split("\n## ")[0]
    lines = re.findall(r"^\$ (.+)$", section, re.M)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.slow
def test_four_commands_from_a_database_to_inputs(tmp_path: Path) -> None:
    asked = commands()
    assert [words[1] for words in asked] == ["fetch", "run", "export", "export"]
    (tmp_path / "scf.in").write_text(TEMPLATE, encoding="utf-8")
    entries = [entry(f"e/{i}", ("Si", "O"), 4.0 + 0.1 * i) for i in range(3)]
    entries.append(entry("without-oxygen", ("Na", "Cl")))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def done(words: list[str]) -> None:
        assert words[0] == "goldilocks-batch"
        line = [sys.executable, "-m", "goldilocks_batch", *words[1:]]
        found = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert found.returncode == 0, f"{words}\n{found.stdout}\n{found.stderr}"

    with serving(entries, tmp_path) as url:
        fetch = asked[0]
        fetch[fetch.index("mc3d")] = f"mc3d={url}"
        done(fetch)
    for words in asked[1:]:  # nobody serves any more
        done(words)
    assert len(pq.read_table(tmp_path / "silicates.parquet")) == 3
    rows = read_results(tmp_path / "screening").to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 3
    page = (tmp_path / "screening" / "report.html").read_text(encoding="utf-8")
    assert "mc3d/e/0" in page
    inputs = sorted((tmp_path / "vasp").rglob("KPOINTS"))
    assert len(inputs) == 3
    meshes = {tuple(row["mesh"]) for row in rows}
    assert {tuple(Kpoints.from_file(path).kpts[0]) for path in inputs} == meshes
    for path in sorted((tmp_path / "qe").rglob("pw.in")):
        assert read(path, format="espresso-in").get_chemical_formula() == "OSi"
        told = re.search(r"K_POINTS automatic\n *(\d+) +(\d+) +(\d+) +0 +0 +0", path.read_text())
        assert told is not None
        assert tuple(map(int, told.groups())) in meshes
