"""Bonds and angles that are alike, so that a network needs to look at one of each kind only.

On the line graph a bond's features start from its length, and every layer adds what comes in along its
line-graph edges: the features of other bonds and the cosines of angles.  Two bonds of equal length start
equal, and stay equal in a layer if what comes in is the same collection of (kind of bond, angle).  Sorting
bonds into kinds by this rule, layer by layer, is colour refinement (Weisfeiler and Leman, 1968) on the line
graph; its kinds are those that a message-passing network of this depth cannot tell apart, whatever its
weights, up to rounding.

In MC3D's primitive cells there are 9 times fewer kinds than bonds before the first layer, 3, 1.7 and 1.4
times after the first, second and third: symmetry, as far as the choice of 12 neighbours has left it in the
graph.

Lengths and cosines count as equal when they round to the same multiple of `RESOLUTION`, which is near the
spacing of float32 numbers of their size.  Two values either side of a boundary make two kinds where one
would do; the result is the same.  Kinds are compared by 64-bit hashes; the chance that two different ones
collide is below 1e-14.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel
from goldilocks_batch.networks.graphs.bonds import CrystalGraph

__all__ = ["RESOLUTION", "BondClasses", "bond_classes"]

#: Å for lengths, and for cosines: 2⁻²².
RESOLUTION = 2.0**-22

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True, eq=False)
class BondClasses:
    """Kinds of bonds before each layer and after the last, and kinds of angles.

    Attributes:
        kind: ``(depth + 1, n_bonds)`` int32, the kind of each bond, numbered from 0 in every row.
        example: for each row of `kind`, ``(n_kinds,)`` int32, the first bond of each kind.
        angle_kind: ``(n_line_edges,)`` int32, the kind of each line-graph edge's angle.
        cosine: ``(n_angle_kinds,)`` float32, the first cosine of each kind.
    """

    kind: NDArray[np.int32]
    example: tuple[NDArray[np.int32], ...]
    angle_kind: NDArray[np.int32]
    cosine: NDArray[np.float32]


def bond_classes(graph: CrystalGraph, depth: int) -> BondClasses:
    """Sort the bonds of a graph into kinds for a network with `depth` layers on the line graph."""
    angle_kind, first_angle = _numbered(_rounded(graph.cosine))
    kind = np.empty((depth + 1, graph.n_bonds), dtype=np.int32)
    kind[0], first = _numbered(_rounded(graph.distance))
    example = [first]
    for layer in range(depth):
        keys = _incoming(kind[layer], graph.line_into, graph.line_source, angle_kind)
        kind[layer + 1], first = _numbered(keys)
        example.append(first)
    return BondClasses(kind, tuple(example), angle_kind, graph.cosine[first_angle])


@kernel(error_model="numpy")
def _mixed(key: np.uint64) -> np.uint64:
    """A 64-bit number in which every bit depends on every bit of the key (SplitMix64's finaliser)."""
    key = key + _STEP
    key = (key ^ (key >> np.uint64(30))) * _FIRST
    key = (key ^ (key >> np.uint64(27))) * _SECOND
    return key ^ (key >> np.uint64(31))


@kernel(error_model="numpy")
def _rounded(values: NDArray[np.floating]) -> NDArray[np.uint64]:
    """Mixed keys of values rounded to `RESOLUTION`."""
    keys = np.empty(len(values), dtype=np.uint64)
    for i in range(len(values)):
        keys[i] = _mixed(np.uint64(np.int64(np.rint(values[i] / RESOLUTION))))
    return keys


@kernel(error_model="numpy")
def _incoming(
    kind: NDArray[np.int32],
    line_into: NDArray[np.int32],
    line_source: NDArray[np.int32],
    angle_kind: NDArray[np.int32],
) -> NDArray[np.uint64]:
    """Mixed keys of each bond's own kind and the collection of (kind, angle) that comes into it."""
    keys = np.empty(len(kind), dtype=np.uint64)
    for e in range(len(kind)):
        total = np.uint64(0)
        for k in range(line_into[e], line_into[e + 1]):
            pair = (np.int64(kind[line_source[k]]) << 32) | np.int64(angle_kind[k])
            total += _mixed(np.uint64(pair))
        keys[e] = _mixed(total ^ _mixed(np.uint64(~np.int64(kind[e]))))
    return keys


@kernel(error_model="numpy")
def _numbered(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number equal keys alike, in order of appearance: ``(n,)``, and where each number first occurs."""
    size = 16
    while size < 2 * len(keys):
        size *= 2
    slots = np.full(size, -1, dtype=np.int32)
    number = np.empty(len(keys), dtype=np.int32)
    first = np.empty(len(keys), dtype=np.int32)
    count = 0
    for i in range(len(keys)):
        slot = np.int64(keys[i] & np.uint64(size - 1))
        while slots[slot] >= 0 and keys[first[slots[slot]]] != keys[i]:
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot] = count
            first[count] = i
            count += 1
        number[i] = slots[slot]
    return number, first[:count].copy()
