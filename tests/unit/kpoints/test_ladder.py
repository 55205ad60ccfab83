"""Ladders: every distinct mesh of a cell, once, with the k-distances that give it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.kpoints.ladder import FLOOR, ladder
from goldilocks_batch.kpoints.mesh import mesh

LENGTH = st.floats(1.5, 40.0)
ALL = np.ones((1, 3), dtype=bool)


@st.composite
def cells(draw: st.DrawFn) -> np.ndarray:
    a, b, c = draw(LENGTH), draw(LENGTH), draw(LENGTH)
    skew = [draw(st.floats(-0.6, 0.6)) for _ in range(3)]
    return np.array([[a, 0, 0], [skew[0] * b, b, 0], [skew[1] * c, skew[2] * c, c]])


def test_cubic_cell() -> None:
    found = ladder(np.eye(3) * 2 * np.pi)  # |b| = 1
    assert found.meshes[:4].tolist() == [[1] * 3, [2] * 3, [3] * 3, [4] * 3]
    assert found.low[:3] == pytest.approx([1.0, 1 / 2, 1 / 3])
    assert found.high[:3] == pytest.approx([np.inf, 1.0, 1 / 2])
    assert len(found) == 33  # 1/33 is the last change point above 0.03


@given(cells(), st.floats(0.031, 3.0))
def test_interval_of_a_rung_gives_its_mesh(lattice: np.ndarray, kdist: float) -> None:
    found = ladder(lattice)
    rung = found.rung_of(kdist)
    low, high = found.low[rung - 1], found.high[rung - 1]
    # away from the ends, where the mesh's own rounding of ratios decides
    if low * (1 + 1e-4) < kdist < high * (1 - 1e-4):
        assert mesh(np.array([kdist]), lattice[None], ALL)[0].tolist() == found.meshes[rung - 1].tolist()


@given(cells())
def test_rungs_are_distinct_and_get_denser(lattice: np.ndarray) -> None:
    found = ladder(lattice)
    assert (np.diff(found.meshes, axis=0) >= 0).all()
    assert (np.diff(found.meshes, axis=0) > 0).any(axis=1).all()
    assert found.meshes[0].tolist() == [1, 1, 1]
    assert np.array_equal(found.low[:-1], found.high[1:])
    assert (np.diff(found.low) < 0).all()
    assert found.low[-1] >= FLOOR - 1e-8


def test_axis_that_is_not_periodic() -> None:
    found = ladder(np.diag([3.0, 4.0, 20.0]), np.array([True, True, False]))
    assert (found.meshes[:, 2] == 1).all()
    assert len(ladder(np.eye(3), np.zeros(3, dtype=bool))) == 1


def test_floor_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        ladder(np.eye(3), floor=0.0)


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")
def test_rungs_of_the_campaign(shared: Path) -> None:
    """Rungs, meshes and k-distances of goldilocks-data's labels."""
    labels = pq.read_table(shared / "data" / "labels_mc3d.parquet").slice(0, 400).to_pylist()
    manifest = pq.read_table(
        shared / "data" / "mc3d_pbe.parquet", filters=[("id", "in", [r["id"] for r in labels])]
    )
    from pymatgen.core.structure import Structure

    lattices = {
        row["id"]: Structure.from_str(row["cif"], fmt="cif").lattice.matrix for row in manifest.to_pylist()
    }
    for label in labels:
        found = ladder(lattices[label["id"]])
        for name in ("1mev", "3mev", "5mev"):
            rung = label[f"rung_{name}"]
            assert found.meshes[rung - 1].tolist() == list(label[f"mesh_{name}"])
            if rung > 1:
                assert found.high[rung - 1] == pytest.approx(label[f"k_dist_{name}"], rel=2e-6)
