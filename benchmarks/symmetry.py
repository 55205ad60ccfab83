"""Space groups, primitive cells and irreducible k-points of a whole manifest against spglib's own.

    python benchmarks/symmetry.py manifest.parquet --jobs 2

``manifest.parquet`` holds CIF texts (columns ``id`` and ``cif``).  Every structure goes through the stages of
a screening, at the constant of AiiDA's protocol ``balanced`` (0.15 1/Å), and its row is compared with what
spglib gives for the crystal as supplied: number and symbol of ``get_symmetry_dataset``, sites of its
primitive cell, and the points that ``get_ir_reciprocal_mesh`` leaves of the mesh of both cells, all at
0.01 Å.  Printed are the numbers of rows that differ (the exit status is 1 if there are any), and how many
rows would be others if symmetry were searched in pymatgen's primitive cell, which averages sites.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from goldilocks_batch.kpoints.mesh import irreducible_count, rotations_in_cell
from goldilocks_batch.models.constant import AIIDA_BALANCED
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.screening.rows import Answers, MeshOptions, result_table
from goldilocks_batch.structures.cells import Cells
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.sources.reference import Format, Reference, TextPayload
from goldilocks_batch.structures.symmetry import SYMPREC, quiet_spglib

MAX_SITES = 1000
CHUNK = 200


def against_spglib(row: dict[str, Any], supplied: Crystal, cells: Cells) -> Iterator[str]:
    """What of a row differs from spglib's answer."""
    with quiet_spglib() as spglib:
        cell = (supplied.lattice, supplied.frac, supplied.numbers)
        found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
        if found is None:
            yield "spglib finds no space group"
            return
        if (row["space_group_number"], row["space_group_symbol"]) != (found.number, found.international):
            yield "space group"
        if row["n_sites_primitive"] != len(np.unique(found.mapping_to_primitive)):
            yield "sites of the primitive cell"
        for prefix, crystal in (("", supplied), ("primitive_", cells.primitive)):
            cell = (crystal.lattice, crystal.frac, crystal.numbers)
            mapping, _ = spglib.get_ir_reciprocal_mesh(row[f"{prefix}aiida_mesh"], cell, symprec=SYMPREC)
            if row[f"{prefix}aiida_n_kpoints_irreducible"] != len(np.unique(mapping)):
                yield f"irreducible k-points of the {'primitive cell' if prefix else 'cell as supplied'}"


def against_averaged(row: dict[str, Any], supplied: Crystal, cells: Cells) -> Iterator[str]:
    """What of a row would be another value if symmetry were searched in the averaged cell."""
    symmetry = cells.asked_symmetry
    if row["space_group_number"] != symmetry.number:
        yield "space group"
    if row["n_sites_primitive"] != len(cells.asked):
        yield "sites of the primitive cell"
    rotations = rotations_in_cell(symmetry.rotations, cells.asked.lattice, supplied.lattice)
    mesh = np.array(row["aiida_mesh"])
    if row["aiida_n_kpoints_irreducible"] != irreducible_count(mesh, rotations):
        yield "irreducible k-points of the cell as supplied"


def compare(manifest: Path, first: int) -> tuple[Counter[str], list[str]]:
    """Compare the rows of one chunk."""
    table = pq.read_table(manifest, columns=["id", "cif"]).slice(first, CHUNK)
    texts = zip(table["id"].to_pylist(), table["cif"].to_pylist(), strict=True)
    batch = Batch([Reference(name, "", TextPayload(Format.CIF, text)) for name, text in texts])
    batch.load(MAX_SITES)
    answers = Answers(batch.alive, np.full((len(batch.alive), 3), AIIDA_BALANCED))
    options = MeshOptions("lower", equal_axes=False, constants=(("aiida", AIIDA_BALANCED),))
    rows = result_table(batch, answers, options, {}, first).to_pylist()
    counts: Counter[str] = Counter(structures=len(rows))
    remarks = []
    for index, row in enumerate(rows):
        if row["status"] != "ok":
            counts[f"failed {row['error_code']}"] += 1
            continue
        supplied, cells = batch.supplied[index], batch.cells[index]
        assert supplied is not None and cells is not None  # noqa: S101, PT018 - the row is ok
        wrong = list(against_spglib(row, supplied, cells))
        changed = list(against_averaged(row, supplied, cells))
        counts.update(f"differs from spglib: {what}" for what in wrong)
        counts.update(f"differs from the averaged cell: {what}" for what in changed)
        counts["differs from spglib"] += bool(wrong)
        counts["differs from the averaged cell"] += bool(changed)
        counts["flagged averaged_cell"] += "averaged_cell" in row["flags"]
        counts["cell as supplied is primitive"] += row["n_sites"] == row["n_sites_primitive"]
        remarks += [f"{row['id']}: {what}" for what in wrong]
    return counts, remarks


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("-n", "--count", type=int, help="only the first rows")
    options = parser.parse_args()
    rows = pq.read_metadata(options.manifest).num_rows
    starts = range(0, min(rows, options.count or rows), CHUNK)
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    with ProcessPoolExecutor(options.jobs) as pool:
        for found, remarks in pool.map(partial(compare, options.manifest), starts):
            counts += found
            sys.stderr.write(f"\r{counts['structures']:,} of {min(rows, options.count or rows):,}")
            for remark in remarks:
                print(remark, flush=True)
    sys.stderr.write("\n")
    counts["differs from spglib"] += 0
    for what, count in sorted(counts.items()):
        print(f"{count:8,}  {what}")
    print(f"{time.perf_counter() - began:8.0f}  seconds")
    return 1 if counts["differs from spglib"] else 0


if __name__ == "__main__":
    sys.exit(main())
