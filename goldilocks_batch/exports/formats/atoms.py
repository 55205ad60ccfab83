"""Extended XYZ by ASE, and crystals as ASE has them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from goldilocks_batch.exports.formats.interface import Notes
from goldilocks_batch.exports.rows import Item
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["Xyz", "atoms_of"]


def atoms_of(crystal: Crystal) -> Any:
    """A crystal as ASE's ``Atoms``, sites in the same order."""
    from ase import Atoms

    return Atoms(
        numbers=crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac, pbc=crystal.pbc
    )


@dataclass(frozen=True, slots=True)
class Xyz:
    """Extended XYZ; what calculators take is in ``info``."""

    @property
    def head(self) -> str:
        """Nothing."""
        return ""

    def lines(self, item: Item, notes: Notes) -> str:
        """A frame."""
        from ase.io.extxyz import write_extxyz

        atoms, found = atoms_of(item.crystal), item.kpoints
        atoms.info = {
            "id": item.id,
            "kpts": np.array(found.mesh),
            "gamma": True,
            "kdist": found.kdist,
            "cell_of_mesh": found.cell,
            "bound": found.bound,
        }
        if found.kspacing_ase is None:
            notes.add("no spacing gives the mesh: take kpts")
        else:
            atoms.info["kspacing_ase"] = found.kspacing_ase
        if item.transform is not None:
            atoms.info["primitive_transform"] = item.transform
        text = io.StringIO()
        write_extxyz(text, [atoms], columns=["symbols", "positions"], write_results=False)
        return text.getvalue()
