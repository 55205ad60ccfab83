"""The forest's features against the plain libraries: one run, one core, the same structures.

    python benchmarks/forest_features.py manifest.parquet --artifacts models/ -n 200

``manifest.parquet`` holds CIF texts (columns ``id`` and ``cif``).  The structures are drawn at random and
taken in chunks; each chunk is featurised in turn by the plain path, by this package from CIF and by this
package from a compact manifest, so that a slow spell of the machine hits all three.  Reported are medians
over the chunks, the share of every stage, and the largest disagreement.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # before the libraries are loaded: one core for everybody
# pymatgen's choice among equally distant neighbours hangs on the last bit of a matrix product, which OpenBLAS
# rounds otherwise with AVX-512; the published graphs have the rounding of its older kernels
os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from plain import PlainFeaturizer  # type: ignore[import-not-found]  # a script beside this one

from goldilocks_batch.artifacts.find import find_network
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.manifest import write_manifest
from goldilocks_batch.screening.featurization import Featurization
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources

Timed = tuple[float, NDArray[np.float64]]
Seconds = defaultdict[str, float]


def sample(manifest: Path, count: int, seed: int) -> pa.Table:
    """``count`` random rows of a manifest, its ``id`` and ``cif``."""
    table = pq.read_table(manifest, columns=["id", "cif"])
    rows = np.random.default_rng(seed).choice(table.num_rows, size=count, replace=False)
    return table.take(pa.array(np.sort(rows)))


def plain_path(featurizer: PlainFeaturizer, cifs: list[str]) -> Timed:
    """Seconds and features ``(n, 483)`` of the plain path."""
    began = time.perf_counter()
    values = np.array([featurizer(cif) for cif in cifs])
    return time.perf_counter() - began, values


def our_path(pipeline: Callable[..., tuple[pa.Table, Report]], sources: SourceSet, seconds: Seconds) -> Timed:
    """Seconds and features ``(n, 483)`` of this package, reading included."""
    began = time.perf_counter()
    references = [reference for piece in sources.pieces(0, sources.rows) for reference in piece.read()]
    seconds["read"] += time.perf_counter() - began
    table, report = pipeline(references, 0)
    took = time.perf_counter() - began
    for stage, spent in report.seconds.items():
        seconds[stage] += spent
    columns = table.column_names[-483:]
    return took, np.column_stack([table[name].to_numpy() for name in columns])


def shares(title: str, seconds: Seconds, count: int) -> None:
    """Print milliseconds a structure and share of every stage."""
    whole = sum(seconds.values())
    print(f"\n{title}: {1e3 * whole / count:.2f} ms a structure")
    for stage, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {stage:<14}{1e3 * spent / count:8.3f} ms {spent / whole:7.1%}")


def disagreement(plain: NDArray[np.float64], ours: NDArray[np.float64]) -> None:
    """Print the largest deviation of every block, relative to the block's largest entry in that row."""
    blocks = {
        "composition": slice(0, 146),
        "structure": slice(146, 152),
        "soap": slice(152, 404),
        "lattice": slice(404, 419),
        "metallicity": slice(419, 483),
    }
    print("\nlargest disagreement with the plain path, of the largest entry of the block")
    for name, block in blocks.items():
        scale = np.abs(plain[:, block]).max(axis=1, keepdims=True)
        print(f"  {name:<14}{np.abs((ours - plain)[:, block] / np.maximum(scale, 1e-9)).max():.1e}")


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--artifacts", type=Path, required=True)
    parser.add_argument("--registry", type=Path)
    parser.add_argument("-n", "--count", type=int, default=200)
    parser.add_argument("--chunk", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)

    table = sample(options.manifest, options.count + options.chunk, options.seed)
    config = RunConfig(artifacts=options.artifacts, registry=options.registry)
    pipeline = Featurization(find_network(config.choice), config.max_sites).build()
    featurizer = PlainFeaturizer(options.artifacts)
    times: dict[str, list[float]] = {"plain": [], "cif": [], "manifest": []}
    stages: dict[str, Seconds] = {"cif": defaultdict(float), "manifest": defaultdict(float)}
    wanted, found = [], []
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, table.num_rows, options.chunk):
            chunk = table.slice(first, options.chunk)
            cif_file, compact = Path(folder, f"{first}.parquet"), Path(folder, f"{first}-compact.parquet")
            pq.write_table(chunk, cif_file)
            write_manifest(open_sources([cif_file]), compact, max_sites=config.max_sites)
            warm = first == 0  # the first chunk compiles and fills caches, on all three paths
            if warm:
                featurizer.seconds.clear()
            results = {
                "plain": plain_path(featurizer, chunk["cif"].to_pylist()),
                "cif": our_path(
                    pipeline, open_sources([cif_file]), defaultdict(float) if warm else stages["cif"]
                ),
                "manifest": our_path(
                    pipeline, open_sources([compact]), defaultdict(float) if warm else stages["manifest"]
                ),
            }
            if warm:
                featurizer.seconds.clear()
                continue
            for name, (seconds, _) in results.items():
                times[name].append(seconds / chunk.num_rows)
            wanted.append(results["plain"][1])
            found.append(results["cif"][1])

    shares("plain libraries, from CIF", featurizer.seconds, options.count)
    shares("this package, from CIF", stages["cif"], options.count)
    shares("this package, from a compact manifest", stages["manifest"], options.count)
    disagreement(np.concatenate(wanted), np.concatenate(found))
    print("\nmedian over chunks, one core")
    plain = statistics.median(times["plain"])
    print(f"  plain libraries       {1e3 * plain:8.2f} ms a structure")
    for name, label in (("cif", "from CIF"), ("manifest", "from a manifest")):
        ratios = [a / b for a, b in zip(times["plain"], times[name], strict=True)]
        print(
            f"  {label:<20}  {1e3 * statistics.median(times[name]):8.2f} ms a structure, "
            f"{statistics.median(ratios):.1f} times faster ({min(ratios):.1f} to {max(ratios):.1f})"
        )


if __name__ == "__main__":
    main()
