"""A structure that ends whole workers, and with them the shards that they do beside it."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from goldilocks_batch import read_results
from goldilocks_batch.execution.dask import executor as dask_executor
from goldilocks_batch.execution.dask.executor import DaskExecutor
from goldilocks_batch.execution.dask.pool import SETTINGS
from goldilocks_batch.execution.dask.tasks import Ration
from goldilocks_batch.runs.run import process
from tests.integration.failing import logged
from tests.integration.runs import Recorder, rows_of, structures_begun
from tests.integration.site import Site, TendedPool

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

#: `pytest --log-cli-level=INFO` shows them.
FIGURES = logging.getLogger(__name__)
FAILING = 301
SHARD = 8


class WideSite(Site):
    """Three more shards wait at each worker."""

    seats = 3


def test_a_structure_that_ends_workers_fails_alone(
    manifest: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_executor, "_LOOK_EVERY", 0.5)
    name = "distributed.scheduler.allowed-failures"
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", str(SETTINGS[name]))
    ids = pq.read_table(manifest)["id"].to_pylist()
    assignment = logged(manifest, tmp_path, ((ids[FAILING], "end_worker"),))
    recorder = Recorder()
    with WideSite(tmp_path) as site:
        pool = TendedPool(site)
        with DaskExecutor(pool, Ration(60.0, None)) as executor:
            assert process(assignment, executor, SHARD, recorder) == "completed"
    found, expected = rows_of(tmp_path / "run").to_pylist(), read_results(undisturbed).to_pylist()
    failing = found.pop(FAILING)
    expected.pop(FAILING)
    assert found == expected
    assert (failing["id"], failing["status"]) == (ids[FAILING], "failed")
    assert (failing["stage"], failing["error_code"]) == ("worker", "WORKER_CRASH")
    lost, twice = pool.started - 1, structures_begun(tmp_path / "log") - len(ids)
    halved = [warning for warning in recorder.warnings if "in halves" in warning]
    FIGURES.info("%d workers lost, %d halvings, %d begun twice", lost, len(halved), twice)
    # two to be set aside, two to be put apart, two at each of three halvings, four for the structure alone
    assert lost == 2 + 2 + 2 * 3 + 4
    assert len(halved) == 3, "only the failing structure's shard was split"
