"""The meshes that AiiDA-QuantumESPRESSO itself makes of exported rows, in an environment of its own.

AiiDA's dependencies do not go together with ours, so that it has a Python of its own: ``make test-aiida``
makes one and names it in ``GOLDILOCKS_AIIDA_PYTHON``.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import write as write_structure

from goldilocks_batch import RunConfig, run
from goldilocks_batch.exports.export import Target, export
from goldilocks_batch.exports.rows import Choice

pytestmark = [pytest.mark.aiida, pytest.mark.slow]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """AiiDA's answers for cells of many shapes, two of them with vectors of one length."""
    python = os.environ.get("GOLDILOCKS_AIIDA_PYTHON")
    if python is None:
        pytest.skip("GOLDILOCKS_AIIDA_PYTHON names no Python with aiida-quantumespresso: make test-aiida")
    folder = tmp_path_factory.mktemp("aiida")
    (folder / "in").mkdir()
    random = np.random.default_rng(3)
    cells = [np.diag(random.uniform(2, 9, 3)) + random.uniform(-1.5, 1.5, (3, 3)) for _ in range(40)]
    cells += [a * np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, 1.6]]) for a in (2.7, 3.2, 5.1)]
    cells += [np.array([[-a, 2, 5], [a, -2, 5], [a, 2, -5]]) for a in (2.0, 4.0)]
    cells += [4.05 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])]
    for place, cell in enumerate(cells):
        for pbc in ((True, True, True), (True, True, False)):
            atoms = Atoms("Cu", cell=cell, pbc=pbc)
            write_structure(folder / "in" / f"{place}-{sum(pbc)}.xyz", atoms, format="extxyz")
    run(RunConfig(inputs=(folder / "in",), output=folder / "run", model="baseline", executor="serial"))
    summary = export(folder / "run", Target("aiida", folder / "rows.jsonl"), Choice())
    assert summary.written == 2 * len(cells)
    rule = Path(__file__).with_name("rule.py")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["AIIDA_PATH"] = str(folder)
    done = subprocess.run(
        [python, str(rule), str(folder / "rows.jsonl")],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_aiida_makes_the_meshes_of_the_rows(answers: list[dict[str, Any]]) -> None:
    made = [answer for answer in answers if answer["made"] is not None]
    assert len(made) > 80
    assert [answer["made"] for answer in made] == [answer["mesh"] for answer in made]


def test_no_distance_is_given_where_aiida_would_make_another_mesh(answers: list[dict[str, Any]]) -> None:
    without = {answer["id"] for answer in answers if answer["made"] is None}
    assert "44-3" in without  # vectors of one length, at angles that are not


def test_protocols_take_the_overrides(answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        if answer["made"] is None:
            continue
        inputs = answer["inputs"]
        distances = {
            inputs["PwBaseWorkChain"]["kpoints_distance"],
            inputs["PwRelaxWorkChain"]["base_relax"]["kpoints_distance"],
            inputs["PwBandsWorkChain"]["scf"]["kpoints_distance"],
        }
        assert len(distances) == 1
        assert distances != {0.15}  # the protocol's own
