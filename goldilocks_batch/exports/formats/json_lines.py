"""JSON Lines for workflow managers: AiiDA-QuantumESPRESSO and atomate2."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from goldilocks_batch.exports.formats.interface import Notes
from goldilocks_batch.exports.rows import Item

__all__ = ["Aiida", "Atomate2"]


@dataclass(frozen=True, slots=True)
class Aiida:
    """Structure, k-points, and the overrides that AiiDA-QuantumESPRESSO's protocols take (version 5)."""

    @property
    def head(self) -> str:
        """Nothing."""
        return ""

    def lines(self, item: Item, notes: Notes) -> str:
        """A JSON object; ``structure`` is what ``ase.Atoms.fromdict`` takes.

        Where no distance gives the mesh by AiiDA's rule, ``kpoints_distance`` is null and there are no
        overrides: the mesh is to be given as ``KpointsData``.
        """
        distance = item.kpoints.kpoints_distance
        overrides: dict[str, Any] | None = None
        if distance is None:
            notes.add("no kpoints_distance gives the mesh: give AiiDA kpoints_mesh")
        else:
            base = {"kpoints_distance": distance}
            overrides = {
                "PwBaseWorkChain": base,
                "PwRelaxWorkChain": {"base_relax": base},
                "PwBandsWorkChain": {"scf": base},
            }
        crystal = item.crystal
        structure = {
            "numbers": crystal.numbers.tolist(),
            "positions": crystal.cart.tolist(),
            "cell": crystal.lattice.tolist(),
            "pbc": crystal.pbc.tolist(),
        }
        return _line(
            item,
            structure=structure,
            kpoints_distance=distance,
            kpoints_mesh=list(item.kpoints.mesh),
            overrides=overrides,
        )


@dataclass(frozen=True, slots=True)
class Atomate2:
    """Pymatgen's ``Structure`` and ``Kpoints`` as dictionaries."""

    @property
    def head(self) -> str:
        """Nothing."""
        return ""

    def lines(self, item: Item, notes: Notes) -> str:
        """A JSON object; ``kpoints`` is what ``update_user_kpoints_settings`` takes."""
        if not item.crystal.pbc.all():
            notes.add("axis that is not periodic: VASP takes every axis for periodic")
        return _line(
            item, structure=item.crystal.to_pymatgen().as_dict(), kpoints=item.kpoints.to_vasp().as_dict()
        )


def _line(item: Item, **values: Any) -> str:
    found = item.kpoints
    transform = None if item.transform is None else item.transform.tolist()
    about = {"id": item.id, "cell": found.cell, "bound": found.bound, "kdist": found.kdist}
    return json.dumps(about | values | {"primitive_transform": transform}, ensure_ascii=False) + "\n"
