"""The nearest atoms of every atom of a periodic cell, in an order independent of the radius searched.

The order among equally distant neighbours decides which of them are kept, so it follows that of pymatgen's
``get_neighbor_list`` with a radius of `CUTOFF` to the last bit:

* coordinates of an image are formed with its arithmetic (Cartesian coordinates, fractional ones from the
  inverse lattice, wrapped, back to Cartesian, plus ``i·a + j·b + k·c``), operation by operation.  The first
  of these is a matrix product there, whose last bit depends on the processor's linear algebra library; here
  it is a plain sum, which is what the published graphs agree with;
* it sorts space into cubes of `CUTOFF` Å from a corner just outside the search region, lists the 27 cubes
  about an atom in ascending order, and the points of a cube from the last image (i, j, k, site) to the
  first.

Images are found otherwise: with a lower triangular lattice matrix the coordinates of a lattice point are
bounded one after the other, so that nearly every image visited is a neighbour, and the radius starts small.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["CUTOFF", "TOLERANCE", "nearest"]

#: Å; the published graphs have no longer bond.
CUTOFF = 10.0
#: Å² beyond the squared cutoff, and Å around the search region, that still count, as in pymatgen.
TOLERANCE = 1e-8

#: The cube of an image and what names it: i, j, k and its site.
_Rank = tuple[int, int, int, int, int]


@kernel(error_model="numpy")
def _cartesian(lattice: NDArray[np.float64], frac: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cartesian coordinates, summed from the first axis to the third, Å."""
    out = np.empty_like(frac)
    for i in range(len(frac)):
        for k in range(3):
            out[i, k] = frac[i, 0] * lattice[0, k] + frac[i, 1] * lattice[1, k] + frac[i, 2] * lattice[2, k]
    return out


@kernel(error_model="numpy")
def _wrapped(
    lattice: NDArray[np.float64], cart: NDArray[np.float64], pbc: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Wrapped fractional coordinates, the cell each site was in, wrapped Cartesian coordinates."""
    m00, m01, m02 = lattice[0]
    m10, m11, m12 = lattice[1]
    m20, m21, m22 = lattice[2]
    scale = 1.0 / (
        m00 * (m11 * m22 - m12 * m21) + m01 * (m12 * m20 - m10 * m22) + m02 * (m10 * m21 - m11 * m20)
    )
    inverse = np.empty((3, 3))
    inverse[0, 0] = (m11 * m22 - m12 * m21) * scale
    inverse[0, 1] = (m02 * m21 - m01 * m22) * scale
    inverse[0, 2] = (m01 * m12 - m02 * m11) * scale
    inverse[1, 0] = (m12 * m20 - m10 * m22) * scale
    inverse[1, 1] = (m00 * m22 - m02 * m20) * scale
    inverse[1, 2] = (m02 * m10 - m00 * m12) * scale
    inverse[2, 0] = (m10 * m21 - m11 * m20) * scale
    inverse[2, 1] = (m01 * m20 - m00 * m21) * scale
    inverse[2, 2] = (m00 * m11 - m01 * m10) * scale
    frac = np.empty_like(cart)
    cell = np.zeros(cart.shape, dtype=np.int64)
    for i in range(len(cart)):
        for k in range(3):
            value = cart[i, 0] * inverse[0, k] + cart[i, 1] * inverse[1, k] + cart[i, 2] * inverse[2, k]
            whole = math.floor(value) if pbc[k] else 0.0
            frac[i, k] = value - whole
            cell[i, k] = int(whole)
    return frac, cell, _cartesian(lattice, frac)


@kernel(error_model="numpy")
def _lower_triangular(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lattice turned so that a lies along x and b in the xy plane, Å."""
    out = np.zeros((3, 3))
    out[0, 0] = math.sqrt(np.sum(lattice[0] * lattice[0]))
    out[1, 0] = np.sum(lattice[0] * lattice[1]) / out[0, 0]
    out[1, 1] = math.sqrt(np.sum(lattice[1] * lattice[1]) - out[1, 0] ** 2)
    out[2, 0] = np.sum(lattice[0] * lattice[2]) / out[0, 0]
    out[2, 1] = (np.sum(lattice[1] * lattice[2]) - out[1, 0] * out[2, 0]) / out[1, 1]
    out[2, 2] = math.sqrt(np.sum(lattice[2] * lattice[2]) - out[2, 0] ** 2 - out[2, 1] ** 2)
    return out


@kernel(error_model="numpy")
def _range(offset: float, length: float, reach: float, periodic: bool) -> tuple[int, int]:
    """First and last n with ``|offset + n·length| ≤ reach``; 0 alone along an axis that is not periodic."""
    if not periodic:
        return 0, 0
    return math.ceil((-reach - offset) / length), math.floor((reach - offset) / length)


@kernel(error_model="numpy")
def _before(d: float, rank: _Rank, other_d: float, other_rank: NDArray[np.int64]) -> bool:
    """Whether a neighbour comes before another: by distance, cube, then the later image first."""
    if d != other_d:
        return bool(d < other_d)
    if rank[0] != other_rank[0]:
        return bool(rank[0] < other_rank[0])
    for k in range(1, 5):
        if rank[k] != other_rank[k]:
            return bool(rank[k] > other_rank[k])
    return False


@kernel(error_model="numpy")
def _insert(
    count: int,
    d: float,
    rank: _Rank,
    distances: NDArray[np.float64],
    slots: NDArray[np.int64],
    ranks: NDArray[np.int64],
) -> int:
    """Make place for a neighbour in the sorted list; returns its slot, or -1 if it comes after all kept.

    Only distances and slots are moved: what else is known of a neighbour stays in its slot.
    """
    kept = len(distances)
    place = count
    while place > 0 and _before(d, rank, distances[place - 1], ranks[slots[place - 1]]):
        place -= 1
    if place == kept:
        return -1
    slot = count if count < kept else slots[kept - 1]
    for m in range(min(count, kept - 1), place, -1):
        distances[m] = distances[m - 1]
        slots[m] = slots[m - 1]
    distances[place] = d
    slots[place] = slot
    return slot


@kernel(error_model="numpy")
def _search(
    center: int,
    radius: float,
    lattice: NDArray[np.float64],
    triangular: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    origin: NDArray[np.float64],
    frac: NDArray[np.float64],
    cell: NDArray[np.int64],
    wrapped: NDArray[np.float64],
    corner: NDArray[np.float64],
    distances: NDArray[np.float64],
    slots: NDArray[np.int64],
    vectors: NDArray[np.float64],
    ranks: NDArray[np.int64],
) -> int:
    """List the nearest neighbours of one atom within a radius; returns how many there are.

    Distances and slots are in their order; vectors and ranks are in the slots.
    """
    ax = triangular[0, 0]
    bx, by = triangular[1, 0], triangular[1, 1]
    cx, cy, cz = triangular[2, 0], triangular[2, 1], triangular[2, 2]
    m00, m01, m02 = lattice[0]
    m10, m11, m12 = lattice[1]
    m20, m21, m22 = lattice[2]
    x0, y0, z0 = origin
    # the bounds carry rounding; the limit on the squared distance, Å², is exact
    reach = radius + 1e-6
    limit = CUTOFF * CUTOFF + TOLERANCE if radius >= CUTOFF else radius * radius
    count, kept = 0, len(distances)
    farthest = np.inf
    for site in range(len(frac)):
        fa, fb, fc = (
            frac[site, 0] - frac[center, 0],
            frac[site, 1] - frac[center, 1],
            frac[site, 2] - frac[center, 2],
        )
        w0, w1, w2 = wrapped[site]
        first_c, last_c = _range(fc * cz, cz, reach, pbc[2])
        for nc in range(first_c, last_c + 1):
            k = nc + cell[center, 2]
            rest_z = max(reach * reach - ((fc + nc) * cz) ** 2, 0.0)
            offset = fb * by + (fc + nc) * cy
            first_b, last_b = _range(offset, by, math.sqrt(rest_z), pbc[1])
            for nb in range(first_b, last_b + 1):
                j = nb + cell[center, 1]
                rest_y = max(rest_z - (offset + nb * by) ** 2, 0.0)
                first_a, last_a = _range(
                    fa * ax + (fb + nb) * bx + (fc + nc) * cx, ax, math.sqrt(rest_y), pbc[0]
                )
                for na in range(first_a, last_a + 1):
                    i = na + cell[center, 0]
                    x = i * m00 + j * m10 + k * m20 + w0
                    y = i * m01 + j * m11 + k * m21 + w1
                    z = i * m02 + j * m12 + k * m22 + w2
                    dx, dy, dz = x - x0, y - y0, z - z0
                    d2 = dx * dx + dy * dy + dz * dz
                    if d2 >= limit or (site == center and na == 0 and nb == 0 and nc == 0):
                        continue
                    d = math.sqrt(d2)
                    if d > farthest:
                        continue
                    rank = (_cube(x, y, z, corner), i, j, k, site)
                    slot = _insert(count, d, rank, distances, slots, ranks)
                    if slot < 0:
                        continue
                    vectors[slot, 0], vectors[slot, 1], vectors[slot, 2] = dx, dy, dz
                    for part in range(5):
                        ranks[slot, part] = rank[part]
                    count = min(count + 1, kept)
                    if count == kept:
                        farthest = distances[kept - 1]
                        reach = min(reach, farthest + 1e-6)
    return count


@kernel(error_model="numpy")
def _cube(x: float, y: float, z: float, corner: NDArray[np.float64]) -> int:
    """The number of the cube of `CUTOFF` Å that a point lies in."""
    cube = math.floor((x - corner[0] + 1e-8) / CUTOFF)
    cube = cube * int(corner[4]) + math.floor((y - corner[1] + 1e-8) / CUTOFF)
    return cube * int(corner[5]) + math.floor((z - corner[2] + 1e-8) / CUTOFF)


@kernel(error_model="numpy")
def nearest(
    lattice: NDArray[np.float64], supplied: NDArray[np.float64], pbc: NDArray[np.bool_], kept: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The `kept` nearest neighbours of every atom within `CUTOFF`, nearest first.

    Args:
        lattice: ``(3, 3)``, rows a, b, c, Å.
        supplied: ``(n, 3)``, fractional coordinates, wrapped or not.
        pbc: ``(3,)``, periodic axes.
        kept: most neighbours of an atom.

    Returns:
        ``(n,)`` number of neighbours found, ``(n, kept)`` their site indices, ``(n, kept)`` distances, Å, and
        ``(n, kept, 3)`` vectors from the atom to the neighbour, Å.
    """
    n = len(supplied)
    cart = _cartesian(lattice, supplied)
    frac, cell, wrapped = _wrapped(lattice, cart, pbc)
    triangular = _lower_triangular(lattice)
    corner = np.empty(6)  # of the cubes, then how many there are along each axis
    for k in range(3):
        low, high = cart[:, k].min() - CUTOFF - TOLERANCE, cart[:, k].max() + CUTOFF + TOLERANCE
        corner[k], corner[3 + k] = low, math.ceil((high - low) / CUTOFF)
    # a sphere that holds 1.6 times as many atoms as are wanted if they were spread evenly
    volume = triangular[0, 0] * triangular[1, 1] * triangular[2, 2]
    start = min((4.8 * kept * volume / (4.0 * math.pi * n)) ** (1.0 / 3.0), CUTOFF)
    counts, sites = np.zeros(n, dtype=np.int64), np.zeros((n, kept), dtype=np.int64)
    distances, vectors = np.zeros((n, kept)), np.zeros((n, kept, 3))
    slots, ranks = np.empty(kept, dtype=np.int64), np.empty((kept, 5), dtype=np.int64)
    found = np.empty((kept, 3))
    for i in range(n):
        radius = start
        while True:
            counts[i] = _search(
                *(i, radius, lattice, triangular, pbc, cart[i], frac, cell, wrapped, corner),
                *(distances[i], slots, found, ranks),
            )
            if counts[i] == kept or radius >= CUTOFF:
                break
            radius = min(1.4 * radius, CUTOFF)
        for m in range(counts[i]):
            sites[i, m] = ranks[slots[m], 4]
            vectors[i, m] = found[slots[m]]
    return counts, sites, distances, vectors
