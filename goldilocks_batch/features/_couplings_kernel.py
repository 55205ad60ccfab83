"""Compiled couplings between the s, p and d orbitals of two atoms.

They are those of W. A. Harrison, *Electronic Structure and the Properties of Solids* (1989), in the form of
Slater and Koster (Phys. Rev. 94, 1498): ``η ħ²/m r²`` at distance r, with ``r_d^(3/2) / r^(3/2)`` for each d
orbital.  A sum over all neighbours needs a decay that the book's nearest ones do not: couplings fall off from
1.2 times the sum of the covalent radii on and end at `REACH`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.compiled import kernel

__all__ = ["REACH", "couple"]

#: Å; no coupling reaches farther.
REACH = 5.5
#: Width of the last stretch in which couplings go to zero, Å.
_LAST = 0.5
#: ħ²/m, eV Å².
_HBAR2_M = 7.62
#: Columns of the table of orbitals.
_D, _RADIUS_D, _COVALENT = 2, 3, 5
_ROOT_2, _ROOT_3 = math.sqrt(2.0), math.sqrt(3.0)


@kernel(error_model="numpy")
def couple(
    here: NDArray[np.float64],
    there: NDArray[np.float64],
    r: float,
    x: float,
    y: float,
    z: float,
    block: NDArray[np.float64],
    tensors: NDArray[np.float64],
    arms: NDArray[np.float64],
) -> None:
    """Couplings of two atoms' orbitals: s; x, y, z; xy, yz, zx, x²-y², 3z²-r².

    Args:
        here: levels of the first atom.
        there: of the second.
        r: distance, Å.
        x: direction from the first to the second, a unit vector.
        y: likewise.
        z: likewise.
        block: ``(9, 9)`` is filled where both atoms have orbitals.
        tensors: ``(5,)`` for work: d orbitals along the direction.
        arms: ``(5, 3)`` for work: the tensor of each d orbital times the direction.
    """
    u = (x, y, z)
    decay = _decay(r, here[_COVALENT] + there[_COVALENT])
    v = _HBAR2_M / (r * r) * decay
    block[0, 0] = -1.32 * v
    for p in range(3):
        block[0, 1 + p] = 1.42 * v * u[p]
        block[1 + p, 0] = -1.42 * v * u[p]
        for q in range(3):
            block[1 + p, 1 + q] = 2.85 * v * u[p] * u[q]
        block[1 + p, 1 + p] -= 0.63 * v
    d_here, d_there = not math.isnan(here[_D]), not math.isnan(there[_D])
    if not (d_here or d_there):
        return
    tensors[0], tensors[1], tensors[2] = _ROOT_3 * x * y, _ROOT_3 * y * z, _ROOT_3 * z * x
    tensors[3], tensors[4] = 0.5 * _ROOT_3 * (x * x - y * y), 1.5 * z * z - 0.5
    arms[0, 0], arms[0, 1], arms[0, 2] = y / _ROOT_2, x / _ROOT_2, 0.0
    arms[1, 0], arms[1, 1], arms[1, 2] = 0.0, z / _ROOT_2, y / _ROOT_2
    arms[2, 0], arms[2, 1], arms[2, 2] = z / _ROOT_2, 0.0, x / _ROOT_2
    arms[3, 0], arms[3, 1], arms[3, 2] = x / _ROOT_2, -y / _ROOT_2, 0.0
    arms[4, 0], arms[4, 1] = -x / (_ROOT_2 * _ROOT_3), -y / (_ROOT_2 * _ROOT_3)
    arms[4, 2] = _ROOT_2 * z / _ROOT_3
    for t in range(5):
        along = math.sqrt(2.0 / 3.0) * tensors[t]
        for p in range(3):
            arms[t, p] -= along * u[p]
    w = _HBAR2_M / r**3.5 * decay
    w_here, w_there = w * here[_RADIUS_D] ** 1.5, w * there[_RADIUS_D] ** 1.5
    for t in range(5):
        if d_there:
            block[0, 4 + t] = -3.16 * w_there * tensors[t]
            for p in range(3):
                pi = _ROOT_2 * arms[t, p]
                block[1 + p, 4 + t] = w_there * (-2.95 * u[p] * tensors[t] + 1.36 * pi)
        if d_here:
            block[4 + t, 0] = -3.16 * w_here * tensors[t]
            for p in range(3):
                pi = _ROOT_2 * arms[t, p]
                block[4 + t, 1 + p] = -w_here * (-2.95 * u[p] * tensors[t] + 1.36 * pi)
    if d_here and d_there:
        both = _HBAR2_M * (here[_RADIUS_D] * there[_RADIUS_D]) ** 1.5 / r**5 * decay
        for s in range(5):
            for t in range(5):
                pi = 2.0 * (arms[s, 0] * arms[t, 0] + arms[s, 1] * arms[t, 1] + arms[s, 2] * arms[t, 2])
                block[4 + s, 4 + t] = both * (-16.2 * tensors[s] * tensors[t] + 8.75 * pi)


@kernel(error_model="numpy")
def _decay(r: float, radii: float) -> float:
    """What is left of a coupling between atoms whose covalent radii add up to ``radii``."""
    beyond = max(r / radii - 1.2, 0.0)
    near = min(1.0, (r / (0.75 * radii)) ** 3)
    last = min(1.0, (REACH - r) / _LAST)
    return math.exp(-beyond * beyond / 0.12) * near * last
