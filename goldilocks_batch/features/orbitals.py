"""Orbitals of each element for a tight-binding calculation: levels, the size of d orbitals, electrons.

The numbers lie in ``orbitals.json`` beside this module.  Levels and d radii are those of the solid-state
table of W. A. Harrison, *Electronic Structure and the Properties of Solids* (1989): Hartree-Fock levels of s
and p electrons, and s and d levels of transition metals.  Lanthanides stand between lanthanum and lutetium, f
electrons in the core; At, Rn, Fr, Ra and the actinides are estimates.  Elements beyond lawrencium have none.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.features.chemistry import chemistry

__all__ = ["orbitals"]

#: Place of the covalent radius in :attr:`~goldilocks_batch.features.chemistry.Chemistry.numbers`.
_COVALENT = 4


@lru_cache(maxsize=1)
def orbitals() -> NDArray[np.float64]:
    """Orbitals by atomic number, ``(119, 6)``; row 0 is no element.

    Columns: levels of s, p and d (eV, NaN where there is none), radius of d orbitals (Å, or 0), electrons in
    these orbitals, covalent radius (Å).
    """
    rows = json.loads(Path(__file__).with_name("orbitals.json").read_text(encoding="utf-8"))
    table = np.full((len(rows) + 1, 6), np.nan)
    for z, row in enumerate(rows, start=1):
        levels = (np.nan if row[kind] is None else row[kind] for kind in "spd")
        table[z, :5] = (*levels, row["d_radius"], row["electrons"])
    table[:, 5] = chemistry().numbers[:, _COVALENT]
    return table
