"""Make a large manifest by substitution: the example crystals with other elements put in.

    python examples/make_manifest.py -n 5000 -o substituted.parquet

Every structure is one of the cubic, hexagonal or layered prototypes of ``make_structures.py`` whose
elements have been replaced, at random but reproducibly, and whose cell has been scaled by the ratio of the
atomic radii and strained by a percent or two, so that no two are alike.  They are plausible shapes, not
real compounds: good for trying out a cluster or timing a run.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# elements with a tabulated radius and pseudopotentials in every common library
METALS = "Li Be Na Mg Al K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Rb Sr Y Zr Nb Mo Ru Rh Pd Ag Cd In Sn".split()
METALS += "Cs Ba La Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi".split()
NONMETALS = "B C N O F Si P S Cl Ge As Se Br Sb Te I".split()

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("cell", pa.list_(pa.list_(pa.float64()))),
        ("positions", pa.list_(pa.list_(pa.float64()))),
        ("atomic_numbers", pa.list_(pa.int64())),
    ]
)


def prototypes() -> list[tuple[str, np.ndarray, np.ndarray, list[str]]]:
    """Name, lattice (3, 3) Å, fractional coordinates (n, 3) and symbols of each example crystal."""
    from make_structures import CRYSTALS, cif
    from pymatgen.core import Structure

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in CRYSTALS:
            structure = Structure.from_str(cif(name), fmt="cif")
            symbols = [site.specie.symbol for site in structure]
            found.append((name, np.array(structure.lattice.matrix), np.array(structure.frac_coords), symbols))
    return found


def substituted(count: int, seed: int, batch: int) -> Iterator[pa.RecordBatch]:
    """Batches of at most ``batch`` made-up structures, ``count`` in all."""
    from pymatgen.core import Element

    rng = np.random.default_rng(seed)
    shapes = prototypes()
    radius = {s: float(Element(s).atomic_radius or 1.5) for s in {*METALS, *NONMETALS}}
    number = {s: Element(s).Z for s in radius}
    for first in range(0, count, batch):
        columns: list[list[object]] = [[], [], [], []]
        for index in range(first, min(first + batch, count)):
            name, lattice, frac, symbols = shapes[rng.integers(len(shapes))]
            swap = {}
            for old in sorted(set(symbols)):
                among = NONMETALS if old in NONMETALS else METALS
                swap[old] = among[rng.integers(len(among))]
            grown = sum(radius[swap[s]] for s in symbols) / sum(radius.get(s, 1.5) for s in symbols)
            strain = np.eye(3) + 0.01 * rng.standard_normal((3, 3))
            cell = lattice @ strain * max(0.8, grown)
            columns[0].append(f"{name}-{index:07d}")
            columns[1].append(cell.tolist())
            columns[2].append((frac @ cell).tolist())
            columns[3].append([number[swap[s]] for s in symbols])
        yield pa.RecordBatch.from_arrays(
            [pa.array(c, type=f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )


def main() -> None:
    """Write the manifest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", "--count", type=int, default=5000, help="number of structures (default 5000)")
    parser.add_argument("-o", "--output", type=Path, default=Path("substituted.parquet"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with pq.ParquetWriter(options.output, SCHEMA, compression="zstd") as writer:
        for batch in substituted(options.count, options.seed, batch=1000):
            writer.write_batch(batch)
    print(f"{options.count} structures in {options.output}")


if __name__ == "__main__":
    main()
