"""``POSCAR`` and ``KPOINTS``, or ``KSPACING`` with ``KGAMMA``, by pymatgen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goldilocks_batch.exports.formats.interface import Notes
from goldilocks_batch.exports.rows import Item
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["Vasp"]


@dataclass(frozen=True, slots=True)
class Vasp:
    """Inputs of VASP.

    Attributes:
        kspacing: write the mesh as ``KSPACING`` and ``KGAMMA`` of an ``INCAR`` where a spacing gives it.
    """

    kspacing: bool = False

    def files(self, item: Item, notes: Notes) -> dict[str, str]:
        """``POSCAR``, sites of an element together, and ``KPOINTS`` or ``INCAR``."""
        from pymatgen.io.vasp.inputs import Incar, Poscar

        if not item.crystal.pbc.all():
            notes.add("axis that is not periodic: VASP takes every axis for periodic")
        structure = _grouped(item.crystal).to_pymatgen()
        texts = {"POSCAR": Poscar(structure, comment=_comment(item)).get_str()}
        spacing = item.kpoints.kspacing_2pi
        if self.kspacing and spacing is not None:
            return texts | {"INCAR": str(Incar({"KSPACING": spacing, "KGAMMA": True}))}
        if self.kspacing:
            notes.add("no KSPACING gives the mesh: KPOINTS was written")
        return texts | {"KPOINTS": str(item.kpoints.to_vasp())}


def _grouped(crystal: Crystal) -> Crystal:
    """The crystal with the sites of each element together, for a POTCAR with each once."""
    _, first, kinds = np.unique(crystal.numbers, return_index=True, return_inverse=True)
    order = np.argsort(first[kinds], kind="stable")
    return Crystal(crystal.lattice, crystal.frac[order], crystal.numbers[order], crystal.pbc)


def _comment(item: Item) -> str:
    """One line of ASCII."""
    return f"{ascii(item.id)[1:-1]}, {item.kpoints.cell} cell"
