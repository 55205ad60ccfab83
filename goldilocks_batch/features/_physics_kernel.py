"""Compiled parts of the physics block: electrons of a composition, contacts between neighbours.

``table`` is :attr:`~goldilocks_batch.features.chemistry.Chemistry.numbers`, whose columns are named below.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["contacts", "electrons"]

_GROUP, _ROW, _BLOCK, _CHI, _COVALENT, _VALENCE, _WANTED, _METAL, _RADIUS, _IONIZATION, _AFFINITY = range(11)
#: Combinations of oxidation states that are tried, at most.
_MOST_COMBINATIONS = 20_000
#: Distances that differ by less are of one shell, Å.
_SAME = 0.01
#: From this electronegativity on, an element that wants electrons is an anion beside any other.
_ANION = 2.5


@kernel(error_model="numpy")
def electrons(
    elements: NDArray[np.int64],
    counts: NDArray[np.int64],
    volume: float,
    lengths: NDArray[np.float64],
    table: NDArray[np.float64],
    common: NDArray[np.float64],
    lowest: NDArray[np.float64],
    highest: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Electron counts of a cell and what its elements do with them.

    Args:
        elements: ``(k,)`` atomic numbers, each once.
        counts: ``(k,)`` atoms of each in the cell.
        volume: of the cell, Å³.
        lengths: ``(3,)`` of the reciprocal vectors, descending, 1/Å.
        table: element data.
        common: ``(119, m)`` common oxidation states, filled up with NaN.
        lowest: ``(119,)`` lowest oxidation states.
        highest: ``(119,)`` highest ones.
        out: ``(54,)`` is filled.
    """
    k, n = len(elements), counts.sum()
    share = counts / n
    t = table[elements]
    valence = 0.0
    for i in range(k):
        valence += counts[i] * t[i, _VALENCE]
    fermi = (3.0 * math.pi**2 * valence / volume) ** (1.0 / 3.0)
    out[0:6] = valence, valence / n, valence % 2, valence % 4, valence % 8, fermi
    for i in range(3):
        out[6 + i] = 2.0 * fermi / lengths[i]
    out[9] = (3.0 * volume / (4.0 * math.pi * max(valence, 1.0))) ** (1.0 / 3.0)
    _electronegativities(share, t, out[10:19])
    _shares(elements, share, t, out[19:34])
    _balance(elements, counts, share, t, valence, out[34:45])
    out[45] = _least_charge(elements, counts, common) / n
    out[46] = 1.0 if out[45] * n < 1e-9 else 0.0
    out[47:51] = 0.0
    for i in range(k):
        z = elements[i]
        smallest, largest = np.inf, -np.inf
        for state in common[z]:
            if not math.isnan(state):
                smallest, largest = min(smallest, state), max(largest, state)
        out[47] += share[i] * smallest
        out[48] += share[i] * largest
        out[49] += share[i] * lowest[z]
        out[50] += share[i] * highest[z]
    out[51], out[52], out[53] = k, share.max(), -(share * np.log(share)).sum()


@kernel(error_model="numpy")
def _electronegativities(
    share: NDArray[np.float64], t: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    chi = t[:, _CHI]
    mean = (share * chi).sum()
    out[0], out[1] = mean, math.sqrt((share * (chi - mean) ** 2).sum())
    out[2] = chi.max() - chi.min()
    out[3] = 0.0
    for i in range(len(share)):
        for j in range(len(share)):
            out[3] += share[i] * share[j] * abs(chi[i] - chi[j])
    out[4] = math.exp((share * np.log(chi)).sum())
    ionization, affinity = t[:, _IONIZATION], t[:, _AFFINITY]
    out[5], out[6], out[7] = ionization.min(), (share * ionization).sum(), affinity.max()
    out[8] = ionization.min() - affinity.max()


@kernel(error_model="numpy")
def _shares(
    elements: NDArray[np.int64], share: NDArray[np.float64], t: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    out[:] = 0.0
    for i in range(len(elements)):
        z, f, group, block = elements[i], share[i], int(t[i, _GROUP]), int(t[i, _BLOCK])
        metal = t[i, _METAL] > 0
        out[0] += f * metal
        out[1] += f * (group == 1 and z != 1)
        out[2] += f * (group == 2)
        out[3] += f * (block == 2)
        out[4] += f * (block == 3)
        out[5] += f * (metal and block == 1)
        out[6] += f * (z == 5 or z == 14 or z == 32 or z == 33 or z == 51 or z == 52)
        out[7] += f * (z == 1)
        if 6 <= z <= 9:
            out[2 + z] += f
        out[12] += f * (group == 17)
        out[13] += f * (group == 16)
        out[14] += f * (group == 15)


@kernel(error_model="numpy")
def _balance(
    elements: NDArray[np.int64],
    counts: NDArray[np.int64],
    share: NDArray[np.float64],
    t: NDArray[np.float64],
    valence: float,
    out: NDArray[np.float64],
) -> None:
    """Electrons that anions want and the others give, and what is left on transition metals."""
    k, n = len(elements), counts.sum()
    top = t[:, _CHI].max()
    anion = np.zeros(k, dtype=np.bool_)
    if k > 1:
        for i in range(k):
            chi = t[i, _CHI]
            hydride = elements[i] == 1 and top < 2.3
            anion[i] = t[i, _WANTED] > 0 and (chi >= _ANION or hydride or chi >= top - 0.35)
        if anion.all():
            anion = t[:, _CHI] == top
    wanted = given = anions = 0.0
    others = metals = groups = rows = held = anion_share = 0.0
    for i in range(k):
        transition = t[i, _BLOCK] == 2 and t[i, _GROUP] <= 11
        if anion[i]:
            wanted += counts[i] * t[i, _WANTED]
            anions += counts[i]
            anion_share += share[i]
        else:
            given += counts[i] * t[i, _VALENCE]
            if not transition:
                others += counts[i] * t[i, _VALENCE]
        if transition:
            metals += counts[i]
            held += counts[i] * t[i, _VALENCE]
            groups += counts[i] * t[i, _GROUP]
            rows += counts[i] * t[i, _ROW]
    excess = given - wanted
    some = max(anions, 1.0)
    out[0:5] = wanted / n, given / n, excess / n, excess, given / max(wanted, 0.5)
    out[5] = valence / some if anions > 0 else 99.0
    out[6], out[7] = excess / some, anion_share
    out[8], out[9], out[10] = -9.0, 0.0, 0.0
    if metals > 0:
        out[8] = (held - (wanted - others)) / metals
        out[9], out[10] = groups / metals, rows / metals


@kernel(error_model="numpy")
def _least_charge(
    elements: NDArray[np.int64], counts: NDArray[np.int64], common: NDArray[np.float64]
) -> float:
    """Smallest absolute charge of the cell with one common oxidation state for each element."""
    k = len(elements)
    places = np.zeros(k, dtype=np.int64)
    best = np.inf
    for _ in range(_MOST_COMBINATIONS):
        charge = 0.0
        for i in range(k):
            charge += counts[i] * common[elements[i], places[i]]
        best = min(best, abs(charge))
        at = 0
        while at < k:
            places[at] += 1
            if places[at] < common.shape[1] and not math.isnan(common[elements[at], places[at]]):
                break
            places[at] = 0
            at += 1
        if at == k:
            break
    return best


@kernel(error_model="numpy")
def _whole_shells(found: NDArray[np.int64], distances: NDArray[np.float64]) -> NDArray[np.int64]:
    """Neighbours of each atom without those of a last shell that the limit may have cut.

    Which atoms of a cut shell are among the nearest depends on the cell.
    """
    whole = found.copy()
    for i in range(len(found)):
        if found[i] == distances.shape[1]:
            last = distances[i, found[i] - 1]
            while whole[i] > 0 and distances[i, whole[i] - 1] > last - _SAME:
                whole[i] -= 1
            if whole[i] == 0:
                whole[i] = found[i]
    return whole


@kernel(error_model="numpy")
def contacts(
    numbers: NDArray[np.int64],
    found: NDArray[np.int64],
    sites: NDArray[np.int64],
    distances: NDArray[np.float64],
    vectors: NDArray[np.float64],
    table: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Contacts of a cell: who touches whom, how closely, in which directions.

    A contact's length is relative to the sum of covalent radii, its weight ``exp(-(r / r_min - 1) / 0.15)``,
    ``r_min`` being the atom's shortest, or nothing beyond 1.8 times it.

    Args:
        numbers: ``(n,)`` atomic numbers.
        found: ``(n,)`` neighbours of each.
        sites: ``(n, m)`` which atoms they are.
        distances: ``(n, m)``, Å.
        vectors: ``(n, m, 3)``, Å.
        table: element data.
        out: ``(21,)`` is filled.
    """
    n = len(numbers)
    found = _whole_shells(found, distances)
    out[:] = 0.0
    out[8] = out[11] = out[17] = 5.0
    weights, sums = np.zeros(distances.shape), np.zeros(n)
    total = length = square = difference = alike = 0.0
    pairs = np.zeros(3)  # metal with metal, metal with other, other with other
    tensor = np.zeros((3, 3))
    shortest, moment, metal_moment, metals = np.inf, 0.0, 0.0, 0
    most_transition = 0.0
    for i in range(n):
        first = np.inf
        here = table[numbers[i]]
        for m in range(found[i]):
            there = table[numbers[sites[i, m]]]
            first = min(first, distances[i, m] / (here[_COVALENT] + there[_COVALENT]))
        second = transition = 0.0
        is_transition = here[_BLOCK] == 2 and here[_GROUP] <= 11
        for m in range(found[i]):
            there = table[numbers[sites[i, m]]]
            r = distances[i, m] / (here[_COVALENT] + there[_COVALENT])
            w = math.exp(-(r / first - 1.0) / 0.15) if r <= 1.8 * first else 0.0
            weights[i, m] = w
            sums[i] += w
            total += w
            length += w * r
            square += w * r * r
            shortest = min(shortest, r)
            second += math.exp(-2.0 * (r - 1.0) / 0.35)
            kind = 2 - int(here[_METAL] + there[_METAL])
            pairs[kind] += w
            if kind == 0:
                out[8] = min(out[8], r)
            elif kind == 2:
                out[11] = min(out[11], r)
            apart = abs(here[_CHI] - there[_CHI])
            difference += w * apart
            if w > 0.3:
                out[13] = max(out[13], apart)
            alike += w * (numbers[i] == numbers[sites[i, m]])
            if is_transition and there[_BLOCK] == 2 and there[_GROUP] <= 11:
                out[17] = min(out[17], distances[i, m] * 0.4)
                transition += w
            for a in range(3):
                for b in range(3):
                    tensor[a, b] += w * vectors[i, m, a] * vectors[i, m, b] / distances[i, m] ** 2
        moment += second / n
        if here[_METAL] > 0:
            metal_moment += second
            metals += 1
        most_transition = max(most_transition, transition)
    if total == 0.0:
        return
    mean = length / total
    out[0], out[1], out[2] = shortest, mean, math.sqrt(max(square / total - mean * mean, 0.0))
    out[3], out[4], out[5], out[6] = sums.mean(), sums.max(), sums.min(), sums.std()
    out[7], out[9], out[10] = pairs[0] / total, pairs[1] / total, pairs[2] / total
    out[12] = difference / total
    values = np.linalg.eigvalsh(tensor / total)
    out[14] = values[0]
    out[15] = moment
    out[16] = metal_moment / max(metals, 1)
    out[18] = most_transition
    out[19] = alike / total
    out[20] = values[2] - values[0]
