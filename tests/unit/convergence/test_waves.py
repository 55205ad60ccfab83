"""Wave functions are carried over from the nearest k-point, and k-points are listed as pw.x lists them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from goldilocks_batch.convergence.reduced import reduced_points
from goldilocks_batch.convergence.waves import carried_over
from goldilocks_batch.kpoints.mesh import irreducible_count

Array = NDArray[np.float64]

ALAT, CUTOFF = 7.0, 6.0  # bohr, Ry
VECTORS = np.array([[1.0, 0.2, 0.0], [0.0, 1.1, 0.1], [0.3, 0.0, 0.8]])  # 2π/alat
IDENTITY = np.eye(3)[None]


def group(*generators: list[list[int]]) -> Array:
    """All products of some rotations."""
    found = [np.eye(3)]
    while True:
        new = [a @ np.array(b, dtype=float) for a in found for b in generators]
        new = [one for one in new if not any(np.array_equal(one, known) for known in found)]
        if not new:
            return np.array(found)
        found += [one for i, one in enumerate(new) if not any(np.array_equal(one, o) for o in new[:i])]


CUBIC = group(
    [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
    [[-1, 0, 0], [0, -1, 0], [0, 0, -1]],
)
HEXAGONAL = group([[1, -1, 0], [1, 0, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0], [0, 0, -1]])
TRIGONAL = group([[0, -1, 0], [1, -1, 0], [0, 0, 1]])


def first_those(subgroup: Array, whole: Array) -> Array:
    rest = [one for one in whole if not any(np.array_equal(one, known) for known in subgroup)]
    return np.concatenate([subgroup, rest])


@pytest.mark.parametrize(
    ("symmetries", "crystal"),
    [
        (IDENTITY, 1),
        (CUBIC, 48),
        (HEXAGONAL, 12),
        (first_those(TRIGONAL, HEXAGONAL), 3),
        (first_those(group([[-1, 0, 0], [0, -1, 0], [0, 0, 1]]), CUBIC), 2),
    ],
    ids=["none", "cubic", "hexagonal", "trigonal", "monoclinic"],
)
@pytest.mark.parametrize("divisions", [(1, 1, 1), (4, 4, 4), (5, 5, 5), (6, 6, 3)])
def test_every_point_of_a_mesh_is_an_image_of_one_that_is_listed(
    symmetries: Array, crystal: int, divisions: tuple[int, int, int]
) -> None:
    if divisions == (6, 6, 3) and len(symmetries) == 48:
        divisions = (6, 6, 6)
    listed = reduced_points(divisions, symmetries, crystal)
    assert (np.abs(listed) <= 0.5).all() or crystal < len(symmetries)
    seen: dict[tuple[int, ...], int] = {}
    for i, point in enumerate(listed):
        for image in {
            tuple(np.rint(sign * (one @ point) * divisions).astype(int) % divisions)
            for one in symmetries[:crystal]
            for sign in (1, -1)
        }:
            assert seen.setdefault(image, i) == i  # told apart by the crystal
    assert len(seen) == np.prod(divisions)
    rotations = np.array([np.linalg.inv(one).T for one in symmetries[:crystal]])
    assert len(listed) == irreducible_count(np.array(divisions), np.rint(rotations).astype(np.int64))


def integers(*values: int) -> NDArray[np.int32]:
    return np.array(values, dtype=np.int32)


def record(*parts: NDArray[Any]) -> bytes:
    data = b"".join(part.tobytes() for part in parts)
    size = np.int32(len(data)).tobytes()
    return size + data + size


def component(band: int, wave: Array) -> NDArray[np.complex128]:
    """A function of k+G, so that a component tells whose it is; it is not the same for -k-G."""
    return np.array(1 + wave @ [0.3, 0.5, 0.7] + 1j * (band + wave @ [0.2, -0.1, 0.4]))


def sphere(point: Array) -> NDArray[np.int32]:
    every = np.array(list(itertools.product(range(-4, 5), repeat=3)))
    every = every[np.argsort(np.linalg.norm(every @ VECTORS, axis=1), kind="stable")]
    inside = (((point + every) @ VECTORS) ** 2).sum(axis=1) <= CUTOFF / (2 * np.pi / ALAT) ** 2
    found: NDArray[np.int32] = every[inside].astype(np.int32)
    return found


def saved(
    base: Path,
    divisions: tuple[int, int, int],
    bands: int,
    changes: dict[str, str] | None = None,
    *,
    chosen: bool = True,
) -> Path:
    """What pw.x leaves of a crystal without symmetry; its lattice has none, either."""
    head = {"lsda": "false", "noncolin": "false", "wf_collected": "true"} | (changes or {})
    folder = base / "density" / "pwscf.save"
    folder.mkdir(parents=True, exist_ok=True)
    points = reduced_points(divisions, IDENTITY, 1)
    states = "".join(
        f"<ks_energies><k_point>{' '.join(map(str, point @ VECTORS))}</k_point></ks_energies>"
        for point in points
    )
    told = "".join(f"<{name}>{value}</{name}>" for name, value in head.items())
    grid = " ".join(f'nk{i}="{n}" k{i}="0"' for i, n in enumerate(divisions, 1))
    lattice = "".join(f"<b{i}>{' '.join(map(str, vector))}</b{i}>" for i, vector in enumerate(VECTORS, 1))
    (folder / "data-file-schema.xml").write_text(
        '<?xml version="1.0"?><qes:espresso xmlns:qes="http://www.quantum-espresso.org/ns/qes/qes-1.0">'
        f"<input><bands>{f'<nbnd>{bands}</nbnd>' if chosen else ''}</bands></input><output>"
        f'<atomic_structure alat="{ALAT}"/><symmetries><symmetry><info>crystal_symmetry</info>'
        "<rotation>1 0 0 0 1 0 0 0 1</rotation></symmetry></symmetries><basis_set>"
        f"<gamma_only>false</gamma_only><ecutwfc>{CUTOFF / 2}</ecutwfc>"
        f"<reciprocal_lattice>{lattice}</reciprocal_lattice></basis_set><band_structure>{told}"
        f"<nbnd>{bands}</nbnd><starting_k_points><monkhorst_pack {grid}>Monkhorst-Pack</monkhorst_pack>"
        f"</starting_k_points>{states}</band_structure></output></qes:espresso>"
    )
    every = np.array(list(itertools.product(range(-4, 5), repeat=3)), dtype=np.int32)
    order = np.argsort(np.linalg.norm(every @ VECTORS, axis=1), kind="stable")
    (folder / "charge-density.dat").write_bytes(
        record(integers(0, len(every), 1)) + record(VECTORS) + record(every[order])
    )
    for number, point in enumerate(points, 1):
        waves = sphere(point)
        parts = [
            record(integers(number), point, integers(1, 0), np.array([1.0])),
            record(integers(len(waves), len(waves), 1, bands)),
            record(VECTORS),
            record(waves),
            *(record(component(band, point + waves)) for band in range(bands)),
        ]
        (folder / f"wfc{number}.dat").write_bytes(b"".join(parts))
    return folder


def functions(path: Path) -> tuple[Array, NDArray[np.int32], NDArray[np.complex128]]:
    """The k-point, G and components of a file, read by SciPy."""
    from scipy.io import FortranFile

    with FortranFile(path) as stream:
        head = stream.read_record("<i4", ("<f8", 3), "<i4", "<i4", "<f8")
        _, count, _, bands = stream.read_ints("<i4")
        stream.read_reals("<f8")
        waves = stream.read_ints("<i4").reshape(-1, 3)
        values = np.array([stream.read_record("<c16") for _ in range(bands)])
    assert values.shape == (bands, count)
    unit = 2 * np.pi / ALAT
    return np.asarray(head[1]).reshape(3) @ np.linalg.inv(VECTORS) / unit, waves, values


MESHES = st.tuples(*[st.integers(1, 3)] * 3)


@settings(max_examples=25, deadline=None)
@given(MESHES, MESHES, st.integers(1, 3), st.integers(1, 3))
def test_each_k_point_gets_what_the_nearest_one_had(
    tmp_path_factory: pytest.TempPathFactory,
    before: tuple[int, int, int],
    after: tuple[int, int, int],
    had: int,
    wanted: int,
) -> None:
    base = tmp_path_factory.mktemp("waves")
    folder = saved(base, before, had)
    assert carried_over(base, after, wanted)
    last, points = reduced_points(before, IDENTITY, 1), reduced_points(after, IDENTITY, 1)
    assert len(list(folder.glob("*.dat"))) == len(points) + 1
    images = np.array([sign * point for point in last for sign in (1, -1)])
    shifts = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    for number, point in enumerate(points, 1):
        told, waves, values = functions(folder / f"wfc{number}.dat")
        assert told == pytest.approx(point)
        assert np.array_equal(waves, sphere(point))
        assert len(values) == wanted
        assert np.abs(values).max(axis=1).min() > 0
        away = (point - images[:, None] - shifts) @ VECTORS
        lengths = np.linalg.norm(away, axis=2)
        expected = []  # by each of the nearest, k or -k, of which there may be several
        for image, shift in np.argwhere(lengths < lengths.min() + 1e-3):
            sign = 1 if image % 2 == 0 else -1
            source = sign * (images[image] + shifts[shift] + waves)  # k+G of the mesh before
            inside = ((source @ VECTORS) ** 2).sum(axis=1) <= CUTOFF / (2 * np.pi / ALAT) ** 2
            of = np.array([component(band, source) for band in range(min(had, wanted))])
            expected.append(np.where(inside, of if sign > 0 else of.conj(), 0))
        assert any(
            (np.abs(values[: len(one)] - one) <= 0.0031 * np.abs(one) + 1e-12).all() for one in expected
        )
        # not quite the same: no state is left out for its symmetry
        assert all((values[: len(one)] != one).any() for one in expected)


def test_what_pw_would_choose_by_itself_is_known_after_a_mesh_for_which_it_did(tmp_path: Path) -> None:
    saved(tmp_path, (2, 2, 2), 3)
    assert not carried_over(tmp_path, (3, 3, 3), None)
    folder = saved(tmp_path, (2, 2, 2), 3, chosen=False)
    assert carried_over(tmp_path, (3, 3, 3), None)
    assert len(functions(folder / "wfc1.dat")[2]) == 3


@pytest.mark.parametrize("changes", [{"lsda": "true"}, {"noncolin": "true"}, {"wf_collected": "false"}])
def test_what_is_not_understood_stays_as_it_is(tmp_path: Path, changes: dict[str, str]) -> None:
    folder = saved(tmp_path, (2, 2, 2), 2, changes)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert not carried_over(tmp_path, (3, 3, 3), 2)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["data-file-schema.xml", "charge-density.dat", "wfc1.dat", "wfc3.dat"])
@pytest.mark.parametrize("keep", [None, 0.5])
def test_files_that_are_not_whole_are_not_used(tmp_path: Path, name: str, keep: float | None) -> None:
    path = saved(tmp_path, (2, 2, 2), 2) / name
    data = path.read_bytes()
    path.unlink()
    if keep is not None:
        path.write_bytes(data[: int(keep * len(data))])
    assert not carried_over(tmp_path, (3, 3, 3), 2)
    assert not carried_over(tmp_path / "nowhere", (3, 3, 3), 2)


def test_another_list_of_k_points_is_not_taken_for_the_expected_one(tmp_path: Path) -> None:
    path = saved(tmp_path, (2, 2, 2), 2) / "data-file-schema.xml"
    path.write_text(path.read_text().replace("<k_point>0.0 0.0 0.0<", "<k_point>0.1 0.0 0.0<"))
    assert not carried_over(tmp_path, (3, 3, 3), 2)
