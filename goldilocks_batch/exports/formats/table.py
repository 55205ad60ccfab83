"""Comma-separated values: everything there is to know of a row's k-points."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from goldilocks_batch.exports.formats.interface import Notes
from goldilocks_batch.exports.rows import Item

__all__ = ["COLUMNS", "Csv"]

#: Names of the columns and what they hold; entries of lists are separated by spaces.
COLUMNS: dict[str, str] = {
    "id": "the structure's id",
    "formula": "reduced formula",
    "cell": "the cell that the mesh is for: supplied or primitive",
    "bound": "the bound that the mesh is made from",
    "mesh": "divisions along its reciprocal vectors",
    "shift": "of the mesh, always none",
    "gamma_centred": "always true",
    "kdist": "1/Å with the 2π",
    "kspacing_2pi": "a spacing that gives the mesh in VASP (KSPACING), AiiDA and ASE, 1/Å with the 2π",
    "kspacing_ase": "the same for ASE, 1/Å without the 2π",
    "n_kpoints": "points of the mesh",
    "n_kpoints_irreducible": "of these, inequivalent",
    "flags": "remarks on the row",
    "confidence": "one-sided",
    "tolerance": "meV per atom that the bounds are for",
    "model": "its name",
    "model_digest": "sha256 over its files",
    "lattice": "of the cell as supplied: a, b, c, Å",
    "primitive_lattice": "with the primitive cell: its vectors, Å",
    "primitive_transform": "with the primitive cell: its vectors in terms of those supplied, rows",
}


@dataclass(frozen=True, slots=True)
class Csv:
    """A table of k-points.

    Attributes:
        first: names of columns that stand before the others.
    """

    first: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """The names of the columns."""
        return _line([*self.first, *COLUMNS])

    def lines(self, item: Item, notes: Notes, *first: str) -> str:
        """A row."""
        found, row = item.kpoints, item.row
        if found.kspacing_2pi is None:
            notes.add("no kspacing_2pi gives the mesh by all codes' rules: take the mesh")
        transform = item.transform
        values = {
            "id": item.id,
            "formula": row["formula"],
            "cell": found.cell,
            "bound": found.bound,
            "mesh": _listed(found.mesh),
            "shift": _listed(found.shift),
            "gamma_centred": str(found.gamma_centred).lower(),
            "kdist": found.kdist,
            "kspacing_2pi": found.kspacing_2pi,
            "kspacing_ase": found.kspacing_ase,
            "n_kpoints": found.n_kpoints,
            "n_kpoints_irreducible": found.n_kpoints_irreducible,
            "flags": _listed(row["flags"] or ()),
            "confidence": row["confidence"],
            "tolerance": row.get("tolerance"),
            "model": row["model"],
            "model_digest": row["model_digest"],
            "lattice": _listed(item.supplied.lattice.ravel().tolist()),
            "primitive_lattice": None
            if transform is None
            else _listed(item.crystal.lattice.ravel().tolist()),
            "primitive_transform": None if transform is None else _listed(transform.ravel().tolist()),
        }
        return _line([*first, *(values[name] for name in COLUMNS)])


def _listed(values: Iterable[object]) -> str:
    return " ".join(map(str, values))


def _line(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
