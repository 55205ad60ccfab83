"""The result table: every column with its type, unit and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pyarrow as pa

__all__ = ["COLUMNS", "RESULT_SCHEMA_ID", "Column", "failure_schema", "result_schema"]

#: Changes whenever a column is renamed, removed or changes its meaning.
RESULT_SCHEMA_ID = "goldilocks_batch.results.v1"

_MESH = pa.list_(pa.int32(), 3)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the result table.

    Attributes:
        name: the column's name.
        type: its Arrow type.
        unit: its unit, ``""`` for none.
        text: what it holds.
    """

    name: str
    type: pa.DataType
    unit: str
    text: str


def _cell_columns(prefix: str, cell: str) -> list[Column]:
    """Meshes and counts for one cell; ``prefix`` tells the two cells apart."""
    columns = [
        Column(f"{prefix}mesh", _MESH, "", f"recommended mesh for {cell}: the `grid` option's choice"),
        Column(
            f"{prefix}mesh_lower", _MESH, "", f"mesh of kdist_lower for {cell}: the densest, the safe one"
        ),
        Column(f"{prefix}mesh_median", _MESH, "", f"mesh of kdist_median for {cell}"),
        Column(f"{prefix}mesh_upper", _MESH, "", f"mesh of kdist_upper for {cell}: the coarsest"),
        Column(f"{prefix}n_kpoints", pa.int64(), "", "k-points of the recommended mesh"),
        Column(
            f"{prefix}n_kpoints_irreducible",
            pa.int64(),
            "",
            "of these, inequivalent by the supplied crystal's symmetry and k = -k",
        ),
    ]
    for name, what in BASELINES.items():
        columns += [
            Column(f"{prefix}{name}_mesh", _MESH, "", f"mesh of {what} for {cell}"),
            Column(f"{prefix}{name}_n_kpoints", pa.int64(), "", f"k-points of the mesh of {what}"),
            Column(
                f"{prefix}{name}_n_kpoints_irreducible", pa.int64(), "", f"irreducible k-points of {what}"
            ),
        ]
    return columns


#: Constant distances that every prediction is set beside.
BASELINES = {
    "aiida": "the constant 0.15 1/Å (AiiDA-QuantumESPRESSO, protocol balanced)",
    "constant": "the level's own constant kdist (column constant_kdist)",
}

COLUMNS: tuple[Column, ...] = (
    Column("id", pa.string(), "", "the structure's id"),
    Column(
        "source",
        pa.string(),
        "",
        "the file, archive member, manifest row or address in a database that it is from",
    ),
    Column("row", pa.int64(), "", "its place in the inputs, counted from 0"),
    Column("status", pa.string(), "", "ok or failed"),
    Column("stage", pa.string(), "", "the last stage reached: done, or the one that failed"),
    Column("error_code", pa.string(), "", "stable code of the failure, null for ok"),
    Column("error_message", pa.string(), "", "what was found and what was expected, null for ok"),
    Column("formula", pa.string(), "", "reduced formula"),
    Column("n_sites", pa.int32(), "", "sites in the cell as supplied"),
    Column(
        "n_sites_primitive",
        pa.int32(),
        "",
        "sites in the primitive cell: all translations of the supplied crystal, Niggli's choice of vectors",
    ),
    Column(
        "space_group_number",
        pa.int16(),
        "",
        "international number of the supplied crystal's space group, at the tolerance `symprec`",
    ),
    Column("space_group_symbol", pa.string(), "", "its Hermann-Mauguin symbol"),
    Column(
        "kdist_lower", pa.float64(), "1/angstrom", "lower bound of the converging k-distance: the safe end"
    ),
    Column("kdist_median", pa.float64(), "1/angstrom", "median of the converging k-distance"),
    Column("kdist_upper", pa.float64(), "1/angstrom", "upper bound of the converging k-distance"),
    Column("kdist", pa.float64(), "1/angstrom", "the k-distance of the recommended mesh"),
    Column(
        "rung",
        pa.int32(),
        "",
        "of kdist_lower on the ladder of all meshes, from 1 (Gamma alone); null for models of distances",
    ),
    Column("rung_last", pa.int32(), "", "rungs of that ladder, which goes down to 0.03 1/angstrom"),
    Column("rung_kdist_low", pa.float64(), "1/angstrom", "smallest k-distance of that rung"),
    Column("rung_kdist_high", pa.float64(), "1/angstrom", "its open upper end; null for rung 1"),
    Column(
        "spread_lower", pa.float64(), "1/angstrom", "standard deviation of the lower bound over an ensemble"
    ),
    Column("spread_median", pa.float64(), "1/angstrom", "standard deviation of the median over an ensemble"),
    Column(
        "spread_upper", pa.float64(), "1/angstrom", "standard deviation of the upper bound over an ensemble"
    ),
    *_cell_columns("", "the cell as supplied"),
    *_cell_columns("primitive_", "the primitive cell"),
    Column(
        "constant_kdist",
        pa.float64(),
        "1/angstrom",
        "the constant kdist that is as safe on the model's labels (mc3d: of cells as small)",
    ),
    Column("confidence", pa.float64(), "", "one-sided: share of structures meant to converge at kdist_lower"),
    Column("tolerance", pa.float64(), "meV", "energy an atom that the bounds are for; null if not known"),
    Column(
        "training_distance",
        pa.float64(),
        "",
        "to the structures that the model was trained on; 95 % of its own are below 1",
    ),
    Column(
        "metal_probability",
        pa.float64(),
        "",
        "how sure the metallicity network is of a metal, not calibrated; null if the model asks no such",
    ),
    Column("is_metal", pa.bool_(), "", "whether that is 0.5 or more"),
    Column("coverage_central", pa.float64(), "", "nominal share between the two bounds, 2 confidence - 1"),
    Column("correction", pa.float64(), "1/angstrom", "subtracted from the lower, added to the upper bound"),
    Column("correction_origin", pa.string(), "", "where the correction comes from"),
    Column("model", pa.string(), "", "the model's name in the registry"),
    Column("model_revision", pa.string(), "", "revision of its files"),
    Column("model_digest", pa.string(), "", "sha256 over its files"),
    Column(
        "device", pa.string(), "", "what its networks ran on: cpu, or the GPU's name; null without networks"
    ),
    Column("flags", pa.list_(pa.string()), "", "remarks on the row; `goldilocks-batch schema` explains them"),
)

#: Flags a row can carry, and what they mean.
FLAGS: dict[str, str] = {
    "structure_block_zero": "an element has no tabulated radius: the structure block is 0, as in training",
    "wide_interval": "the upper bound is far above the lower: the model is unsure here",
    "close_contact": "two atoms are closer than half the sum of their covalent radii",
    "odd_density": "the volume is below 0.45 or above 2.5 of what its elements have in other crystals",
    "vacuum": "a gap of 8 Å and more along a periodic axis: a slab, chain or molecule in a box?",
    "vacuum_a": "the gap is along a",
    "vacuum_b": "the gap is along b",
    "vacuum_c": "the gap is along c",
    "charged": "the file gives a net charge, or oxidation states that do not add up to none",
    "magnetic": "the file gives magnetic moments; the models know none",
    "left_handed_cell": "the cell was left-handed: all vectors and coordinates have changed their sign",
    "cell_completed": "zero vectors along axes that are not periodic were completed, with 15 Å of space",
    "occupancy_rounded": "an occupancy within 0.001 of one was taken as one",
    "special_position_completed": "a site that lay nearly on a special position was moved onto it",
    "symmetry_assumed_p1": "the file names no symmetry: its sites were taken to be all there are",
    "symmetry_by_number": "the space group is given by its number alone: the standard setting was taken",
    "symmetry_resolved": "origin, axes or contradicting symmetry were decided by what else the file says",
    "angles_assumed": "a cell angle is not given and was taken as 90 degrees",
    "hydrogens_missing": "the file says that there are hydrogens without positions",
    "species_from_comment": "elements were taken from the first line of a POSCAR of version 4",
    "ends_abruptly": "the text ends within a line of its sites, and nothing tells how many there are",
    "averaged_cell": "averaging sites for the cell that the model was trained on makes another crystal",
    "low_dimensional": "an axis is not periodic: outside the models' domain",
    "crossed_bounds_repaired": "the model's bounds were out of order and have been sorted",
    "bound_clipped": "a bound was at or below zero and has been raised to the smallest kdist allowed",
    "outside_training_elements": "an element that the model was not trained on",
    "thin_elements": "an element that fewer than 30 of the model's training structures hold",
    "small_cell": "at most 4 atoms in the primitive cell, where training structures are few: wider bounds",
    "far_from_training": "further from the training structures than 95 % of these are from each other",
    "outside_training_cells": "more sites than the largest cell that the model was trained on",
    "rung_beyond_ladder": "the model asks for a rung past the last of the ladder, and got the last",
    "mesh_very_dense": "the recommended mesh has more than 100 divisions along an axis: check the structure",
    "single_site": "one atom in the primitive cell: no line graph, the bond-angle layers were skipped",
    "single_site_supercell": "one atom in the primitive cell: for its graph, periodic axes were doubled",
    "no_line_graph": "no two bonds share an atom: the bond-angle layers were skipped",
    "ensemble_disagrees": "the networks of a bound differ: their standard deviation exceeds a quarter of it",
    "cpu_fallback": "the structure found no memory on the GPU and its networks ran on the CPU",
}


@cache
def result_schema() -> pa.Schema:
    """Arrow schema of the result table; unit and meaning are in each field's metadata."""
    fields = [
        pa.field(c.name, c.type, metadata={"unit": c.unit, "description": c.text})
        if c.unit
        else pa.field(c.name, c.type, metadata={"description": c.text})
        for c in COLUMNS
    ]
    return pa.schema(fields, metadata={"goldilocks.schema": RESULT_SCHEMA_ID})


@cache
def failure_schema() -> pa.Schema:
    """Arrow schema of the tables of failures written beside features and manifests."""
    names = ("id", "source", "stage", "error_code", "error_message")
    return pa.schema([result_schema().field(name) for name in names])
