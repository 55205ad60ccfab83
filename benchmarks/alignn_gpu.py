"""ALIGNN ensembles on a GPU: the networks alone, whole runs, and how far that is from the floor.

    python benchmarks/alignn_gpu.py manifest.parquet --artifacts models/

``manifest.parquet`` is any manifest of structures with CIF texts.  Reported, in one run on one machine:

- structures a second of the networks alone (``--count`` of them, collation and transfer included), the share
  of the time in which the GPU computes and in which data travels, and how far the numbers lie from the CPU's;
- the same for the package's PyTorch Geometric module;
- structures a second of whole runs with a process a core (``--rows`` of them), on the cores alone and with
  the GPU, and the share of the time between the first result file and the last in which the GPU computes;
  how much slower each process is than one alone, and how much of its time is not work;
- the floor: the arithmetic that the networks cannot do without and the bytes that gathered rows move, against
  what the device can do (``--tflops``, ``--bandwidth``; the defaults are those of NVIDIA's data sheet for the
  H100 SXM: 67 float32 TFLOP/s, 3.35 TB/s);
- and all of that beside what is aimed at.

On 16 cores it is meant to take less than four minutes.  With ``--device cpu``, and few structures, it does
the same without a GPU, so that a change which breaks it is seen; what needs one is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from gpu_trace import traced  # type: ignore[import-not-found]  # a script beside this one
from numpy.typing import NDArray
from torch_geometric.data import Batch as GeometricBatch

from goldilocks_batch import RunConfig, run
from goldilocks_batch.core.machine import cores
from goldilocks_batch.features.featurizer import Featurizer
from goldilocks_batch.features.metallicity import Metallicity
from goldilocks_batch.models.alignn import Alignn
from goldilocks_batch.models.alignn_graphs import PreparedGraphs, edges_of
from goldilocks_batch.networks import to_pyg
from goldilocks_batch.networks.alignn.architecture import Architecture, checkpoints_in, read_networks
from goldilocks_batch.networks.alignn.module import Alignn as Network
from goldilocks_batch.networks.checkpoint import read_element_table
from goldilocks_batch.networks.graphs.collate import GraphBatch, collate, pack
from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.run import RunSummary
from goldilocks_batch.screening.batch import Batch
from goldilocks_batch.structures.sources.sourceset import open_sources

FOLDERS = ("quantile95", "quantile50", "quantile5")
MAX_SITES = 1000
#: Structures that the module is timed on, and its batches: larger ones gained nothing on an H200.
GEOMETRIC_ROWS, GEOMETRIC_BATCHES = 1000, (128, 256, 512)
#: Linear maps of a convolution that act on the rows of its nodes; the fifth acts on its edges' kinds.
NODE_MAPS = 4
#: Rows that an edge of a convolution gathers: the source's gate, the edge's gate, the source's message.
GATHERED = 3


def floor(batch: GraphBatch, architecture: Architecture, networks: int) -> tuple[float, float]:
    """Operations and bytes that inference on a batch needs.

    Counted are the linear maps of the convolutions, two operations a weight, and the rows gathered along
    edges, once each; embeddings, norms and the head are below a tenth of it.

    Returns:
        Floating point operations, and bytes.
    """
    width = architecture.hidden
    operations = moved = 0.0
    edges = np.diff(batch.line_into)
    depth = len(batch.example) - 1  # none where there is no line graph: its layers are skipped
    for k in range(depth):
        before, after = len(batch.example[k]), batch.example[k + 1]
        operations += _maps(before, len(batch.cosine), width)
        moved += _gathers(int(edges[after].sum()), width)
    atoms, bonds = len(batch.numbers), len(batch.bonds.source)
    for k in range(depth + architecture.gcn_layers):
        level = min(k + 1, depth)
        operations += _maps(atoms, len(batch.example[level]), width)
        moved += _gathers(bonds, width)
    return networks * operations, networks * moved


def _maps(nodes: int, kinds: int, width: int) -> float:
    return 2.0 * width**2 * (NODE_MAPS * nodes + kinds)


def _gathers(edges: int, width: int) -> float:
    return 4.0 * width * GATHERED * edges


class Workload:
    """Structures with their features and graphs, ready for the networks."""

    def __init__(self, table: pa.Table, artifacts: Path, device: str) -> None:
        cgcnn = artifacts / "JunwenYin" / "metallicity-goldilocks-CGCNN"
        repository = artifacts / "STFC-SCD" / "kpoints-goldilocks-ALIGNNd"
        elements = artifacts / "stfc/goldilocks_kpoints/embeddings/atom_init_with_sssp_cutoffs.json"
        checkpoints = [checkpoints_in(repository / folder) for folder in FOLDERS]
        self.architecture, ensembles = read_networks(checkpoints)
        self._networks = [network for ensemble in ensembles for network in ensemble]
        self.elements = read_element_table(elements)
        self.paths = [path for paths in checkpoints for path in paths]
        self.networks = sum(map(len, checkpoints))
        lower, median, upper = checkpoints
        self.model, self.on_cpu = (
            Alignn.load(lower, median, upper, elements, device=where) for where in (device, "cpu")
        )
        with tempfile.TemporaryDirectory() as folder:
            manifest = Path(folder, "sample.parquet")
            pq.write_table(table, manifest)
            sources = open_sources([manifest])
            references = [r for piece in sources.pieces(0, sources.rows) for r in piece.read()]
        batch = Batch(references)
        batch.load(MAX_SITES)
        crystals = batch.crystals(batch.alive)
        network = Metallicity(cgcnn / "is_metal.ckpt", cgcnn / "atom_init.json")
        featurizer = Featurizer(network, self.model.feature_blocks)
        self.features = featurizer(crystals, batch.symmetries(batch.alive)).values
        self.prepared: PreparedGraphs = self.model.prepare(crystals)
        self.kept = [row for row in range(len(crystals)) if row not in self.prepared.failures]
        self.crystals = [crystals[row] for row in self.kept]
        self.atoms = sum(map(len, crystals))
        self.count = len(crystals)

    def batches(self) -> Iterator[GraphBatch]:
        """As the model packs them."""
        graphs = [graph for graph in self.prepared.graphs if graph is not None]
        costs = np.array([edges_of(graph) for graph in graphs], dtype=np.int64)
        lined = np.array([graph[0].n_line_edges > 0 for graph in graphs], dtype=bool)
        for rows in (np.flatnonzero(lined), np.flatnonzero(~lined)):
            for chosen in pack(costs[rows], self.model.edges):
                yield collate([graphs[row] for row in rows[chosen]])

    def infer(self, model: Alignn, rows: slice = slice(None)) -> NDArray[np.float64]:
        """Means of the three ensembles, ``(n, 3)``."""
        everything = self.prepared
        chosen = range(self.count)[rows]
        place = {row: k for k, row in enumerate(chosen)}
        failures = {place[row]: error for row, error in everything.failures.items() if row in place}
        flags = {place[row]: flag for row, flag in everything.flags.items() if row in place}
        part = PreparedGraphs([everything.graphs[row] for row in chosen], flags, failures)
        return model.infer(part, self.features[rows]).values


def shares(work: Workload) -> None:
    """Print the share of the time in which the GPU computes, and in which data travels."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    work.infer(work.model)
    torch.cuda.synchronize()
    wall = time.perf_counter() - began  # without the profiler, which takes its own
    found = traced(lambda: work.infer(work.model))
    print(
        f"  the GPU computes {found.compute / wall:.0%} of the time, in {found.kernels:,} kernels; "
        f"data travels {found.transfer / wall:.0%}"
    )
    if not found.agrees:
        print(
            f"  THE PROFILER CONTRADICTS ITSELF: {found.summed:.3f} s by its trace, "
            f"{found.table:.3f} s by its table; do not trust these shares"
        )


def geometric(work: Workload, device: str) -> float:
    """Print and return structures a second of the package's PyTorch Geometric module.

    Networks one after the other, on batches of whole graphs; collation and transfer are included, graphs are
    made before.  This is what one writes with the library, but for linear maps before gathers, which make it
    faster.
    """
    count = min(len(work.kept), GEOMETRIC_ROWS)
    data = [to_pyg(crystal, elements=work.elements) for crystal in work.crystals[:count]]
    features = torch.from_numpy(work.features[work.kept[:count]].astype(np.float32))
    networks = [Network.from_checkpoint(path).to(device) for path in work.paths]

    def infer(size: int) -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            for start in range(0, count, size):
                part = slice(start, start + size)
                graph, line_graph = (
                    GeometricBatch.from_data_list([pair[k] for pair in data[part]]).to(device) for k in (0, 1)
                )
                given = features[part].to(device)
                outputs = [network(graph, line_graph, given) for network in networks]
                torch.stack(outputs).cpu()
        return count / (time.perf_counter() - began)

    infer(GEOMETRIC_BATCHES[0])
    rates = {size: infer(size) for size in GEOMETRIC_BATCHES}
    best = max(rates.values())
    listed = ", ".join(f"{rate:.0f} in batches of {size}" for size, rate in rates.items())
    print(f"  PyTorch Geometric, {count} of them: {listed} structures/s")
    return best


def apart(work: Workload) -> None:
    """Print how far bounds lie from those of the CPU's kernels."""
    few = slice(0, 200)
    distance = np.abs(work.infer(work.model, few) - work.infer(work.on_cpu, few))
    print(f"  bounds lie {np.nanmax(distance):.1e} 1/Å from those of the CPU's kernels at most")


@contextlib.contextmanager
def utilization(device: str) -> Iterator[list[tuple[float, int]]]:
    """Readings of the GPU's use, each with its time: the share of the last instant with a kernel, %."""
    readings: list[tuple[float, int]] = []
    program = shutil.which("nvidia-smi")
    if device == "cpu" or program is None:
        yield readings
        return
    query = [program, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as process:

        def read(lines: Iterable[str]) -> None:
            readings.extend((time.perf_counter(), int(line)) for line in lines if line.strip().isdigit())

        reader = threading.Thread(target=read, args=(process.stdout,))
        reader.start()
        try:
            yield readings
        finally:
            process.terminate()
            reader.join()


class Times:
    """When result files were written, and of how many rows."""

    def __init__(self) -> None:
        self.parts: list[tuple[float, int]] = []

    def started(self, rows: int, done: int, dashboard: str | None) -> None:
        """Nothing to keep."""

    def advanced(self, report: Report) -> None:
        """Keep the time."""
        self.parts.append((time.perf_counter(), report.rows))

    @property
    def span(self) -> tuple[float, float]:
        """From the first result file to the last."""
        return self.parts[0][0], self.parts[-1][0]

    @property
    def rate(self) -> float:
        """Rows a second in that time."""
        first, last = self.span
        return sum(rows for _, rows in self.parts[1:]) / (last - first) if last > first else float("nan")


def whole_run(options: argparse.Namespace, table: pa.Table, device: str) -> tuple[RunSummary, float]:
    """Print how a whole run went, with a process a core.

    Returns:
        How it went, and the share of the time in which the GPU was busy, %.
    """
    times = Times()
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder, "sample.parquet")
        pq.write_table(table, manifest)
        values: dict[str, Any] = {
            "inputs": [manifest],
            "output": Path(folder, "run"),
            "model": "alignn",
            "artifacts": options.artifacts,
            "registry": options.registry,
            "device": device,
            "shard_size": min(options.shard_size, max(1, table.num_rows // (2 * cores()))),
            "dashboard": None,
        }
        with utilization(device) as readings:
            summary = run(RunConfig.model_validate(values), observer=times)
    first, last = times.span
    busy = [share for when, share in readings if first <= when <= last]
    devices = ", ".join(f"{name} {count:,}" for name, count in summary.report.devices.items())
    print(
        f"whole run, device {device}, {cores()} processes: {summary.rows:,} rows in {summary.seconds:.1f} s, "
        f"{summary.rate:.0f} structures/s; {times.rate:.0f} between the first result file and the last; "
        f"{summary.report.failed} failed; answered by {devices}"
    )
    print(f"  time of all processes by stage, s: {_stages(summary.report)}")
    if busy:
        print(
            f"  the GPU was busy {statistics.mean(busy):.0f} % of the time between the first result file and "
            "the last"
        )
    return summary, statistics.mean(busy) if busy else float("nan")


def scaling(options: argparse.Namespace, table: pa.Table, report: Report, seconds: float) -> None:
    """Print how much slower each of many processes is than one alone, and how much of their time is not work.

    Args:
        options: of the command.
        table: some rows for one process.
        report: of a run of a process a core on the cores alone.
        seconds: that it took.
    """
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder, "sample.parquet")
        pq.write_table(table, manifest)
        values: dict[str, Any] = {
            "inputs": [manifest],
            "model": "alignn",
            "device": "cpu",
            "executor": "serial",
        }
        values |= {
            "artifacts": options.artifacts,
            "registry": options.registry,
            "output": Path(folder, "run"),
        }
        alone = run(RunConfig.model_validate(values)).report
    one, many = (sum(found.seconds.values()) / found.rows for found in (alone, report))
    work = sum(report.seconds.values()) / (seconds * cores())
    print(
        f"  a process alone works {1e3 * one:.2f} ms a structure, one of {cores()} {1e3 * many:.2f} ms: "
        f"{many / one:.2f} times as long, by the machine; they work {work:.0%} of their time, the rest "
        "is starting and waiting"
    )


def _stages(report: Report) -> str:
    ordered = sorted(report.seconds.items(), key=lambda item: -item[1])
    return ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in ordered[:8])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--artifacts", type=Path, required=True)
    parser.add_argument("--registry", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("-n", "--count", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=32_000, help="of the run with the GPU; a quarter without")
    parser.add_argument("--shard-size", type=int, default=512)
    parser.add_argument("--tflops", type=float, default=67.0)
    parser.add_argument("--bandwidth", type=float, default=3350.0, help="GB/s")
    options = parser.parse_args()
    began = time.perf_counter()
    table = pq.read_table(options.manifest)
    alone, faster = networks_alone(options, drawn(table, options.count))
    if options.device == "cuda":
        torch.cuda.empty_cache()  # the runs measure what is free
    whole_run(options, drawn(table, 8 * cores()), "cpu")  # compiles, once per installation
    on_cores, _ = whole_run(options, drawn(table, options.rows // 4), "cpu")
    scaling(options, drawn(table, options.rows // 80), on_cores.report, on_cores.seconds)
    wanted = [("networks alone, structures/s", alone, 15_000), ("times PyTorch Geometric", faster, 8)]
    if options.device == "cuda":
        whole_run(options, drawn(table, 32 * cores()), "auto")  # compiles, once per installation
        found, busy = whole_run(options, drawn(table, options.rows), "auto")
        wanted += [("whole run, structures/s", found.rate, 4000)]
        wanted += [("times the cores alone", found.rate / on_cores.rate, 4)]
        wanted += [("GPU busy between first and last file, %", busy, 40)]
    print(f"\n{'':<42}{'found':>10}{'aimed at':>10}")
    for what, value, aim in wanted:
        print(f"{what:<42}{value:>10,.1f}{aim:>10,}")
    print(f"all of this took {time.perf_counter() - began:.0f} s")


def drawn(table: pa.Table, count: int) -> pa.Table:
    """Some rows at random; more than there are come again under other ids."""
    rng, whole = np.random.default_rng(0), table.num_rows
    rows = [rng.permutation(whole) for _ in range(-(-count // whole))]
    chosen = table.take(pa.array(np.concatenate(rows)[:count]))
    ids = pa.array([f"{number}-{name}" for number, name in enumerate(chosen["id"].to_pylist())])
    return chosen.set_column(chosen.column_names.index("id"), "id", ids)


def networks_alone(options: argparse.Namespace, table: pa.Table) -> tuple[float, float]:
    """Print what the networks do alone.

    Returns:
        Structures a second, and how many times those of PyTorch Geometric that is.
    """
    work = Workload(table, options.artifacts, options.device)
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    print(f"{work.count} structures, {work.atoms / work.count:.1f} atoms on average, on {device}")

    work.infer(work.model)  # compiles, fills caches, learns how much fits
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work.infer(work.model)
        times.append(time.perf_counter() - began)
    took = statistics.median(times)
    print(
        f"networks alone, {work.networks} of them: {took:.2f} s, {work.count / took:.0f} structures/s, "
        f"{work.atoms / took:.0f} atoms/s, in {type(work.model._ensemble).__name__}"
    )
    if options.device == "cuda":
        shares(work)
    apart(work)
    plain = geometric(work, options.device)
    print(f"  this is {work.count / took / plain:.1f} times as fast as the best of them")
    needs = np.array([floor(batch, work.architecture, work.networks) for batch in work.batches()]).sum(axis=0)
    least = max(needs[0] / (options.tflops * 1e12), needs[1] / (options.bandwidth * 1e9))
    print(
        f"  floor: {needs[0] / work.count / 1e6:.0f} Mflop and {needs[1] / work.count / 1e6:.1f} MB gathered "
        f"a structure, {work.count / least:.0f} structures/s at {options.tflops:g} TFLOP/s and "
        f"{options.bandwidth:g} GB/s; this took {took / least:.1f} times as long"
    )
    return work.count / took, work.count / took / plain


if __name__ == "__main__":
    main()
