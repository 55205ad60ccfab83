"""Wave functions that Quantum ESPRESSO starts from, made of those of the mesh before.

Without others pw.x starts each mesh from atomic orbitals, and most of its work on a mesh whose density is
known goes into these.  The periodic part of a wave function changes little from one k-point to the next, so
each k-point of a mesh gets those of the nearest k-point of the mesh before, at half the work.  Whatever they
are, pw.x goes on until its own threshold is met: what they decide is how soon.

pw.x reads the functions of its k-points by their place in its list, as components at the reciprocal lattice
vectors G with |k+G|² below the cutoff, in the order in which its density lists them (``write_wfc`` and
``write_rhog`` in its ``io_base.f90``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.convergence.reduced import reduced_points
from goldilocks_batch.convergence.written import UNREADABLE, Written, written_in

__all__ = ["carried_over"]

_log = logging.getLogger(__name__)

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Waves = NDArray[np.complex128]

#: Share by which components are changed at random.  A function of one symmetry would keep it for ever, and
#: a state of another symmetry could be missed; pw.x changes atomic orbitals by 0.05 for that.
_CHANGED = 0.003
#: How far a k-point may lie from where it is expected, in reciprocal lattice vectors.
_SAME = 1e-4
#: Bytes of files of wave functions that are held in memory, and how many files at most.
_HELD, _FILES = 200_000_000, 8


@dataclass(frozen=True, slots=True)
class _Last:
    """The mesh that is done.

    Attributes:
        folder: ``*.save`` of pw.x.
        points: ``(k, 3)`` its k-points, in reciprocal lattice vectors.
        vectors: ``(3, 3)`` rows are reciprocal lattice vectors, in 2π/alat.
        unit: 2π/alat, 1/bohr.
        cutoff: of the wave functions, (2π/alat)².
        bands: how many it has.
        own: whether that is pw.x's own number.
        symmetries: ``(n, 3, 3)`` rotations of the lattice, those of the crystal first.
        crystal: how many are the crystal's.
        divisions: of the mesh.
    """

    folder: Path
    points: Array
    vectors: Array
    unit: float
    cutoff: float
    bands: int
    own: bool
    symmetries: Array
    crystal: int
    divisions: tuple[int, int, int]


def carried_over(folder: Path, mesh: tuple[int, int, int], bands: int | None) -> bool:
    """Replace the wave functions of the mesh that is done by those from which the next one starts.

    Args:
        folder: where pw.x has worked.
        mesh: divisions of the next mesh, Γ-centred.
        bands: how many it calculates; None, pw.x's own number.

    Returns:
        Whether they are there now.  They are not where pw.x's files are others than expected (spin, HDF5,
        none), or its list of k-points is; then nothing is changed.
    """
    try:
        last = _last(written_in(folder))
        if bands is None and not last.own:
            return False
        expected = reduced_points(last.divisions, last.symmetries, last.crystal)
        if expected.shape != last.points.shape or np.abs(expected - last.points).max() > _SAME:
            return False
        points = reduced_points(mesh, last.symmetries, last.crystal)
        _write_all(last, points, last.bands if bands is None else bands)
    except (*UNREADABLE, AttributeError, LookupError) as error:
        _log.debug("%s: wave functions are not carried over: %r", folder, error)
        for unfinished in folder.glob("*/*.save/next*.dat"):
            unfinished.unlink(missing_ok=True)
        return False
    return True


def _last(written: Written) -> _Last:
    """What the file of pw.x tells; raises what there is to raise where it is another version's."""
    root, found = written.root, written.bands
    if found.findtext("wf_collected") != "true" or root.findtext("output/basis_set/gamma_only") != "false":
        raise ValueError("no wave functions, or real ones")
    alat = float(root.find("output/atomic_structure").get("alat"))  # type: ignore[union-attr, arg-type]
    unit = 2 * np.pi / alat
    lattice = root.find("output/basis_set/reciprocal_lattice")
    vectors = np.array([_numbers(lattice.findtext(f"b{i}", "")) for i in (1, 2, 3)])  # type: ignore[union-attr]
    points = np.array([_numbers(point.text or "") for point in found.iter("k_point")])
    grid = found.find("starting_k_points/monkhorst_pack").attrib  # type: ignore[union-attr]
    if any(int(grid[f"k{i}"]) for i in (1, 2, 3)):
        raise ValueError("a mesh that is shifted")
    first, second, third = (int(grid[f"nk{i}"]) for i in (1, 2, 3))
    listed = root.findall("output/symmetries/symmetry")
    kinds = [one.findtext("info") for one in listed]
    return _Last(
        written.folder,
        points @ np.linalg.inv(vectors),
        vectors,
        unit,
        2 * float(root.findtext("output/basis_set/ecutwfc", "")) / unit**2,  # the file's are Hartree
        int(found.findtext("nbnd", "")),
        written.own,
        np.array([_numbers(one.findtext("rotation", "")).reshape(3, 3).T for one in listed]),
        kinds.count("crystal_symmetry"),
        (first, second, third),
    )


def _numbers(text: str) -> Array:
    return np.array(text.split(), dtype=np.float64)


def _records(path: Path) -> list[memoryview]:
    """Records of an unformatted file of Fortran."""
    data, at, records = memoryview(path.read_bytes()), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little", signed=True)
        if size < 0:
            raise ValueError("a record of several pieces")
        records.append(data[at + 4 : at + 4 + size])
        at += size + 8
    return records


def _waves(path: Path) -> tuple[Integers, Waves]:
    """G, in reciprocal lattice vectors, and ``(bands, G)`` components of a file of wave functions."""
    records = _records(path)
    _, components, spinors, bands = np.frombuffer(records[1], np.int32)
    if spinors != 1:
        raise ValueError("spinors")
    waves = np.empty((bands, components), dtype=np.complex128)
    for wave, record in zip(waves, records[4 : 4 + bands], strict=True):
        wave[:] = np.frombuffer(record, np.complex128)
    return np.frombuffer(records[3], np.int32).reshape(-1, 3).astype(np.int64), waves


def _write_all(last: _Last, points: Array, bands: int) -> None:
    """Write a file for each of the next mesh's k-points, then remove those of the last one."""
    lattice = np.frombuffer(_records(last.folder / "charge-density.dat")[2], np.int32).reshape(-1, 3)
    vectors = lattice.astype(np.int64)
    reach = np.abs(vectors).max(axis=0)
    place = np.full(2 * reach + 1, -1)  # of a vector in that list
    place[tuple((vectors + reach).T)] = np.arange(len(vectors))
    random = np.random.default_rng(len(points))
    first = last.folder / "wfc1.dat"
    head_of_vectors = _records(first)[2]
    held = min(_FILES, max(1, _HELD // first.stat().st_size))
    files = lru_cache(held)(lambda one: _waves(last.folder / f"wfc{one + 1}.dat"))
    for number, (point, nearest, sign, shift) in enumerate(_neighbours(last, points), 1):
        lengths = (((point + vectors) @ last.vectors) ** 2).sum(axis=1)
        inside = lengths <= last.cutoff
        local = np.full(len(vectors), -1)  # place of a vector among those inside
        local[inside] = np.arange(inside.sum())
        known, waves = files(nearest)
        known = sign * known - shift
        met = (np.abs(known) <= reach).all(axis=1)
        places = place[tuple((known[met] + reach).T)]
        to = np.where(places < 0, -1, local[places])
        started = np.zeros((bands, inside.sum()), dtype=np.complex128)
        taken = min(bands, len(waves))
        started[:taken, to[to >= 0]] = (waves if sign > 0 else waves.conj())[:taken, met][:, to >= 0]
        started[:taken] *= 1 + _CHANGED * random.uniform(-1, 1, started[:taken].shape)
        started[taken:] = random.uniform(-1, 1, started[taken:].shape) / (1 + lengths[inside])
        place_in_space = (point @ last.vectors * last.unit).tobytes()
        of_point = _integers(number) + place_in_space + _integers(1, 0) + np.float64(1).tobytes()
        of_size = _integers(inside.sum(), inside.sum(), 1, bands)
        with (last.folder / f"next{number}.dat").open("wb") as stream:
            for record in (of_point, of_size, head_of_vectors, lattice[inside].tobytes(), *started):
                size = _integers(memoryview(record).nbytes)
                stream.writelines((size, record, size))
    for path in last.folder.glob("wfc*.dat"):
        path.unlink()
    for number in range(1, len(points) + 1):
        (last.folder / f"next{number}.dat").rename(last.folder / f"wfc{number}.dat")


def _integers(*values: int) -> bytes:
    return np.array(values, dtype=np.int32).tobytes()


def _neighbours(last: _Last, points: Array) -> Iterator[tuple[Array, int, int, Integers]]:
    """Each k-point with the nearest one of the last mesh, k or -k by a sign, and the G between the two."""
    corners = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for point in points:
        best: tuple[float, int, int, Integers] | None = None
        for sign in (1, -1):
            away = point - sign * last.points
            whole = np.rint(away)
            shifts = whole[:, None] + corners
            lengths = np.linalg.norm((away[:, None] - shifts) @ last.vectors, axis=2)
            at = int(lengths.argmin())
            one, which = divmod(at, len(corners))
            if best is None or lengths.flat[at] < best[0] - _SAME:
                best = float(lengths.flat[at]), one, sign, shifts[one, which].astype(np.int64)
        if best is None:
            raise ValueError("no k-points")
        yield point, *best[1:]
