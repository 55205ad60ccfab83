"""The bands block: couplings against turned orbitals, Bloch's sums, known crystals, other cells of them."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from goldilocks_batch.features._couplings_kernel import REACH
from goldilocks_batch.features._dispersion_kernel import describe
from goldilocks_batch.features._eigenvalues_kernel import eigenvalues
from goldilocks_batch.features._matrices_kernel import matrices_of
from goldilocks_batch.features._parity_kernel import images_of
from goldilocks_batch.features._placed_kernel import placed
from goldilocks_batch.features._points_kernel import POINTS, points_of
from goldilocks_batch.features.bands import BANDS_LABELS, MOST_ORBITALS, bands_block
from goldilocks_batch.features.featurizer import Featurizer
from goldilocks_batch.features.orbitals import orbitals
from goldilocks_batch.features.table import BLOCKS, column_names
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.exact import exact_primitive
from goldilocks_batch.structures.symmetry import find_symmetry, reduced_lattice


def crystal(lattice: object, frac: object, numbers: list[int]) -> Crystal:
    return Crystal(np.array(lattice, float), np.array(frac, float), np.array(numbers, dtype=np.int64))


def face_centred(a: float) -> NDArray[np.float64]:
    return a / 2.0 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])


CENTRE, QUARTER, HALF = [0.0, 0, 0], [0.25] * 3, [0.5] * 3
SILICON = crystal(face_centred(5.43), [CENTRE, QUARTER], [14, 14])
GALLIUM_ARSENIDE = crystal(face_centred(5.65), [CENTRE, QUARTER], [31, 33])
SALT = crystal(face_centred(5.64), [CENTRE, HALF], [11, 17])
ALUMINIUM = crystal(face_centred(4.04), [CENTRE], [13])
IRON = crystal(2.87 / 2 * (1 - 2 * np.eye(3)), [CENTRE], [26])
MAGNESIUM = crystal(
    [[3.21, 0, 0], [-1.605, 3.21 * math.sqrt(0.75), 0], [0, 0, 5.21]], [CENTRE, [1 / 3, 2 / 3, 0.5]], [12, 12]
)
COPPER = crystal(face_centred(3.61), [CENTRE], [29])
NEON = crystal(face_centred(4.4), [CENTRE], [10])
RUTILE = crystal(
    np.diag([4.59, 4.59, 2.96]),
    [CENTRE, HALF, [0.305, 0.305, 0], [0.695, 0.695, 0], [0.195, 0.805, 0.5], [0.805, 0.195, 0.5]],
    [22, 22, 8, 8, 8, 8],
)


def columns(given: Crystal) -> dict[str, float]:
    values = bands_block([given], [find_symmetry(given)])[0]
    return dict(zip(BANDS_LABELS, values.tolist(), strict=True))


def harmonics(points: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Values of s, p and d orbitals of one norm in directions ``(n, 3)``."""
    x, y, z = points.T
    d = [x * y, y * z, z * x, (x * x - y * y) / 2, (3 * z * z - 1) / math.sqrt(12)]
    return [np.ones((len(x), 1)), points, math.sqrt(3) * np.column_stack(d)]


def coupled(
    one: NDArray[np.float64], other: NDArray[np.float64], apart: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Couplings of two atoms: along the bond they are diagonal, and orbitals are turned to it."""
    r = float(np.linalg.norm(apart))
    frame, _ = np.linalg.qr(np.column_stack([apart, np.eye(3)[:, np.abs(apart).argmin()], [1.0, 2, 3]]))
    along = apart / r
    frame = np.column_stack([frame[:, 1], np.cross(along, frame[:, 1]), along])
    points = np.random.default_rng(0).normal(size=(40, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    fixed, turned = harmonics(points), harmonics(points @ frame)
    turn = [np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(fixed, turned, strict=True)]
    radii = one[5] + other[5]
    decay = math.exp(-(max(r / radii - 1.2, 0.0) ** 2) / 0.12) * min(1.0, (r / (0.75 * radii)) ** 3)
    decay *= min(1.0, (REACH - r) / 0.5)
    sizes = (one[3] ** 1.5, other[3] ** 1.5)
    eta = {
        (0, 0): np.array([[-1.32]]),
        (0, 1): np.array([[0.0, 0, 1.42]]),
        (1, 1): np.diag([-0.63, -0.63, 2.22]),
        (0, 2): np.array([[0.0, 0, 0, 0, -3.16]]),
        (1, 2): np.array([[0.0, 0, 1.36, 0, 0], [0, 1.36, 0, 0, 0], [0, 0, 0, 0, -2.95]]),
        (2, 2): np.diag([0.0, 8.75, 8.75, 0, -16.2]),
    }
    block = np.zeros((9, 9))
    for a, b in product(range(3), repeat=2):
        own = eta[a, b] if a <= b else (-1.0) ** (a + b) * eta[b, a].T
        power = 2.0 + 1.5 * ((a == 2) + (b == 2))
        size = (sizes[0] if a == 2 else 1.0) * (sizes[1] if b == 2 else 1.0)
        value = turn[a] @ own @ turn[b].T * 7.62 * size / r**power * decay
        block[a * a : (a + 1) ** 2, b * b : (b + 1) ** 2] = value
    return block


def plain_bands(
    numbers: list[int], lattice: NDArray[np.float64], cart: NDArray[np.float64], farthest: int = 4
) -> NDArray[np.float64]:
    """Eigenvalues of Bloch sums over all neighbours, with complex phases."""
    table, n = orbitals(), len(numbers)
    kept = np.concatenate([np.repeat(~np.isnan(table[z, :3]), (1, 3, 5)) for z in numbers])
    levels = np.concatenate([np.repeat(table[z, :3], (1, 3, 5)) for z in numbers])
    found = []
    for k in HALFWAY / 2.0:
        matrix = np.zeros((n, 9, n, 9), dtype=complex)
        for i, j, cell in product(range(n), range(n), product(range(-farthest, farthest + 1), repeat=3)):
            apart = cart[j] + np.array(cell) @ lattice - cart[i]
            if 1e-3 < np.linalg.norm(apart) < REACH:
                phase = np.exp(2j * math.pi * np.dot(k, cell))
                matrix[i, :, j, :] += phase * coupled(table[numbers[i]], table[numbers[j]], apart)
        whole = matrix.reshape(9 * n, 9 * n) + np.diag(np.nan_to_num(levels))
        np.testing.assert_allclose(whole[kept][:, kept], whole[kept][:, kept].conj().T, atol=1e-9)
        found.append(np.linalg.eigvalsh(whole[kept][:, kept]))
    return np.array(found)


#: The eight points: halfway along reciprocal vector a where bit a of the number is set.
HALFWAY = np.arange(POINTS)[:, None] >> np.arange(3) & 1
NO_IMAGES = (np.empty(0, dtype=np.int64), np.empty((0, 3), dtype=np.int64))
Images = tuple[NDArray[np.int64], NDArray[np.int64]]


def bands(
    numbers: NDArray[np.int64],
    lattice: NDArray[np.float64],
    cart: NDArray[np.float64],
    images: Images,
    points: NDArray[np.int64] = HALFWAY,
) -> NDArray[np.float64]:
    inverse = np.linalg.inv(lattice)
    matrices, sizes = matrices_of(numbers, lattice, inverse, cart, orbitals(), *images, points, MOST_ORBITALS)
    return np.vstack([eigenvalues(four, own) for four, own in zip(matrices, sizes, strict=True)])


@pytest.mark.parametrize("numbers", [[14], [22, 8], [3, 17, 29]])
def test_bands_are_those_of_bloch_sums_of_turned_orbitals(numbers: list[int]) -> None:
    rng = np.random.default_rng(len(numbers))
    lattice = np.diag([3.2, 3.9, 4.6]) + rng.normal(size=(3, 3)) * 0.3
    cart = np.array([CENTRE, [0.4, 0.45, 0.6], [0.7, 0.1, 0.2]])[: len(numbers)] @ lattice
    expected = plain_bands(numbers, lattice, cart)
    found = bands(np.array(numbers, dtype=np.int64), lattice, cart, NO_IMAGES)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_neighbours_are_found_in_vectors_that_are_far_from_reduced() -> None:
    lattice = np.array([[3.1, 0.2, 0.1], [5.9, 3.3, -0.2], [-2.7, 6.8, 3.6]])
    expected = plain_bands([22], lattice, np.zeros((1, 3)), farthest=9)
    found = bands(np.array([22]), lattice, np.zeros((1, 3)), NO_IMAGES)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("given", [SILICON, SALT, ALUMINIUM, COPPER, RUTILE])
def test_even_and_odd_bands_are_all_bands(given: Crystal) -> None:
    """The centre of inversion lies between atoms, on them, or on some of them."""
    shift = np.array([0.31, 0.77, 0.13])  # images lie in other cells then
    frac = (given.frac + shift) % 1.0
    moved = Crystal(given.lattice, frac, given.numbers)
    symmetry = find_symmetry(moved)
    inverse, cart, *images = placed(
        moved.numbers, moved.frac, moved.lattice, moved.lattice, symmetry.rotations, symmetry.translations
    )
    assert len(images[0]) == len(moved)
    np.testing.assert_allclose(inverse, np.linalg.inv(moved.lattice), atol=1e-14)
    np.testing.assert_allclose(cart, (moved.frac % 1.0) @ moved.lattice, atol=1e-12)
    arguments = moved.numbers, moved.lattice, cart
    np.testing.assert_allclose(
        bands(*arguments, (images[0], images[1])), bands(*arguments, NO_IMAGES), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(
    ("given", "count"),
    [(SILICON, 3), (GALLIUM_ARSENIDE, 3), (SALT, 3), (ALUMINIUM, 3), (IRON, 3), (RUTILE, 6), (MAGNESIUM, 4)],
)
def test_points_that_symmetry_makes_equal_have_the_same_bands(given: Crystal, count: int) -> None:
    """Kinds of points: Γ, X, L of fcc; Γ, H, N of bcc; Γ, X, M, Z, R, A of tetragonal cells; and so on."""
    for change in (np.eye(3), np.array([[1.0, 1, 0], [0, 1, 2], [0, 0, 1]])):
        reduced = change @ given.lattice  # other vectors of the lattice than those of the operations
        points, equal = points_of(find_symmetry(given).rotations, given.lattice, reduced)
        assert len(set(equal.tolist())) == count
        assert len(points) == -(-count // 4) * 4
        assert equal[0] == 0
        every = bands(given.numbers, reduced, given.cart, NO_IMAGES)
        few = bands(given.numbers, reduced, given.cart, NO_IMAGES, points)
        np.testing.assert_allclose(few[equal], every, rtol=0, atol=1e-9)


def test_without_rotations_all_eight_points_are_calculated() -> None:
    identity = np.eye(3, dtype=np.int32)[None]
    points, equal = points_of(identity, SILICON.lattice, SILICON.lattice)
    assert points.tolist() == HALFWAY.tolist()
    assert equal.tolist() == list(range(POINTS))


@pytest.mark.parametrize("given", [SILICON, SALT, ALUMINIUM, RUTILE])
def test_energies_of_meshes_are_sums_of_filled_levels(given: Crystal) -> None:
    reduced = reduced_lattice(given.lattice)
    energies = plain_bands(given.numbers.tolist(), reduced, given.cart)
    electrons = float(orbitals()[given.numbers, 4].sum())

    def energy(points: list[int]) -> float:
        """Of the levels, two electrons in each, of an odd number of electrons half a level."""
        levels = np.repeat(np.sort(energies[points].ravel()), 2)
        return float(levels[: round(electrons * len(points))].sum()) / len(points) / len(given)

    fine = energy(list(range(POINTS)))
    expected = [math.log10(abs(energy([0]) - fine) + 1e-6)]
    coarse = [energy([i for i in range(POINTS) if not i & 1 << axis]) for axis in range(3)]
    found = columns(given)
    assert found["energy_centre"] == pytest.approx(expected[0], abs=0.006)
    apart = sorted(math.log10(abs(e - fine) + 1e-6) for e in coarse)
    assert sorted(found[f"energy_{i}"] for i in (1, 2, 3)) == pytest.approx(apart, abs=0.006)
    assert found["energy_most"] == max(found[f"energy_{i}"] for i in (1, 2, 3))


def test_an_image_that_is_not_there_makes_no_parity() -> None:
    twice = np.array([0.3, 0.2, 0.1])
    given = GALLIUM_ARSENIDE
    images, cells = images_of(given.cart, given.numbers, twice, given.lattice, np.linalg.inv(given.lattice))
    assert (len(images), len(cells)) == (0, 0)


def test_the_width_is_that_of_the_table() -> None:
    assert BLOCKS["bands"] == len(BANDS_LABELS)
    assert len(set(column_names(("bands",)))) == BLOCKS["bands"]


def test_gaps_and_states_of_known_crystals() -> None:
    found = {c: columns(c) for c in (SILICON, GALLIUM_ARSENIDE, SALT, ALUMINIUM, COPPER, NEON, RUTILE)}
    assert all(values["known"] == 1 for values in found.values())
    gaps = {c: values["gap"] for c, values in found.items()}
    assert max(gaps[ALUMINIUM], gaps[COPPER]) < 0
    assert 0 < min(gaps[SILICON], gaps[GALLIUM_ARSENIDE]) < 1.5 < gaps[SALT] < gaps[RUTILE] < gaps[NEON]
    assert found[SILICON]["gap_least"] > found[ALUMINIUM]["gap_least"] == 0
    assert [found[c]["even"] for c in (SILICON, ALUMINIUM, COPPER)] == [1, 0, 0]
    assert found[COPPER]["states_1500mev"] > found[SALT]["states_1500mev"]
    assert found[SALT]["states_500mev"] == 0
    assert found[SILICON]["moves_1"] > found[RUTILE]["moves_1"] > found[NEON]["moves_1"]
    assert found[RUTILE]["moves_1"] != found[RUTILE]["moves_3"]


@pytest.mark.parametrize("given", [SILICON, GALLIUM_ARSENIDE, SALT, ALUMINIUM, COPPER, NEON, RUTILE])
def test_another_cell_of_the_crystal_has_the_same_columns(given: Crystal) -> None:
    expected = columns(given)
    change = np.array([[1, 1, 0], [0, 1, 2], [0, 0, 1]])
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    order = np.random.default_rng(5).permutation(len(given))
    frac = given.frac @ np.linalg.inv(change) + 0.3
    other = Crystal(change @ given.lattice @ turn, frac[order], given.numbers[order])
    large = np.array([[2, 0, 0], [0, 1, 0], [0, 0, 3]])
    shifts = [[i, 0, k] for i in range(2) for k in range(3)]
    frac = np.vstack([(given.frac + shift) @ np.linalg.inv(large) for shift in shifts])
    supercell = Crystal(large @ given.lattice, frac, np.tile(given.numbers, 6))
    for cell in (other, exact_primitive(supercell, find_symmetry(supercell))):
        found = columns(cell)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=0.011), name  # rounded to hundredths


@pytest.mark.parametrize("row", [0, 5])
def test_energies_that_were_not_found_leave_the_columns_as_they_are(row: int) -> None:
    energies = bands(RUTILE.numbers, RUTILE.lattice, RUTILE.cart, NO_IMAGES)
    arguments = np.arange(POINTS), np.linalg.inv(RUTILE.lattice), orbitals()
    out = np.zeros(len(BANDS_LABELS))
    describe(RUTILE.numbers, energies, *arguments, out)
    assert out[0] == 1.0
    energies[row] = np.nan
    out = np.zeros(len(BANDS_LABELS))
    describe(RUTILE.numbers, energies, *arguments, out)
    assert not out.any()


def test_what_cannot_be_calculated_is_zero_and_no_failure() -> None:
    unknown = crystal(np.eye(3) * 4, [CENTRE], [104])
    count = MOST_ORBITALS // 4 + 1
    frac = np.column_stack([np.arange(count) / count, np.zeros(count), np.zeros(count)])
    large = crystal(np.diag([2.5 * count, 5, 5]), frac, [14] * count)
    dense = crystal(np.eye(3) * 0.1, [CENTRE], [14])
    close = crystal(np.eye(3) * 5, [CENTRE, [1e-9, 0, 0]], [22, 22])
    for given in (unknown, large, dense):
        values = bands_block([given], [find_symmetry(given)])
        assert not values.any()
    assert np.isfinite(bands_block([close], [find_symmetry(SILICON)])).all()
    features = Featurizer(None, ("bands",))(
        [unknown, SILICON], [find_symmetry(c) for c in (unknown, SILICON)]
    )
    assert not features.failures
    assert features.values[1].any()
