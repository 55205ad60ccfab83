"""Symmetry search: failures are mapped, nothing is printed, operations are what they claim."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ErrorCode, FeatureError, Stage
from goldilocks_batch.structures._operations import angles_matter, clear_operations
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.symmetry import ANGLE_TOLERANCE, DISTANCES_ONLY, find_symmetry


def crystal(lattice: object, frac: object, numbers: object) -> Crystal:
    return Crystal(
        np.array(lattice, dtype=float), np.array(frac, dtype=float), np.array(numbers, dtype=np.int64)
    )


@pytest.mark.parametrize(
    ("lattice", "frac", "numbers"),
    [
        pytest.param(np.eye(3) * 4, [[0, 0, 0], [0, 0, 1e-5]], [6, 6], id="atoms on one spot"),
        pytest.param(np.ones((3, 3)), [[0, 0, 0]], [6], id="flat cell"),
        pytest.param(np.full((3, 3), np.nan), [[0, 0, 0]], [6], id="lattice not a number"),
        pytest.param(np.diag([4, 4, np.inf]), [[0, 0, 0]], [6], id="lattice not finite"),
        pytest.param(np.eye(3) * 4, [[0, np.nan, 0]], [6], id="coordinate not a number"),
    ],
)
def test_failure_is_one_error_and_silent(
    lattice: object, frac: object, numbers: object, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FeatureError, match="symmetry search failed") as caught:
        find_symmetry(crystal(lattice, frac, numbers))
    assert caught.value.code is ErrorCode.SYMMETRY_FAILED
    assert caught.value.stage is Stage.SYMMETRY
    assert capfd.readouterr() == ("", "")


def test_operations_map_the_crystal_on_itself() -> None:
    rutile = crystal(
        np.diag([4.594, 4.594, 2.959]),
        [
            [0, 0, 0],
            [0.5, 0.5, 0.5],
            [0.305, 0.305, 0],
            [0.695, 0.695, 0],
            [0.195, 0.805, 0.5],
            [0.805, 0.195, 0.5],
        ],
        [22, 22, 8, 8, 8, 8],
    )
    symmetry = find_symmetry(rutile)
    assert (symmetry.number, symmetry.international, symmetry.point_group) == (136, "P4_2/mnm", "4/mmm")
    assert symmetry.equivalent_atoms.tolist() == [0, 0, 2, 2, 2, 2]
    for rotation, translation in zip(symmetry.rotations, symmetry.translations, strict=True):
        images = rutile.frac @ rotation.T + translation
        shift = images[:, None] - rutile.frac[None]
        distance = np.linalg.norm((shift - shift.round()) @ rutile.lattice, axis=2)
        assert (distance.min(axis=1) < 1e-6).all()
        assert (rutile.numbers[distance.argmin(axis=1)] == rutile.numbers).all()


def test_tolerance_is_passed_on() -> None:
    shifted = crystal(np.eye(3) * 4, [[0, 0, 0], [0.5, 0.5, 0.507]], [55, 17])
    assert find_symmetry(shifted).number == 99
    assert find_symmetry(shifted, symprec=0.1).number == 221


# spglib remarks on this slightly strained AuCu3-like cell while it retries with smaller tolerances
REMARKABLE = crystal(
    [[3.98752, 0.0, -4.24372], [-0.62563, 3.93814, -4.24372], [0.0, 0.0, 5.82319]],
    [
        [4e-05, 0.00012, -0.00056],
        [0.25065, 0.75087, 0.50106],
        [0.7494, 0.25061, 0.49973],
        [0.49944, 0.49963, -0.00122],
    ],
    [40, 49, 49, 49],
)


def test_remarks_of_spglib_stay_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    find_symmetry(REMARKABLE)
    assert capfd.readouterr() == ("", "")


BASES = {
    "fcc": np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]),
    "bcc": np.array([[-2, 2, 2], [2, -2, 2], [2, 2, -2.0]]),
    "cubic": np.eye(3) * 4.0,
    "hexagonal": np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 5.0]]),
    "skewed": np.array([[3.2, 0, 0], [3.2, 3.2, 0], [6.4, 3.2, 4.1]]),
    "long": np.diag([3.0, 3.0, 27.0]),
    "long hexagonal": np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 20.0]]),
    "nearly square": np.array([[4, 0, 0], [4 * np.cos(1.54), 4 * np.sin(1.54), 0], [0, 0, 6.0]]),
}


@settings(max_examples=250)
@given(
    st.sampled_from(sorted(BASES)),
    st.integers(1, 4),
    st.sampled_from([0.0, 1e-4, 1e-3, 3e-3, 0.01, 0.02, 0.05]),
    st.sampled_from([0.0, 1e-4, 1e-3, 5e-3, 0.02]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([ANGLE_TOLERANCE, DISTANCES_ONLY]),
)
def test_distorted_crystals_equal_the_search_of_spglib(
    basis: str, n: int, noise: float, strain: float, seed: int, angle_tolerance: float
) -> None:
    """The direct search must notice every case in which the tolerance matters."""
    rng = np.random.default_rng(seed)
    lattice = BASES[basis] @ (np.eye(3) + strain * rng.uniform(-1, 1, (3, 3)))
    sites = rng.choice(8, n, replace=False)  # of a 2 × 2 × 2 grid
    frac = np.stack([sites % 2, sites // 2 % 2, sites // 4], axis=1) / 2.0
    frac = frac + rng.uniform(-noise, noise, (n, 3)) @ np.linalg.inv(lattice)
    distorted = crystal(lattice, frac, rng.choice([8, 22], n))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = spglib.get_symmetry_dataset(
            (distorted.lattice, distorted.frac, distorted.numbers),
            symprec=0.01,
            angle_tolerance=angle_tolerance,
        )
    if expected is None:
        with pytest.raises(FeatureError):
            find_symmetry(distorted, 0.01, angle_tolerance)
        return
    found = find_symmetry(distorted, 0.01, angle_tolerance)
    assert (found.number, found.international, found.hall_number) == (
        expected.number,
        expected.international,
        expected.hall_number,
    )
    assert found.point_group == expected.pointgroup.strip()
    assert found.equivalent_atoms.tolist() == expected.equivalent_atoms.tolist()
    assert sorted(found.rotations.tolist()) == sorted(expected.rotations.tolist())


def test_clear_operations_need_a_primitive_cell_of_moderate_shape() -> None:
    def clear(lattice: object, frac: object, numbers: object) -> bool:
        atoms = crystal(lattice, frac, numbers)
        return bool(clear_operations(atoms.lattice, atoms.frac, atoms.numbers, 0.01)[0])

    origin = [[0, 0, 0]]
    assert clear(np.eye(3) * 4, origin, [29])
    assert not clear(np.diag([4, 4, 8]), [[0, 0, 0], [0, 0, 0.5]], [29, 29])  # supercell
    assert not clear([[4, 0, 0], [40, 4, 0], [0, 0, 4]], origin, [29])  # skewed
    assert not clear(np.zeros((3, 3)), origin, [29])
    assert not clear(np.eye(3) * 4, [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.501]], [29, 8, 8])  # overlap
    assert not clear(np.diag([4, 4, 4.01]), origin, [29])  # cubic within the tolerance
    assert not clear(np.eye(3) * 40, np.random.default_rng(0).random((101, 3)), [29] * 101)


def test_an_angle_tolerance_matters_where_a_cell_is_nearly_of_a_higher_system() -> None:
    """88.2° between equal vectors: square to 5°, but 0.1 Å from it."""
    nearly = crystal(BASES["nearly square"], [[0, 0, 0]], [29])
    assert (find_symmetry(nearly).number, find_symmetry(nearly, 0.01, DISTANCES_ONLY).number) == (123, 65)
    assert angles_matter(nearly.lattice, nearly.frac, nearly.numbers, 0.01)
    for name in ("cubic", "hexagonal", "long", "long hexagonal"):
        clear = crystal(BASES[name], [[0, 0, 0]], [29])
        assert not angles_matter(clear.lattice, clear.frac, clear.numbers, 0.01), name
