"""Rows a second and memory of `export`, format by format, each in a process of its own.

    python benchmarks/export.py RUN -o /tmp/exports --formats vasp csv

RUN is the folder of a finished run; ``examples/make_manifest.py -n 100000`` makes structures for one.  Peak
memory is that of the process, libraries included; it is given beside that of an export of the first rows
alone, which is what a process takes for any export.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from goldilocks_batch.config.choices import ExportFormat, MeshCell
from goldilocks_batch.exports.export import Target, export
from goldilocks_batch.exports.rows import Choice

ENDINGS = {
    "vasp": ".tar.gz",
    "qe": ".tar.gz",
    "aiida": ".jsonl",
    "atomate2": ".jsonl",
    "ase": ".xyz",
    "csv": ".csv",
}


def once(run: Path, form: ExportFormat, cell: MeshCell, output: Path, rows: int | None) -> None:
    """Export in this process, and print its figures."""
    where = [] if rows is None else [f"row < {rows}"]
    began, worked = time.perf_counter(), time.process_time()
    summary = export(run, Target(form, output), Choice(cell, where=where))
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = output.stat().st_size / 2**20
    told = f"{summary.written:,} rows in {seconds:.0f} s, {summary.written / worked:.0f} a second of CPU time"
    print(f"{told}, {peak:.0f} MiB, file {size:.0f} MiB")


def main() -> None:
    """Each format, from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--formats", nargs="+", choices=get_args(ExportFormat), default=get_args(ExportFormat)
    )
    parser.add_argument("--cells", nargs="+", choices=get_args(MeshCell), default=("supplied",))
    parser.add_argument("--ending", help="of vasp's and qe's output: .tar.gz or .zip")
    parser.add_argument("--one", type=int, nargs="?", const=-1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for form in options.formats:
        ending = (options.ending if form in ("vasp", "qe") else None) or ENDINGS[form]
        for cell in options.cells:
            path = options.output / f"{form}-{cell}{ending}"
            if options.one is not None:
                once(options.run, form, cell, path, None if options.one < 0 else options.one)
                continue
            for rows in ("1000", "-1"):
                print(f"{form}, {cell}: ", end="", flush=True)
                command = [
                    sys.executable,
                    __file__,
                    str(options.run),
                    "-o",
                    str(options.output),
                    "--one",
                    rows,
                ]
                subprocess.run([*command, "--formats", form, "--cells", cell, "--ending", ending], check=True)
                path.unlink()


if __name__ == "__main__":
    main()
