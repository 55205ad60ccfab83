"""Forest prediction: this package against quantile-forest and scikit-learn's plain forest, in one run.

    python benchmarks/forest_predict.py

A forest of the published one's size (100 trees grown out, 16,000 training rows) is grown on made-up data by
quantile-forest; the same trees answer everywhere.  Calling quantile-forest row by row is what an application
does that handles one structure at a time.  Reported are medians of the process's CPU time.  The exit code is
1 if the answers disagree, or if a row takes more than a fiftieth of quantile-forest's row by row.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # before the libraries are loaded: one core for everybody

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from goldilocks_batch.config.training import ForestSettings
from goldilocks_batch.training.forest import forest_of, grow

QUANTILES = [0.05, 0.5, 0.95]
#: Times faster than quantile-forest row by row.
TARGET = 50
#: Largest median difference of log kdist: the two interpolate differently between training rows, whose labels
#: scatter by 0.2.
AGREEMENT = 0.01


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median CPU time of a call."""
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def main() -> None:
    """Grow, check that the answers agree, time, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--train", type=int, default=16_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--columns", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    x = rng.standard_normal((options.train + options.rows, options.columns)).astype(np.float32)
    log_y = -1.5 + 0.3 * x[:, 0] + 0.2 * x[:, 1] * x[:, 2] + 0.2 * rng.standard_normal(len(x))
    y, x_train, x_new = np.exp(log_y[: options.train]), x[: options.train], x[options.train :]
    settings = ForestSettings(n_estimators=options.trees, min_samples_leaf=1, max_features=0.3)
    theirs = grow(x_train, y, settings)
    ours = forest_of(theirs, x_train, y, QUANTILES)
    plain = RandomForestRegressor(n_estimators=options.trees, max_features=0.3, random_state=0, n_jobs=1)
    plain.fit(x_train, np.log(y))
    print(f"{options.trees} trees, {len(ours.feature):,} nodes, {len(ours.rows):,} entries in leaves")

    few = x_new[:200]
    answer = np.log(ours.predict(few))  # compiles too
    other = theirs.predict(few, quantiles=QUANTILES, weighted_leaves=True)
    apart = float(np.median(np.abs(answer - other)))
    print(f"median difference from quantile-forest in log kdist: {apart:.1e}")

    def one_by_one() -> None:
        for row in range(len(few)):
            theirs.predict(few[row : row + 1], quantiles=QUANTILES)

    each = {
        "this package, batch": seconds(lambda: ours.predict(x_new), options.repeats) / len(x_new),
        "scikit-learn's plain forest (mean only), batch": seconds(
            lambda: plain.predict(x_new), options.repeats
        )
        / len(x_new),
        "quantile-forest, batch": seconds(lambda: theirs.predict(x_new, quantiles=QUANTILES), 1) / len(x_new),
        "quantile-forest, row by row": seconds(one_by_one, options.repeats) / len(few),
    }
    best = each["this package, batch"]
    print("| | µs a row | times ours |\n| --- | --- | --- |")
    for name, time_each in each.items():
        print(f"| {name} | {1e6 * time_each:.1f} | {time_each / best:.1f} |")
    faster = each["quantile-forest, row by row"] / best
    if apart > AGREEMENT or faster < TARGET:
        raise SystemExit(
            f"answers {apart:.1e} apart, {faster:.0f} times faster; {AGREEMENT:g}, {TARGET} wanted"
        )


if __name__ == "__main__":
    main()
