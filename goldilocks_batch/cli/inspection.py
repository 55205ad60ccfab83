"""``inspect``: everything about one structure, for people."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from goldilocks_batch.cli.tables import console, print_table
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.features.table import BLOCKS, block_slices, column_names
from goldilocks_batch.results.schema import FLAGS
from goldilocks_batch.runs.attempt import screening_of
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.screening.pipeline import Screener, Screening
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.sources.sourceset import open_sources
from goldilocks_batch.structures.symmetry import Symmetry

__all__ = ["print_inspection"]


def print_inspection(config: RunConfig) -> bool:
    """Print cells, symmetry, feature blocks, bounds, meshes and flags of one structure; True if it failed.

    Raises:
        InputError: the input is not one structure, or is missing.
        ModelError: the model is unknown, or its files are missing or not the right ones.
    """
    sources = open_sources(config.inputs, **config.reading)
    if sources.rows != 1:
        raise InputError(
            ErrorCode.SEVERAL_STRUCTURES,
            f"{config.inputs[0]} holds {sources.rows} structures; inspect takes one, run takes many",
        )
    references = sources.pieces(0, 1)[0].read()
    work = screening_of(config)
    screener = work.build()
    table, _ = screener(references, 0)
    row = table.to_pylist()[0]
    batch = Batch(references)
    screener.load(batch)

    out = console()
    out.print(f"{row['id']}  ({row['source']})")
    if batch.supplied[0] is not None:
        _print_cell(out, "supplied", batch.supplied[0])
    if batch.cells[0] is not None:
        _print_cell(out, "primitive", batch.cells[0].primitive)
        _print_symmetry(out, batch.cells[0].symmetry)
        if batch.cells[0].averaged:
            _print_cell(out, "averaged", batch.cells[0].asked)
            _print_symmetry(out, batch.cells[0].asked_symmetry)
    _print_features(out, screener, batch)
    if row["status"] == "failed":
        out.print(f"\nno prediction: {row['error_message']} [{row['error_code']}, stage {row['stage']}]")
    else:
        _print_prediction(out, row, work)
    for flag in row["flags"]:
        out.print(f"flag: {flag}: {FLAGS[flag]}")
    return bool(row["status"] == "failed")


def _print_cell(out: Console, label: str, crystal: Crystal) -> None:
    lengths = np.linalg.norm(crystal.lattice, axis=1)
    angles = [
        np.degrees(np.arccos(crystal.lattice[i] @ crystal.lattice[j] / (lengths[i] * lengths[j])))
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    out.print(
        f"{label + ' cell':<16}{len(crystal)} sites, a b c = {_listed(lengths, 4)} Å, "
        f"α β γ = {_listed(angles, 2)}°, {crystal.volume:.2f} Å³"
    )
    if not crystal.pbc.all():
        axes = ", ".join(name for name, periodic in zip("abc", crystal.pbc, strict=True) if not periodic)
        out.print(f"{'':<16}not periodic along {axes}")


def _print_symmetry(out: Console, symmetry: Symmetry) -> None:
    centre = "centrosymmetric" if symmetry.is_centrosymmetric else "no inversion centre"
    out.print(
        f"{'symmetry':<16}{symmetry.international} ({symmetry.number}), {symmetry.crystal_system}, "
        f"{len(symmetry.rotations)} operations, {centre}"
    )


def _print_features(out: Console, screener: Screener, batch: Batch) -> None:
    found = screener.features_of(batch)
    if found is None or not len(found.values):
        return
    blocks = screener.feature_blocks
    values, names = found.values[0], column_names(blocks)
    headings = ("block", "columns", "smallest", "largest", "not zero", "of the largest size")
    rows = []
    for block, place in block_slices(blocks).items():
        part = values[place]
        top = names[place.start + int(np.abs(part).argmax())]
        numbers = (str(BLOCKS[block]), f"{part.min():.4g}", f"{part.max():.4g}", str(np.count_nonzero(part)))
        rows.append((block, *numbers, top))
    out.print()
    print_table(out, headings, rows, title="features", right=headings[1:-1], broken=headings[-1:])


def _print_prediction(out: Console, row: dict[str, Any], work: Screening) -> None:
    model = work.model
    out.print(f"\n{row['model']} ({row['model_revision']}), confidence {row['confidence']:.2f} one-sided")
    if row["coverage_central"] is not None:
        out.print(f"{row['coverage_central']:.0%} nominal between the bounds")
    if row["correction"]:
        out.print(f"correction {row['correction']:+.4f} 1/Å: {model.correction_origin}")
    ensemble = row["spread_lower"] is not None
    headings = ["", "kdist 1/Å", "mesh, supplied", "mesh, primitive", "k-points", "irreducible"]
    headings += ["spread 1/Å"] * ensemble
    rows = []
    for name in ("lower", "median", "upper"):
        if row[f"kdist_{name}"] is not None:
            own = name == work.meshes.grid
            counts = [f"{row['n_kpoints']:,}", f"{row['n_kpoints_irreducible']:,}"] if own else ["", ""]
            meshes = [_mesh(row[f"{cell}mesh_{name}"]) for cell in ("", "primitive_")]
            label = f"{name} (recommended)" if own else name
            spread = [f"{row[f'spread_{name}']:.4f}"] if ensemble else []
            rows.append((label, f"{row[f'kdist_{name}']:.4f}", *meshes, *counts, *spread))
    for name, kdist in work.meshes.constants:
        label = "AiiDA balanced" if name == "aiida" else "constant of this level"
        counts = [f"{row[f'{name}_n_kpoints']:,}", f"{row[f'{name}_n_kpoints_irreducible']:,}"]
        meshes = [_mesh(row[f"{cell}{name}_mesh"]) for cell in ("", "primitive_")]
        rows.append((label, f"{kdist:.4f}", *meshes, *counts, *[""] * ensemble))
    print_table(out, headings, rows, right=headings[1:])


def _mesh(counts: list[int]) -> str:
    return "×".join(map(str, counts))


def _listed(values: NDArray[np.float64] | list[float], decimals: int) -> str:
    return " ".join(f"{value:.{decimals}f}" for value in values)
