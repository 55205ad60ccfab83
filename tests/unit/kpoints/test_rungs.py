"""Rungs and the k-distances they stand for; ladders against goldilocks-core's."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.kpoints.ladder import ladder
from goldilocks_batch.kpoints.mesh import mesh
from goldilocks_batch.kpoints.rungs import published_rungs, whole_rungs
from tests.oracle import ask

PERIODIC = np.ones(3, dtype=bool)
RULE = ((7.0, 0.9), (None, 0.975))


def cell(a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> NDArray[np.float64]:
    from pymatgen.core.lattice import Lattice

    return np.array(Lattice.from_parameters(a, b, c, alpha, beta, gamma).matrix)


lengths, angles = st.floats(2, 12), st.floats(75, 105)
cells = st.builds(cell, lengths, lengths, lengths, angles, angles, angles)
#: Cells with axes of (nearly) equal length, whose change points lie a hair apart.
near = st.builds(
    lambda a, e, f: cell(a, a * (1 + e), a * (1 + f), 90, 90, 120), lengths, *[st.floats(0, 1e-7)] * 2
)


@settings(max_examples=60, deadline=None)
@given(cells | near)
def test_a_ladder_is_complete_and_without_repeats(lattice: NDArray[np.float64]) -> None:
    found = ladder(lattice, PERIODIC)
    assert found.meshes[0].tolist() == [1, 1, 1]
    assert len({tuple(divisions) for divisions in found.meshes.tolist()}) == len(found)
    assert (np.diff(found.meshes, axis=0) >= 0).all()
    assert np.array_equal(found.high[1:], found.low[:-1])  # nothing between two rungs
    # any k-distance down to the last rung gives the mesh of the interval that it lies in
    kdists = np.random.default_rng(0).uniform(found.low[-1], found.low[0] * 1.1, 300)
    rungs = np.searchsorted(-found.low, -kdists) + 1
    apart = np.abs(kdists[:, None] - found.low).min(axis=1) > 1e-4 * kdists
    meshes = mesh(kdists, np.broadcast_to(lattice, (300, 3, 3)), np.ones((300, 3), dtype=bool))
    assert np.array_equal(meshes[apart], found.meshes[rungs - 1][apart])


@settings(max_examples=60, deadline=None)
@given(cells | near)
def test_the_kdist_of_a_rung_gives_its_mesh(lattice: NDArray[np.float64]) -> None:
    found = ladder(lattice, PERIODIC)
    kdists = np.array([found.kdist(rung) for rung in range(1, len(found) + 1)])
    n = len(found)
    assert np.array_equal(
        mesh(kdists, np.broadcast_to(lattice, (n, 3, 3)), np.ones((n, 3), dtype=bool)), found.meshes
    )
    assert (kdists >= found.low).all()
    assert (kdists < found.high).all()


@pytest.mark.parametrize("pbc", list(itertools.product([True, False], repeat=3)))
def test_axes_that_are_not_periodic_have_one_division(pbc: tuple[bool, bool, bool]) -> None:
    found = ladder(cell(3, 4, 5, 80, 90, 100), np.array(pbc))
    assert (found.meshes[:, ~np.array(pbc)] == 1).all()
    assert found.meshes[0].tolist() == [1, 1, 1]
    assert (len(found) > 1) == any(pbc)


def test_a_huge_cell_has_gamma_alone() -> None:
    found = ladder(np.eye(3) * 500.0, PERIODIC)
    assert found.meshes.tolist() == [[1, 1, 1]]
    assert found.kdist(1) == pytest.approx(2 * np.pi / 500, abs=1e-8)


def test_whole_rungs_round_half_up_and_begin_at_one() -> None:
    assert whole_rungs(np.array([0.2, 1.49, 1.5, 2.5, 6.4999, 6.5])).tolist() == [1, 1, 2, 3, 6, 7]


def test_the_band_of_the_median_decides_the_quantile() -> None:
    quantiles = {
        0.5: np.array([2.0, 6.49, 6.5, 20.0], dtype=np.float32),
        0.9: np.array([3.5, 8.0, 9.0, 25.0], dtype=np.float32),
        0.975: np.array([9.0, 12.0, 13.4, 30.5], dtype=np.float32),
    }
    assert published_rungs(quantiles, RULE).tolist() == [4, 8, 13, 31]


CORE = """
import json, sys, types, importlib.util
spec = importlib.util.find_spec("goldilocks_core")
source = spec.submodule_search_locations[0] + "/kmesh.py"
kmesh = types.ModuleType("kmesh"); sys.modules["kmesh"] = kmesh
exec(compile(open(source).read(), source, "exec"), kmesh.__dict__)
kmesh.SpacegroupAnalyzer = lambda s: types.SimpleNamespace(get_ir_reciprocal_mesh=lambda **_: [])
from pymatgen.core import Lattice, Structure
out = []
for matrix in json.loads(sys.argv[1]):
    entries = kmesh.build_gamma_kmesh_entries(Structure(Lattice(matrix), ["H"], [[0, 0, 0]]))
    out.append([[e.kindex, list(e.mesh), *e.k_distance_interval] for e in entries])
print(json.dumps(out))
"""


def test_ladders_are_those_of_goldilocks_core() -> None:
    random = np.random.default_rng(0)
    lattices = [cell(*random.uniform(2, 9, 3), *random.uniform(60, 110, 3)) for _ in range(30)]
    lattices += [cell(4, 4, 4 * (1 + 1e-9), 90, 90, 90), cell(3, 3, 5, 90, 90, 120), np.eye(3) * 4]
    answers = ask(CORE, json.dumps([lattice.tolist() for lattice in lattices]))
    for lattice, answer in zip(lattices, answers, strict=True):
        found = ladder(lattice, PERIODIC)
        assert found.meshes.tolist() == [divisions for _, divisions, _, _ in answer]
        assert found.low == pytest.approx([low for _, _, low, _ in answer], abs=2e-8)
        assert found.high == pytest.approx([high for _, _, _, high in answer], abs=2e-8)
