"""A study calculates each rung once, in order, and stops where the tail rule says; a limit is no label."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.convergence.folder import Known, StudyFolder
from goldilocks_batch.convergence.study import Budget, CalculationFailed, Point, Rule, Study, carry_on
from goldilocks_batch.convergence.table import Head, row_of, table_of
from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.kpoints.ladder import ladder
from goldilocks_batch.structures.crystal import Crystal
from tests.unit.convergence.test_tail import by_definition

CRYSTAL = Crystal(np.diag([3.0, 4.0, 9.0]), np.zeros((1, 3)), np.array([13]))
RUNGS = ladder(CRYSTAL.lattice, floor=0.1)
RULE = Rule()
HEAD = Head("Al", "Al.cif", "tight", "0" * 16)


def known(start: int) -> Known:
    return Known(CRYSTAL, start, "d" * 64, "1.0", ())


def study(
    energies: list[float], start: int = 1, done: int = 0, budget: Budget | None = None
) -> tuple[Study, list[int]]:
    """A study of a code that gives these energies and then fails; the rungs that it was asked for."""
    asked: list[int] = []

    def calculate(rung: int, mesh: tuple[int, int, int], _seconds: float) -> Point:
        asked.append(rung)
        assert tuple(RUNGS.meshes[rung - 1]) == mesh
        if rung - start >= len(energies):
            raise CalculationFailed(ErrorCode.CODE_FAILED, "no more", "its last words")
        return Point(rung, mesh, energies[rung - start], math.prod(mesh), 1.0)

    before = [calculate(start + i, _mesh(start + i), 0) for i in range(done)]
    asked.clear()
    found = carry_on(RUNGS, start, RULE, budget or Budget(), calculate, math.prod, before)
    return found, asked


def _mesh(rung: int) -> tuple[int, int, int]:
    first, second, third = (int(n) for n in RUNGS.meshes[rung - 1])
    return first, second, third


energies = st.lists(st.integers(-12, 12).map(lambda n: n * 0.0005), min_size=1, max_size=10)


@given(energies, st.integers(1, 4), st.data())
def test_rungs_are_asked_for_once_in_order_until_the_tail_agrees(
    values: list[float], start: int, data: st.DataObject
) -> None:
    done = data.draw(st.integers(0, len(values)))
    converged_after = next(
        (n for n in range(1, len(values) + 1) if by_definition(values[:n], 1.0, 3) is not None), None
    )
    if converged_after is not None:
        done = min(done, converged_after)
    found, asked = study(values, start, done)
    last = len(values) if converged_after is None else converged_after
    assert [point.rung for point in found.points] == list(range(start, start + last))
    assert asked == list(range(start + done, start + last + (converged_after is None)))
    assert found.converged == (converged_after is not None)
    row = row_of(HEAD, known(start), RUNGS, found, RULE)
    for tolerance in RULE.tolerances:
        at = f"{tolerance:g}mev"
        place = by_definition(values[:last], tolerance, 3) if found.converged else None
        if place is None:
            assert f"k_dist_{at}" not in row
            continue
        rung = start + place
        assert row[f"rung_{at}"] == rung
        assert row[f"first_{at}"] == (place == 0)
        assert row[f"capped_{at}"] == (rung == 1)
        assert row[f"mesh_{at}"] == list(_mesh(rung))
        assert RUNGS.rung_of(row[f"k_dist_{at}"]) == rung
        assert row[f"k_low_{at}"] <= row[f"k_dist_{at}"]


@given(energies, st.integers(1, 4))
def test_a_study_that_stops_early_gives_limits_and_no_label(values: list[float], start: int) -> None:
    found, _ = study(values, start)
    if found.converged:
        return
    row = row_of(HEAD, known(start), RUNGS, found, RULE)
    assert row["status"] in ("limit", "failed")
    assert row["error_code"] == "CODE_FAILED"
    assert row["output"] == "its last words"
    assert not any(name.startswith("k_dist_") and "at_most" not in name for name in row)
    for tolerance in RULE.tolerances:
        limit = row[f"k_dist_at_most_{tolerance:g}mev"]
        settled = [*values, values[-1], values[-1], values[-1]]
        best = by_definition(settled, tolerance, 3)
        assert best is not None
        assert (limit is None) == (best == 0)
        if limit is not None:  # the coarsest label there can still be lies just below it
            assert RUNGS.rung_of(limit) == start + best


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(seconds=3.0), "3 s spent, 3 s allowed"),
        (Budget(kpoints=5), "irreducible k-points, over 5"),
        (Budget(divisions=2), "over 2 divisions"),
    ],
)
def test_budgets_stop_a_study(budget: Budget, said: str) -> None:
    found, asked = study([0.1 * i for i in range(20)], budget=budget)
    assert not found.converged
    assert found.failure is not None
    assert found.failure.code == ErrorCode.BUDGET
    assert said in found.failure.message
    assert len(asked) == len(found.points)
    assert all(max(p.mesh) <= budget.divisions and p.kpoints <= budget.kpoints for p in found.points)


@pytest.mark.parametrize("seconds", [3.0, 4.0, 5.0, 30.0])
def test_a_mesh_for_which_the_time_that_is_left_is_too_short_is_not_begun(seconds: float) -> None:
    """Ten times as many k-points as the mesh before, or a few more."""
    meshes: list[int] = []

    def count(mesh: tuple[int, int, int]) -> int:
        return {1: 10, 2: 10, 3: 100}.get(len(meshes) + 1, 101) if mesh == _mesh(len(meshes) + 1) else 0

    def calculate(rung: int, mesh: tuple[int, int, int], left: float) -> Point:
        taken = count(mesh) / 10
        assert left == pytest.approx(seconds - sum(0.1 * n for n in meshes))
        meshes.append(count(mesh))
        return Point(rung, mesh, float(rung), meshes[-1], taken)

    found = carry_on(RUNGS, 1, RULE, Budget(seconds=seconds), calculate, count)
    # the third mesh takes ten seconds: where less than four are left, it is not begun
    assert len(found.points) == {3.0: 2, 4.0: 2, 5.0: 2, 30.0: 5}[seconds]
    assert found.failure is not None
    assert found.failure.code == ErrorCode.BUDGET
    left = f"{seconds - 2:.0f} of {seconds:g} s are left"
    said = f"takes about 10 s by its k-points; {left}" if seconds < 30 else "32 s spent, 30 s allowed"
    assert said in found.failure.message


def test_a_ladder_has_an_end() -> None:
    found, _ = study([float(i % 2) for i in range(200)])
    assert found.failure is not None
    assert found.failure.code == ErrorCode.BUDGET
    assert len(found.points) == len(RUNGS)


def test_an_axis_that_no_mesh_of_the_tail_divides_differently_is_told() -> None:
    row = row_of(HEAD, known(1), RUNGS, study([0.0] * 3)[0], RULE)
    meshes = RUNGS.meshes[:3]
    assert (meshes == meshes[0]).all(axis=0).any()  # the long axis: Γ alone all the way
    assert row["flags"] == ["axis_untested"]


def test_a_mesh_of_two_fermi_energies_is_told() -> None:
    found, _ = study([0.0] * 3)
    points = (replace(found.points[0], several_fermi_energies=True), *found.points[1:])
    row = row_of(HEAD, known(1), RUNGS, replace(found, points=points), RULE)
    assert row["flags"] == ["two_fermi_energies", "axis_untested"]
    limit = row_of(HEAD, known(1), RUNGS, replace(found, points=points[:1], converged=False), RULE)
    assert limit["flags"] == ["two_fermi_energies"]


@pytest.mark.parametrize("several", [False, True])
def test_how_many_fermi_energies_a_mesh_has_is_kept_with_it(tmp_path: Path, several: bool) -> None:
    folder = StudyFolder(tmp_path, "Al")
    folder.path.mkdir()
    point = Point(1, (1, 1, 1), -1.0, 1, 2.0, several)
    folder.add(point, "digest")
    assert folder.finished("digest", 1) == [point]


def test_rows_make_a_table_that_counts_from_the_first_row() -> None:
    rows = [row_of(HEAD, known(1), RUNGS, study([0.0] * 3)[0], RULE)] * 2
    table = table_of(rows, RULE.tolerances, 7)
    assert table["row"].to_pylist() == [7, 8]
    assert table["status"].to_pylist() == ["label", "label"]


def test_the_time_that_is_left_is_told_to_the_code() -> None:
    left: list[float] = []

    def calculate(rung: int, mesh: tuple[int, int, int], seconds: float) -> Point:
        left.append(seconds)
        return Point(rung, mesh, float(rung), 1, 2.0)

    carry_on(RUNGS, 1, RULE, Budget(seconds=7.0), calculate, lambda _mesh: 1)
    assert left == [7.0, 5.0, 3.0, 1.0]
