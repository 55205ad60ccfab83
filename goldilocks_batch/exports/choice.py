"""The k-points of a row: the mesh, the cell that it is for, and the spacings that give it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.config.choices import Grid, MeshCell
from goldilocks_batch.core.errors import ConfigError, ErrorCode, Stage, StructureError
from goldilocks_batch.core.text import nearest
from goldilocks_batch.kpoints.mesh import mesh
from goldilocks_batch.kpoints.spacing import aiida_keeps, spacing_within
from goldilocks_batch.structures.crystal import Crystal, formula

if TYPE_CHECKING:
    from pymatgen.io.vasp.inputs import Kpoints

__all__ = ["KPoints", "kpoints", "kpoints_of"]

#: Relative error of a cell that has been through another format.
_REWRITTEN = 1e-6


@dataclass(frozen=True, slots=True)
class KPoints:
    """The k-points of a row, for one of its cells.

    Attributes:
        cell: the one that the mesh is for: as supplied, or primitive.
        bound: the one that the mesh is made from.
        mesh: divisions along the reciprocal vectors of that cell; Γ-centred, without a shift.
        kdist: the k-distance that the mesh is made from, 1/Å, with the 2π.
        n_kpoints: points of the mesh.
        n_kpoints_irreducible: of these, inequivalent by symmetry and k = -k; None where it is not known.
        kspacing_2pi: a spacing from which VASP (``KSPACING``), AiiDA and ASE all make this mesh, 1/Å, with
            the 2π; None without the structure, or where no single number does.
        kspacing_ase: the same for ASE, without the 2π; axes that are not periodic are left out.
        kpoints_distance: the same for AiiDA-QuantumESPRESSO, with the 2π; axes that are not periodic are left
            out.
    """

    cell: MeshCell
    bound: Grid
    mesh: tuple[int, int, int]
    kdist: float
    n_kpoints: int
    n_kpoints_irreducible: int | None = None
    kspacing_2pi: float | None = None
    kspacing_ase: float | None = None
    kpoints_distance: float | None = None

    @property
    def shift(self) -> tuple[int, int, int]:
        """None along any axis."""
        return (0, 0, 0)

    @property
    def gamma_centred(self) -> bool:
        """Always so."""
        return True

    @property
    def is_gamma(self) -> bool:
        """Whether Γ is the only point."""
        return self.n_kpoints == 1

    def to_vasp(self) -> Kpoints:
        """As a ``KPOINTS`` file: pymatgen's ``Kpoints.gamma_automatic``."""
        from pymatgen.io.vasp.inputs import Kpoints

        return Kpoints.gamma_automatic(self.mesh)

    def to_espresso(self) -> str:
        """As the card ``K_POINTS automatic`` of pw.x."""
        return f"K_POINTS automatic\n{' '.join(map(str, (*self.mesh, *self.shift)))}\n"

    def to_ase(self) -> dict[str, Any]:
        """As the keywords of ASE's calculators."""
        return {"kpts": self.mesh, "gamma": True}


def kpoints(
    row: Mapping[str, Any],
    structure: Any = None,
    *,
    cell: MeshCell = "supplied",
    bound: Grid | None = None,
) -> KPoints:
    """The k-points of a row of a result table.

    Args:
        row: of the table of :func:`goldilocks_batch.read_results` or :func:`goldilocks_batch.predict`, as its
            ``to_pylist`` gives it.
        structure: the structure, in the cell that is asked for: a pymatgen ``Structure``, ASE ``Atoms`` or a
            ``Crystal``.  Spacings need it; it is held to the row.
        cell: the one that the mesh is for.
        bound: lower, median or upper; None for the recommended mesh, that of the run's ``grid``.

    Returns:
        The mesh, with the spacings that give it if the structure was given.

    Raises:
        ConfigError: CONFIG_INVALID, there is no such cell or bound, or an object is no structure.
        StructureError: the row failed (with its own code); BOUND_MISSING, the model gives no such bound;
            STRUCTURE_CHANGED, the structure is not that of the row, or in another cell.
    """
    _one_of("cell", cell, MeshCell)
    if bound is not None:
        _one_of("bound", bound, Grid)
    crystal = None if structure is None else _crystal(structure)
    return kpoints_of(row, crystal, cell=cell, bound=bound)


def kpoints_of(
    row: Mapping[str, Any], crystal: Crystal | None, *, cell: MeshCell, bound: Grid | None
) -> KPoints:
    """As :func:`kpoints`, for a crystal."""
    if row["status"] != "ok":
        raise _failure(row)
    prefix = "" if cell == "supplied" else "primitive_"
    end = "" if bound is None else f"_{bound}"
    counts, kdist = row[f"{prefix}mesh{end}"], row[f"kdist{end}"]
    if counts is None or kdist is None:
        raise StructureError(
            ErrorCode.BOUND_MISSING,
            f"the row has no {bound or 'recommended'} mesh: {row.get('model')} gives no such bound",
            stage=Stage.MESH,
            structure_id=row["id"],
        )
    first, second, third = map(int, counts)
    recommended = [*counts] == [*row[f"{prefix}mesh"]]
    found = KPoints(
        cell,
        bound or _bound_of(row),
        (first, second, third),
        float(kdist),
        first * second * third,
        row.get(f"{prefix}n_kpoints_irreducible") if recommended else None,
    )
    return found if crystal is None else _with_spacings(found, row, crystal)


def _with_spacings(found: KPoints, row: Mapping[str, Any], crystal: Crystal) -> KPoints:
    """The same k-points with the spacings that give them in a cell, which is held to the row."""
    _check(found, row, crystal)
    lattice, pbc = crystal.lattice, crystal.pbc.tolist()
    known = spacing_within(found.mesh, lattice, found.kdist, pbc)
    everywhere = known if all(pbc) else spacing_within(found.mesh, lattice, found.kdist)
    return KPoints(
        found.cell,
        found.bound,
        found.mesh,
        found.kdist,
        found.n_kpoints,
        found.n_kpoints_irreducible,
        everywhere,
        None if known is None else known / (2 * math.pi),
        known if known is not None and aiida_keeps(found.mesh, lattice, pbc) else None,
    )


def _check(found: KPoints, row: Mapping[str, Any], crystal: Crystal) -> None:
    """Hold a structure to a row: formula, sites, and the mesh that the k-distance gives in its cell."""
    sites = row["n_sites"] if found.cell == "supplied" else row["n_sites_primitive"]
    if row["formula"] != formula(crystal.numbers) or sites != len(crystal):
        raise _changed(
            row,
            f"{formula(crystal.numbers)} with {len(crystal)} sites, and the row is of {row['formula']} with "
            f"{sites} in its {found.cell} cell",
        )
    counts, here = np.array(found.mesh), _meshes(found.kdist, crystal)
    if (counts == here).all(axis=1).any():
        return
    fewest = _meshes(found.kdist * (1 + _REWRITTEN), crystal)
    most = _meshes(found.kdist * (1 - _REWRITTEN), crystal)
    if not ((fewest <= counts) & (counts <= most)).all(axis=1).any():
        mesh_here = "×".join(map(str, here[0]))
        raise _changed(
            row,
            f"a cell in which {found.kdist:g} 1/Å gives the mesh {mesh_here}, and the row's is "
            f"{'×'.join(map(str, found.mesh))} in its {found.cell} cell",
        )


def _meshes(kdist: float, crystal: Crystal) -> NDArray[np.int64]:
    """``(2, 3)``: the meshes of a distance, plain and with equal counts along equal axes."""
    arguments = np.array([kdist]), crystal.lattice[None], crystal.pbc[None]
    return np.concatenate([mesh(*arguments), mesh(*arguments, equal_axes=True)])


def _changed(row: Mapping[str, Any], found: str) -> StructureError:
    return StructureError(
        ErrorCode.STRUCTURE_CHANGED,
        f"the structure is {found}: it is not the one that the row was computed from",
        stage=Stage.MESH,
        structure_id=row["id"],
    )


def _bound_of(row: Mapping[str, Any]) -> Grid:
    """The bound that a row's recommended mesh is made from; the densest where several are one."""
    names: Sequence[Grid] = get_args(Grid)
    return next((name for name in names if row[f"kdist_{name}"] == row["kdist"]), "lower")


def _failure(row: Mapping[str, Any]) -> StructureError:
    known = {code.value: code for code in ErrorCode}
    stages = {stage.value: stage for stage in Stage}
    return StructureError(
        known.get(row["error_code"], ErrorCode.INTERNAL),
        row["error_message"] or "the row has no result",
        stage=stages.get(row["stage"], Stage.WORKER),
        structure_id=row["id"],
    )


def _crystal(structure: Any) -> Crystal:
    from goldilocks_batch.structures.read import load
    from goldilocks_batch.structures.sources.memory import reference_of

    return load(reference_of(0, structure), max_sites=10**6)


def _one_of(name: str, value: str, words: object) -> None:
    known = get_args(words)
    if value not in known:
        hint = nearest(str(value), [str(word) for word in known])
        raise ConfigError(ErrorCode.CONFIG_INVALID, f"{name} is {value!r}: {hint}")
