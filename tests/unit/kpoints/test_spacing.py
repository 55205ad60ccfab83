"""A spacing written in place of a mesh gives that mesh by the rules of VASP, AiiDA and ASE.

The rules are written anew here, from their definitions:

- VASP: https://vasp.at/wiki/KSPACING, ``N_i = max(1, ceiling(|b_i| 2π / KSPACING))``, ``b_i · a_j = δ_ij``,
- AiiDA: ``KpointsData.set_kpoints_mesh_from_density`` of aiida-core 2.9, ``create_kpoints_from_distance`` of
  aiida-quantumespresso 5.1 (and 4.x), which makes meshes of cells with equally long vectors isotropic,
- ASE 3.29: ``ase.io.espresso.kspacing_to_grid``, compared with ASE itself, and ``kptdensity2monkhorstpack``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import kptdensity2monkhorstpack
from ase.io.espresso import kspacing_to_grid
from hypothesis import assume, event, example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.kpoints.mesh import mesh
from goldilocks_batch.kpoints.spacing import aiida_keeps, spacing_interval, spacing_within

PERIODIC = (True, True, True)


def reciprocal(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows b_i with b_i · a_j = δ_ij, from vector products."""
    a, b, c = cell
    vectors = np.array([np.cross(b, c), np.cross(c, a), np.cross(a, b)])
    found: NDArray[np.float64] = vectors / np.dot(a, np.cross(b, c))
    return found


def vasp(cell: NDArray[np.float64], kspacing: float) -> list[int]:
    lengths = [math.sqrt(float(b @ b)) for b in reciprocal(cell)]
    return [max(1, math.ceil(length * 2 * math.pi / kspacing)) for length in lengths]


def aiida(cell: NDArray[np.float64], distance: float, pbc: tuple[bool, ...]) -> list[int]:
    lengths = np.linalg.norm(2 * np.pi * reciprocal(cell), axis=1)
    counts = [
        max(int(np.ceil(round(length / distance, 5))), 1) if periodic else 1
        for length, periodic in zip(lengths, pbc, strict=True)
    ]
    vectors = [np.linalg.norm(vector) for vector in cell]
    equal = all(abs(length - vectors[0]) < 1e-5 for length in vectors)
    if equal and len(set(counts)) > 1:
        counts = [max(counts) if periodic else 1 for periodic in pbc]
    return counts


def ase(cell: NDArray[np.float64], spacing: float, pbc: tuple[bool, ...]) -> list[int]:
    lengths = np.linalg.norm(reciprocal(cell), axis=1)
    return [
        int(length / spacing) + 1 if periodic else 1 for length, periodic in zip(lengths, pbc, strict=True)
    ]


lengths = st.floats(2.0, 60.0)
kdists = st.floats(0.02, 1.5)


@st.composite
def skewed(draw: Any) -> NDArray[np.float64]:
    """Any cell that is not flat, right- or left-handed."""
    cell = np.array(draw(st.lists(st.floats(-12.0, 12.0), min_size=9, max_size=9))).reshape(3, 3)
    sides = np.linalg.norm(cell, axis=1)
    assume(sides.min() > 1.5)
    assume(abs(np.linalg.det(cell / sides[:, None])) > 0.05)
    return cell


@st.composite
def hexagonal(draw: Any) -> NDArray[np.float64]:
    a, c = draw(lengths), draw(lengths)
    return np.array([[a, 0, 0], [-a / 2, a * math.sqrt(3) / 2, 0], [0, 0, c]])


@st.composite
def rhombohedral(draw: Any) -> NDArray[np.float64]:
    """Three vectors of one length, at one angle or, body-centred, at several."""
    a, b, c = draw(lengths), draw(lengths), draw(lengths)
    if draw(st.booleans()):
        return np.array([[-a, b, c], [a, -b, c], [a, b, -c]]) / 2
    return np.array([[0, a, a], [a, 0, a], [a, a, 0]]) / 2


orthogonal = st.tuples(lengths, lengths, lengths).map(lambda sides: np.diag(sides))
cells = st.one_of(skewed(), hexagonal(), rhombohedral(), orthogonal)


def meshes(cell: NDArray[np.float64], kdist: float, pbc: tuple[bool, ...], *, equal: bool) -> list[int]:
    found = mesh(np.array([kdist]), cell[None], np.array([pbc]), equal_axes=equal)
    counts: list[int] = found[0].tolist()
    return counts


@given(cells, kdists, st.booleans())
@example(np.diag([4.0, 4.0, 4.0]), 2 * math.pi / 4.0 / 5, False)  # on the very edge
@example(np.array([[0, 2.025, 2.025], [2.025, 0, 2.025], [2.025, 2.025, 0]]), 0.15, False)
def test_all_roundings_give_the_mesh(cell: NDArray[np.float64], kdist: float, equal: bool) -> None:
    counts = meshes(cell, kdist, PERIODIC, equal=equal)
    spacing = spacing_within(counts, cell, kdist)
    if spacing is None:
        event("no spacing")
        lower, upper = spacing_interval(counts, cell)
        # the interval is empty, or narrower than what rounding decides
        assert upper - lower < 2e-4 * lower * max(counts)
        return
    assert vasp(cell, spacing) == counts
    assert ase(cell, spacing / (2 * math.pi), PERIODIC) == counts
    atoms = Atoms(cell=cell, pbc=True)
    assert kspacing_to_grid(atoms, spacing / (2 * math.pi)) == counts
    assert kptdensity2monkhorstpack(atoms, 1 / spacing, even=False).tolist() == counts
    if aiida_keeps(counts, cell):
        assert aiida(cell, spacing, PERIODIC) == counts
    else:
        event("AiiDA makes it isotropic")
        assert aiida(cell, spacing, PERIODIC) != counts
    # a cell printed with ten digits, and a spacing with ten
    printed, digits = np.round(cell, 10), float(f"{spacing:.10f}")
    assert vasp(printed, digits) == ase(printed, digits / (2 * math.pi), PERIODIC) == counts


@given(cells, kdists, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_axes_that_are_not_periodic_are_left_out(
    cell: NDArray[np.float64], kdist: float, pbc: tuple[bool, bool, bool]
) -> None:
    assume(any(pbc))
    counts = meshes(cell, kdist, pbc, equal=False)
    spacing = spacing_within(counts, cell, kdist, pbc)
    if spacing is None:
        return
    assert ase(cell, spacing / (2 * math.pi), pbc) == counts
    if aiida_keeps(counts, cell, pbc):
        assert aiida(cell, spacing, pbc) == counts
    everywhere = spacing_within(counts, cell, kdist)
    if everywhere is not None:
        assert vasp(cell, everywhere) == counts


@given(cells, kdists)
def test_the_distance_itself_where_it_lies_inside(cell: NDArray[np.float64], kdist: float) -> None:
    counts = meshes(cell, kdist, PERIODIC, equal=False)
    lower, upper = spacing_interval(counts, cell)
    assert lower <= kdist * (1 + 1e-5)  # by the rounding to five decimals
    spacing = spacing_within(counts, cell, kdist)
    if spacing is not None:
        assert lower < spacing < upper
        width = (lower if math.isinf(upper) else upper - lower) * 0.11
        if lower + width < kdist < upper - width:
            assert spacing == pytest.approx(kdist, rel=1e-3)


@pytest.mark.parametrize("counts", [(5, 5, 4), (2, 3, 3), (1, 2, 1)])
def test_no_spacing_gives_unequal_counts_along_equal_axes(counts: tuple[int, int, int]) -> None:
    assert spacing_within(counts, 4.0 * np.eye(3), 0.3) is None


def test_a_mesh_of_one_point_has_no_upper_end() -> None:
    cell = 20.0 * np.eye(3)
    assert list(spacing_interval((1, 1, 1), cell)) == pytest.approx([math.pi / 10, math.inf])
    assert spacing_within((1, 1, 1), cell, 0.9) == 0.9
    assert spacing_within((1, 1, 1), cell, math.pi / 10) == pytest.approx(1.1 * math.pi / 10, rel=1e-3)


def test_aiida_makes_meshes_of_equal_vectors_isotropic() -> None:
    """The primitive cell of a body-centred tetragonal crystal."""
    cell = np.array([[-2.0, 2.0, 5.0], [2.0, -2.0, 5.0], [2.0, 2.0, -5.0]])
    flat = np.array([[-4.0, 2.0, 5.0], [4.0, -2.0, 5.0], [4.0, 2.0, -5.0]])
    assert np.ptp(np.linalg.norm(flat, axis=1)) == 0
    counts = meshes(flat, 0.2, PERIODIC, equal=False)
    assert len(set(counts)) > 1
    assert not aiida_keeps(counts, flat)
    assert aiida_keeps((max(counts),) * 3, flat)
    assert aiida_keeps(counts, flat * np.array([[1.0], [1.0], [1.1]]))
    assert not aiida_keeps((5, 5, 4), cell)
    assert aiida_keeps((5, 5, 1), cell, (True, True, False))
