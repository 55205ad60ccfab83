"""What the physics block knows of each element: valence, electronegativity, radii, oxidation states.

The numbers lie in ``elements.json`` beside this module, so that no release of a library moves a trained
model's features.  They are pymatgen's (Pauling electronegativity, group, row, block, atomic radius,
ionization energy, electron affinity, oxidation states, whether an element is a metal and no metalloid) and
ASE's covalent radii (Cordero et al., Dalton Trans. 2008, 2832); a test compares them with both libraries.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chemistry", "chemistry"]

#: Most oxidation states that an element is given.
MOST_STATES = 12

#: Electrons that an atom takes up to close its shell; zero for elements that are never anions here.
_WANTED = {
    1: 1,
    5: 3,
    6: 4,
    7: 3,
    8: 2,
    9: 1,
    14: 4,
    15: 3,
    16: 2,
    17: 1,
    32: 4,
    33: 3,
    34: 2,
    35: 1,
    50: 4,
    51: 3,
    52: 2,
    53: 1,
    82: 4,
    83: 3,
    84: 2,
    85: 1,
}


@dataclass(frozen=True, slots=True, eq=False)
class Chemistry:
    """Element data by atomic number; row 0 is no element.

    Attributes:
        numbers: ``(119, 12)`` float64: group, row, block (s 0, p 1, d 2, f 3), electronegativity, covalent
            radius (Å), valence electrons, electrons wanted, metal (0 or 1), atomic radius (Å), ionization
            energy (eV), electron affinity (eV), and 0.
        common: ``(119, 12)`` common oxidation states, filled up with NaN.
        lowest: ``(119,)`` the lowest known oxidation state.
        highest: ``(119,)`` the highest.
        cubes: ``(2, 119)`` of the covalent and of the atomic radius, Å³.
    """

    numbers: NDArray[np.float64]
    common: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    cubes: NDArray[np.float64]


@lru_cache(maxsize=1)
def chemistry() -> Chemistry:
    """The element data, read once."""
    rows = json.loads(Path(__file__).with_name("elements.json").read_text(encoding="utf-8"))
    numbers = np.zeros((len(rows) + 1, 12))
    common = np.full((len(rows) + 1, MOST_STATES), np.nan)
    common[:, 0] = 0.0
    lowest, highest = np.zeros(len(rows) + 1), np.zeros(len(rows) + 1)
    for z, row in enumerate(rows, start=1):
        numbers[z, :11] = (
            *(row["group"], row["row"], "spdf".index(row["block"]), row["electronegativity"]),
            *(row["covalent_radius"], _valence(z, row["group"]), _WANTED.get(z, 0), row["metal"]),
            *(row["atomic_radius"], row["ionization_energy"], row["electron_affinity"]),
        )
        states = row["common_oxidation_states"]
        common[z, : len(states)] = states
        lowest[z], highest[z] = row["oxidation_states"]
    return Chemistry(numbers, common, lowest, highest, np.ascontiguousarray((numbers[:, [4, 8]] ** 3).T))


def _valence(z: int, group: int) -> int:
    """Electrons outside closed shells; 4f and 5f electrons count as core."""
    if z == 2:
        return 2
    if 57 <= z <= 71 or 89 <= z <= 103:
        return 3
    return group if group <= 12 else group - 10
