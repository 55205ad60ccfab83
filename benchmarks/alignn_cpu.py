"""ALIGNN ensembles on the CPU against the plain libraries: one run, one core, the same structures.

    python benchmarks/alignn_cpu.py manifest.parquet --artifacts models/ -n 120

``manifest.parquet`` holds CIF texts (columns ``id`` and ``cif``).  The structures are drawn at random and
taken in chunks; each chunk goes through the plain path, through this package from CIF and through this
package from a compact manifest, so that a slow spell of the machine hits all three.  Reported: the share of
every stage, medians of the ratios over the chunks, how far the two answers lie apart, and how the cost of
the networks grows with atoms per cell and with the size of a batch.

Answers agree to rounding where both see the same graph.  Where a shell of equally distant neighbours is cut
at the twelfth, rounding decides which are kept, and the plain path's coordinates are rounded otherwise.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # before the libraries are loaded: one core for everybody
os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")  # rounding as published, see benchmarks/README.md

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from plain_alignn import PlainAlignn  # type: ignore[import-not-found]  # a script beside this one

from goldilocks_batch.features.featurizer import Featurizer
from goldilocks_batch.features.metallicity import Metallicity
from goldilocks_batch.models.alignn import Alignn
from goldilocks_batch.networks.alignn.architecture import checkpoints_in
from goldilocks_batch.runs.manifest import write_manifest
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.structures.crystal import Crystal
from goldilocks_batch.structures.sources.sourceset import open_sources

Seconds = defaultdict[str, float]

FOLDERS = ("quantile95", "quantile50", "quantile5")
MAX_SITES = 1000


class Pipeline:
    """This package from a manifest to networks' means, with the time of every stage."""

    def __init__(self, artifacts: Path, checkpoints: list[list[Path]], elements: Path) -> None:
        folder = artifacts / "JunwenYin" / "metallicity-goldilocks-CGCNN"
        network = Metallicity(folder / "is_metal.ckpt", folder / "atom_init.json")
        lower, median, upper = checkpoints
        self.model = Alignn.load(lower, median, upper, elements)
        self.featurizer = Featurizer(network, self.model.feature_blocks)
        self.seconds: Seconds = defaultdict(float)
        self.crystals: list[Crystal] = []
        self.features: list[NDArray[np.float64]] = []

    def __call__(self, manifest: Path) -> tuple[float, NDArray[np.float64]]:
        """Seconds, and ``(n, 3)`` means."""
        began = time.perf_counter()
        sources = open_sources([manifest])
        references = [reference for piece in sources.pieces(0, sources.rows) for reference in piece.read()]
        self._lap("read", began)
        batch = Batch(references)
        batch.load(MAX_SITES)
        alive = batch.alive
        crystals = batch.crystals(alive)
        before = dict(self.featurizer.timings)
        features = self.featurizer(crystals, batch.symmetries(alive))
        start = time.perf_counter()
        prepared = self.model.prepare(crystals)
        start = self._lap("graph", start)
        raw = self.model.infer(prepared, features.values)
        self._lap("networks", start)
        took = time.perf_counter() - began
        blocks = {block: spent - before[block] for block, spent in self.featurizer.timings.items()}
        for stage, spent in [*batch.seconds.items(), *blocks.items()]:
            self.seconds[stage] += spent
        self.crystals += crystals
        self.features.append(features.values)
        return took, raw.values

    def _lap(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] += now - since
        return now

    def clear(self) -> None:
        """Forget what has been timed and seen."""
        self.seconds.clear()
        self.crystals.clear()
        self.features.clear()


def shares(title: str, seconds: Seconds, count: int) -> None:
    """Print milliseconds a structure and share of every stage."""
    whole = sum(seconds.values())
    print(f"\n{title}: {1e3 * whole / count:.2f} ms a structure")
    for stage, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {stage:<14}{1e3 * spent / count:8.3f} ms {spent / whole:7.1%}")


def growth(model: Alignn, crystals: list[Crystal], features: NDArray[np.float64]) -> None:
    """Print how the cost of graphs and networks grows with atoms per cell and with the batch."""
    sizes = np.array([len(crystal) for crystal in crystals])
    print("\ncost against atoms per cell (graph and networks together)")
    edges = [1, 2, 5, 10, 20, 40, 80, 10**6]
    for low, high in pairwise(edges):
        rows = np.flatnonzero((sizes >= low) & (sizes < high))
        if len(rows):
            seconds, line_edges = _repeated(model, [crystals[i] for i in rows], features[rows])
            mean = sizes[rows].mean()
            print(
                f"  {low:>3} to {sizes[rows].max():<4} {len(rows):>4} cells"
                f" {1e3 * seconds / len(rows):8.2f} ms, {1e3 * seconds / len(rows) / mean:6.3f} ms an atom,"
                f" {line_edges / len(rows):8.0f} line-graph edges a cell"
            )
    print("\ncost against batch size (line-graph edges packed together)")
    usual = model.edges
    for limit in (1, 3_000, 6_000, 12_000, 24_000, 48_000, 96_000):
        model.edges = limit
        seconds, _ = _repeated(model, crystals, features)
        print(f"  {limit:>6} {1e3 * seconds / len(crystals):8.2f} ms a structure")
    model.edges = usual


def _repeated(model: Alignn, crystals: list[Crystal], features: NDArray[np.float64]) -> tuple[float, int]:
    """Median seconds of three passes, and line-graph edges in all."""
    times, edges = [], 0
    for _ in range(3):
        began = time.process_time()
        prepared = model.prepare(crystals)
        model.infer(prepared, features)
        times.append(time.process_time() - began)
        edges = sum(graph[0].n_line_edges for graph in prepared.graphs if graph)
    return statistics.median(times), edges


def compare(
    table: pa.Table, chunk: int, plain: PlainAlignn, cif: Pipeline, compact: Pipeline
) -> tuple[dict[str, list[float]], NDArray[np.float64]]:
    """Seconds a structure by chunk and path, and how far answers lie apart; the first chunk is left out."""
    times: dict[str, list[float]] = {"plain": [], "cif": [], "manifest": []}
    apart = []
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, table.num_rows, chunk):
            rows = table.slice(first, chunk)
            cif_file, compact_file = (
                Path(folder, f"{first}.parquet"),
                Path(folder, f"{first}-compact.parquet"),
            )
            pq.write_table(rows, cif_file)
            write_manifest(open_sources([cif_file]), compact_file, max_sites=MAX_SITES)
            began = time.perf_counter()
            outputs = np.array([plain(text) for text in rows["cif"].to_pylist()])
            spent = {"plain": time.perf_counter() - began}
            spent["cif"], means = cif(cif_file)
            spent["manifest"], _ = compact(compact_file)
            if first == 0:  # compiles and fills caches, on all three paths
                plain.seconds.clear()
                cif.clear()
                compact.clear()
                continue
            for name, seconds in spent.items():
                times[name].append(seconds / rows.num_rows)
            wanted = outputs.reshape(len(outputs), len(FOLDERS), -1).mean(axis=2)
            apart.append(np.abs(means - wanted).max(axis=1))
    return times, np.concatenate(apart)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--artifacts", type=Path, required=True)
    parser.add_argument("-n", "--count", type=int, default=120)
    parser.add_argument("--chunk", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)

    table = pq.read_table(options.manifest, columns=["id", "cif"])
    count = options.count + options.chunk
    rows = np.random.default_rng(options.seed).choice(table.num_rows, size=count, replace=False)
    repository = options.artifacts / "STFC-SCD" / "kpoints-goldilocks-ALIGNNd"
    elements = options.artifacts / "stfc/goldilocks_kpoints/embeddings/atom_init_with_sssp_cutoffs.json"
    checkpoints = [checkpoints_in(repository / folder) for folder in FOLDERS]
    plain = PlainAlignn(options.artifacts, [path for paths in checkpoints for path in paths], elements)
    cif, compact = (Pipeline(options.artifacts, checkpoints, elements) for _ in range(2))

    times, apart = compare(table.take(pa.array(np.sort(rows))), options.chunk, plain, cif, compact)
    networks = sum(map(len, checkpoints))
    print(f"{options.count} structures, {np.mean([len(c) for c in cif.crystals]):.1f} atoms on average")
    print(f"{networks} networks, one core")
    shares("plain libraries, from CIF", plain.seconds, options.count)
    shares("this package, from CIF", cif.seconds, options.count)
    shares("this package, from a compact manifest", compact.seconds, options.count)
    print(
        f"\nmeans over networks: {(apart < 2e-6).mean():.0%} of the structures within 2e-6 1/Å"
        f" of the plain path, the furthest {apart.max():.1e}"
    )
    print("\nmedian over chunks")
    print(f"  plain libraries       {1e3 * statistics.median(times['plain']):8.2f} ms a structure")
    for name, label in (("cif", "from CIF"), ("manifest", "from a manifest")):
        ratios = [a / b for a, b in zip(times["plain"], times[name], strict=True)]
        print(
            f"  {label:<20}  {1e3 * statistics.median(times[name]):8.2f} ms a structure,"
            f" {statistics.median(ratios):.1f} times faster ({min(ratios):.1f} to {max(ratios):.1f})"
        )
    growth(cif.model, cif.crystals, np.concatenate(cif.features))


if __name__ == "__main__":
    main()
