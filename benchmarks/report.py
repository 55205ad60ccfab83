"""The page about a run of a million rows: time, memory, size.

    python benchmarks/report.py mc3d/ --rows 1000000 -o million

``mc3d/`` is the folder of any run; its rows are repeated, with ids of their own, and some of them fail.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.results.folder import RunFolder, read_results
from goldilocks_batch.results.part import write_part
from goldilocks_batch.results.shards import Shard
from goldilocks_batch.screening.rows import report_of

#: Of the rows, so many fail.
_FAILED = 0.03

_MEASURED = """
import resource, sys, time
began = time.perf_counter()
from goldilocks_batch import write_report
imported = time.perf_counter()
written = write_report(sys.argv[1])
seconds = time.perf_counter() - imported
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{written.rows:,} rows: {seconds:.1f} s, {peak:,.0f} MiB at most, page {written.size / 1e6:.2f} MB")
"""


def main() -> None:
    """Make the run, if it is not there, and write its page in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a run whose rows are repeated")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--part", type=int, default=20_000, help="rows of a result file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run that is made")
    options = parser.parse_args()
    if not (options.output / "run.json").exists():
        repeat(options.run, options.output, options.rows, options.part)
    subprocess.run([sys.executable, "-c", _MEASURED, str(options.output)], check=True)


def repeat(run: Path, output: Path, rows: int, size: int) -> None:
    """A run of so many rows, made of another's."""
    record = dict(RunFolder.of(run).record.values)
    table, random = read_results(run), np.random.default_rng(0)
    (output / "results").mkdir(parents=True)
    for start in range(0, rows, size):
        shard = Shard(start, min(start + size, rows))
        chosen = table.take(random.integers(0, table.num_rows, len(shard)))
        made = _renamed(_failed(chosen, random.random(len(shard)) < _FAILED), shard)
        report = report_of(made, {"read": 0.1, "features": 2.0, "predict": 0.5})
        write_part(output / "results", shard, made, report, record["fingerprint"])
    record["rows"] = rows
    (output / "run.json").write_text(json.dumps(record), encoding="utf-8")


def _failed(table: pa.Table, failed: NDArray[np.bool_]) -> pa.Table:
    """Some rows without an answer."""
    codes = [code.value for code in ErrorCode if code.ends == "row"]
    texts = {
        "status": ["failed" if bad else "ok" for bad in failed],
        "stage": ["check" if bad else "done" for bad in failed],
        "error_code": [codes[row % len(codes)] if bad else None for row, bad in enumerate(failed)],
        "error_message": ["what was found, and what was expected" if bad else None for bad in failed],
    }
    for name in table.column_names:
        place = table.schema.get_field_index(name)
        field = table.schema.field(name)
        if name in texts:
            table = table.set_column(place, field, pa.array(texts[name], field.type))
        elif pa.types.is_floating(field.type) or "n_kpoints" in name:
            values = table[name].to_numpy(zero_copy_only=False)
            empty = failed | np.isnan(values.astype(np.float64))
            filled = np.where(empty, 0, values)
            table = table.set_column(
                place, field, pa.array(filled.astype(values.dtype), mask=empty).cast(field.type)
            )
    return table


def _renamed(table: pa.Table, shard: Shard) -> pa.Table:
    numbers = np.arange(shard.start, shard.stop)
    ids = [f"{text}-{number}" for text, number in zip(table["id"].to_pylist(), numbers, strict=True)]
    for name, values in (("id", ids), ("row", numbers)):
        place = table.schema.get_field_index(name)
        table = table.set_column(
            place, table.schema.field(name), pa.array(values, table.schema.field(name).type)
        )
    return table


if __name__ == "__main__":
    main()
