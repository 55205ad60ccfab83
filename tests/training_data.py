"""A small labelled set of made-up crystals for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

SYMBOLS = "Li Na K Mg Ca Al Ti V Cr Mn Fe Co Ni Cu Zn Nb Mo Pd Ag W Pt Au".split()


def labelled_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """CsCl-like crystals of two elements, with a kdist that falls with the cell and scatters.

    Every third composition has a second, strained polymorph.
    """
    rng = np.random.default_rng(seed)
    pairs = [(a, b) for a in SYMBOLS for b in SYMBOLS if a < b]
    order = rng.permutation(len(pairs))
    rows: list[dict[str, object]] = []
    for place in order:
        for polymorph in range(2 if place % 3 == 0 else 1):
            edge = float(rng.uniform(2.6, 4.2))
            long = edge * (1 + 0.3 * polymorph)
            kdist = np.round(0.9 / edge * np.exp(0.15 * rng.standard_normal()), 2)
            rows.append(
                {
                    "id": f"{'-'.join(pairs[place])}-{polymorph}",
                    "lattice_vectors": [[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, long]],
                    "cartesian_site_positions": [[0.0, 0.0, 0.0], [edge / 2, edge / 2, long / 2]],
                    "species_at_sites": list(pairs[place]),
                    "k_dist": float(kdist),
                }
            )
    return rows[:count]


def write_labelled(path: Path, count: int = 90, seed: int = 0, **columns: Any) -> Path:
    """Write such rows as an OPTIMADE manifest; ``columns`` replaces or adds whole columns."""
    rows = labelled_rows(count, seed)
    table = pa.Table.from_pylist(rows)
    for name, values in columns.items():
        if name in table.column_names:
            table = table.drop_columns(name)
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)
    return path


def numbers(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]:
    """Features, kdist on a ladder, and groups of two rows; no crystal behind them."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(-1, 1, (count, 5))
    log = -1.8 + 0.4 * features[:, 0] + 0.2 * (1 + features[:, 1]) * rng.standard_normal(count)
    kdist = np.round(np.exp(log) / 0.005) * 0.005
    return features, np.maximum(kdist, 0.005), np.array([f"g{row // 2}" for row in range(count)])
