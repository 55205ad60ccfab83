"""Whole runs of one model against another: wall time, from CIF texts and from a compact manifest.

    python benchmarks/whole_runs.py manifest.parquet --models rf mc3d --artifacts models/ --executor serial

``manifest.parquet`` holds CIF texts (columns ``id`` and ``cif``).  Its first rows are screened by
``goldilocks-batch run`` in a fresh process for each model and each kind of input, in turn and as often as
``--rounds`` says, so that a slow spell of the machine hits all of them; a first round, which compiles kernels
and, as an installation does, modules, does not count.  Reported are medians over the rounds: of the times in
``run.json``, of their ratios within a round, and of the ratios of processor time, which is that of the whole
command with Python's start and which other work on the machine moves least.  All further options go to
``run``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from goldilocks_batch.runs.manifest import write_manifest
from goldilocks_batch.structures.sources.sourceset import open_sources

INPUTS = ("CIF manifest", "compact manifest")


def screen(source: Path, model: str, options: list[str], folder: Path) -> tuple[float, float, int]:
    """Seconds of the run, seconds of processor time, rows without a result."""
    output = folder / "run"
    shutil.rmtree(output, ignore_errors=True)
    program = [sys.executable, "-m", "goldilocks_batch.cli.app", "run", str(source), "-o", str(output), "-q"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [*program, "--model", model, *options],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    counts = record["counts"]
    return record["attempts"][-1]["seconds"], processor, counts["rows"] - counts["ok"]


def main() -> None:
    """Print a line for every kind of input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--models", nargs=2, default=["rf", "mc3d"], metavar=("SLOW", "FAST"))
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    options, rest = parser.parse_known_args()
    slow, fast = options.models
    times: dict[tuple[str, str], list[tuple[float, float, int]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {kind: folder / f"{kind.split()[0]}.parquet" for kind in INPUTS}
        table = pq.read_table(options.manifest, columns=["id", "cif"]).slice(0, options.rows)
        pq.write_table(table, sources[INPUTS[0]], row_group_size=1000)
        write_manifest(open_sources([sources[INPUTS[0]]]), sources[INPUTS[1]], max_sites=1000)
        for number in range(options.rounds + 1):
            for kind, source in sources.items():
                for model in (slow, fast) if number % 2 else (fast, slow):
                    spent = screen(source, model, rest, folder)
                    print(
                        f"  round {number}, {kind}, {model}: {spent[0]:.2f} s, processor {spent[1]:.2f} s",
                        file=sys.stderr,
                    )
                    if number:
                        times.setdefault((kind, model), []).append(spent)
    print(
        f"{table.num_rows:,} structures, {options.rounds} rounds; run with: {' '.join(rest) or 'defaults'}\n"
    )
    heads = [f"{slow} s", f"{fast} s", "ratio", "from", "to", "ratio of processor time"]
    print(f"| input | {' | '.join(heads)} |")
    print("| --- " + "| ---: " * len(heads) + "|")
    for kind in INPUTS:
        pairs = list(zip(times[kind, slow], times[kind, fast], strict=True))
        ratios = [a[0] / b[0] for a, b in pairs]
        seconds = [median(own[0] for own in times[kind, model]) for model in (slow, fast)]
        processor = median(a[1] / b[1] for a, b in pairs)
        print(
            f"| {kind} | {seconds[0]:.2f} | {seconds[1]:.2f} | {median(ratios):.2f} | {min(ratios):.2f} "
            f"| {max(ratios):.2f} | {processor:.2f} |"
        )


if __name__ == "__main__":
    main()
