"""Loading the published forest: its pickle against the pickle-free conversion, in fresh processes.

    python benchmarks/forest_load.py

A forest of the published one's size and layout (100 trees grown out, 16,000 training rows) is grown on
made-up data with scikit-learn and pickled under the published names; every worker of a run loads such a file
once.  Reported are medians of the CPU time of one load, the peak of the process's memory above what it had
before, and what of it stays.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # before the libraries are loaded: one core for everybody

import argparse
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from goldilocks_batch.artifacts.kinds import ModelKind
from goldilocks_batch.artifacts.resolved import ResolvedFile, ResolvedModel, digested
from goldilocks_batch.models.convert import convert_forest, load_forest

COLUMNS = 483


def published_pickle(path: Path, trees: int, rows: int, split_on: int) -> None:
    """A pickle of the published layout; trees split on the first ``split_on`` columns."""
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, split_on)).astype(np.float32)
    y = np.exp(-1.5 + 0.3 * x[:, 0] + 0.2 * x[:, 1] * x[:, 2] + 0.2 * rng.standard_normal(rows))
    order = np.argsort(y)
    x, y = x[order], y[order]
    plain = RandomForestRegressor(n_estimators=trees, max_features=0.3, random_state=0).fit(x, y)
    leaves = plain.apply(x).T.astype(np.int32)
    copies = np.array([np.bincount(drawn, minlength=rows) for drawn in plain.estimators_samples_])
    weights = np.array(
        [
            copy / np.maximum(np.bincount(leaf, copy), 1)[leaf]
            for leaf, copy in zip(leaves, copies, strict=True)
        ]
    )
    name = "sklearn_quantile.ensemble.quantile"
    module: Any = types.ModuleType(name)
    kind = type("RandomForestQuantileRegressor", (), {"__module__": name})
    module.RandomForestQuantileRegressor = kind
    for parent in ("sklearn_quantile", "sklearn_quantile.ensemble"):
        sys.modules[parent] = types.ModuleType(parent)
    sys.modules[name] = module
    forest = kind()
    forest.__dict__.update(
        estimators_=plain.estimators_,
        y_train_=y.astype(np.float32)[:, None],
        y_train_leaves_=np.where(copies > 0, leaves, -1),
        y_weights_=weights.astype(np.float32),
        q=[0.05, 0.5, 0.95],
        n_features_in_=COLUMNS,
    )
    path.write_bytes(pickle.dumps(forest, protocol=4))


def model_of(source: ResolvedFile, converted: ResolvedFile | None) -> ResolvedModel:
    """What a worker is sent."""
    return ResolvedModel(
        "rf", ModelKind.FOREST, 0.95, "made up", 0.0, "none", None, (), (source,), (), converted
    )


def high_water_mark() -> int:
    """Most memory that this process has had, bytes; ``getrusage`` would count its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def measure(model: ResolvedModel) -> dict[str, float]:
    """One load, in this process."""
    own = psutil.Process()
    before = own.memory_info().rss
    began = time.process_time()
    forest = load_forest(model)
    seconds = time.process_time() - began
    rss, highest = own.memory_info().rss, high_water_mark()
    rows = np.random.default_rng(1).standard_normal((200, COLUMNS))
    return {
        "seconds": seconds,
        "peak": (highest - before) / 1e6,
        "kept": (rss - before) / 1e6,
        "answer": float(forest.predict(rows).astype(np.float64).sum()),
    }


def main() -> None:
    """Make the files, load each in fresh processes, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=int, default=16_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--columns", type=int, default=32, help="columns that trees split on")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--load", type=Path, nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:  # a fresh process, started below
        source, *arrays = (digested("forest", path, None) for path in options.load)
        print(json.dumps(measure(model_of(source, arrays[0] if arrays else None))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "QRF95.pkl")
        published_pickle(path, options.trees, options.train, options.columns)
        source = digested("forest", path, None)
        began = time.process_time()
        converted = convert_forest(source, Path(folder))
        print(f"converted once in {time.process_time() - began:.1f} s")
        print("| | MB on disk | load s | peak memory MB | kept MB |\n| --- | ---: | ---: | ---: | ---: |")
        answers = set()
        for name, files in {"pickle": [source], "converted": [source, converted]}.items():
            command = [sys.executable, __file__, "--load", *(str(file.path) for file in files)]
            runs = [
                json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
                for _ in range(options.repeats)
            ]
            seconds, peak, kept = (
                statistics.median(r[key] for r in runs) for key in ("seconds", "peak", "kept")
            )
            answers |= {r["answer"] for r in runs}
            size = files[-1].stamp[0] / 1e6
            print(f"| {name} | {size:.1f} | {seconds:.2f} | {peak:.0f} | {kept:.0f} |")
    if len(answers) != 1:
        raise SystemExit(f"the two do not predict the same: {answers}")


if __name__ == "__main__":
    main()
