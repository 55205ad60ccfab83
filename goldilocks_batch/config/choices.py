"""Options that are one of a few words, each defined once for configuration, command line and library."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "Cell",
    "Device",
    "DialectName",
    "ExecutorName",
    "ExportFormat",
    "FeatureSchema",
    "Grid",
    "MeshCell",
    "NetworkSchema",
    "SingleSite",
    "TargetKind",
]

#: The cell that a model is trained and asked on: pymatgen's primitive cell, which averages sites up to 0.25 Å
#: apart, or the exact one.  The model says which.
Cell = Literal["averaged", "exact"]
#: Dialects of manifests; see ``goldilocks_batch.structures.sources.dialects``.
DialectName = Literal["path", "cif", "poscar", "structure", "optimade", "ase", "goldilocks"]
#: Which kdist the recommended mesh is made from.
Grid = Literal["lower", "median", "upper"]
#: What graph networks do with a cell of one atom, which has no bond angles: skip the layers that use them, as
#: the published application does, or double the cell along its periodic axes first.
SingleSite = Literal["skip", "supercell"]
#: The cell of a mesh: as supplied, or the exact primitive one.
MeshCell = Literal["supplied", "primitive"]
#: Codes whose inputs are written from rows, and a table for all others.
ExportFormat = Literal["vasp", "qe", "aiida", "atomate2", "ase", "csv"]
#: Where networks run; auto: on GPUs, in as many processes as these have memory for, else on the cores.
Device = Literal["auto", "cpu", "cuda"]
#: Who does the shards of a run.
ExecutorName = Literal["local", "serial", "slurm"]
#: What labels are: k-distances in 1/Å with the 2π, or k-point lengths L in Å, whose kdist is 2π/L.
TargetKind = Literal["kdist", "kpoint_length"]
#: Feature schemas without SOAP, which graphs take the place of; the last has the published networks' columns.
NetworkSchema = Literal["comp_lattice.v1", "comp_struct_lattice.v1", "comp_struct_lattice_metal.v1"]
#: Feature schemas of forests; those with metal need the metallicity network.
FeatureSchema = Literal[
    "comp_lattice.v1",
    "comp_struct_lattice.v1",
    "comp_struct_soap_lattice.v1",
    "comp_struct_soap_lattice_metal.v1",
    "comp_struct_lattice_metal.v1",
]
