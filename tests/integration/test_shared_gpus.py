"""Processes that share GPUs, and what befalls them there.  The GPUs are forged, all else is real."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch import RunConfig, read_results, run
from goldilocks_batch.execution.select import dask_executor
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.runs.attempt import screening_of
from goldilocks_batch.runs.run import Assignment, process
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.sources.sourceset import open_sources
from tests.forged_driver import forge_driver
from tests.integration.forged_gpu import NAME, OnForgedGpu
from tests.integration.runs import FINGERPRINT, Recorder, rows_of

pytestmark = [pytest.mark.slow, pytest.mark.shared]

ROWS = 45
BOUNDS = ("kdist_lower", "kdist_median", "kdist_upper")


@pytest.fixture(scope="module")
def options(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a run of the stand-ins of the published networks on some small structures."""
    manifest = tmp_path_factory.mktemp("manifest") / "manifest.parquet"
    table = pq.read_table(shared / "data" / "mc3d_pbe.parquet").slice(3000, 1000)
    shortest = np.argsort([len(cif) for cif in table["cif"].to_pylist()], kind="stable")[:ROWS]
    pq.write_table(table.take(np.sort(shortest)), manifest)
    return {
        "inputs": [manifest],
        "model": "alignn",
        "artifacts": shared / "hub",
        "registry": Path(__file__).resolve().parents[1] / "registry-standins.toml",
        "shard_size": 15,
        "dashboard": None,
    }


@pytest.fixture(scope="module")
def on_cpu(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The run on the CPU, in one process."""
    output = tmp_path_factory.mktemp("cpu") / "run"
    run(RunConfig.model_validate({**options, "output": output, "executor": "serial", "device": "cpu"}))
    counts = RunFolder.of(output).record.values["counts"]
    assert counts["devices"] == {"cpu": ROWS}
    return read_results(output)


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forge_driver(tmp_path, monkeypatch, {"GPU-a": 40_000, "GPU-b": 3_000})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")


def screened(options: dict[str, Any], folder: Path, work: dict[str, Any], **changes: Any) -> Recorder:
    """Run on forged GPUs."""
    config = RunConfig.model_validate({**options, "output": folder / "run", **changes})
    results = folder / "run" / "results"
    results.mkdir(parents=True)
    plain = screening_of(config.updated(device="auto"))
    forged = OnForgedGpu(plain, folder / "log", **work)
    recorder = Recorder()
    with dask_executor(config) as executor:
        assignment = Assignment(forged, open_sources(config.inputs), Parts(results, FINGERPRINT))
        assert process(assignment, executor, options["shard_size"], recorder) == "completed"
    return recorder


def log_of(folder: Path) -> list[tuple[str, ...]]:
    return [tuple(line.split(";")) for line in (folder / "log").read_text().splitlines()]


def assert_near(found: pa.Table, wanted: pa.Table, rows: list[int] | None = None) -> None:
    """Golden outputs' tolerance, on every path."""
    for name in BOUNDS:
        ours, theirs = (table[name].to_numpy() for table in (found, wanted))
        if rows is not None:
            ours, theirs = ours[rows], theirs[rows]
        np.testing.assert_allclose(ours, theirs, atol=2e-5, rtol=0)


@pytest.mark.usefixtures("two_gpus")
def test_processes_are_dealt_to_the_gpus_and_do_whole_shards(
    options: dict[str, Any], on_cpu: pa.Table, tmp_path: Path
) -> None:
    recorder = screened(options, tmp_path, {}, workers=3)
    found, log = rows_of(tmp_path / "run"), log_of(tmp_path)
    assert_near(found, on_cpu)
    places = {line[1:] for line in log}
    share = {"0": 40_000 * 2**20 // 2, "1": 3_000 * 2**20}
    assert places == {(gpu, str(memory)) for gpu, memory in share.items()}
    assert len({line[0] for line in log if line[1] == "0"}) == 2
    assert len(log) == ROWS // options["shard_size"], "whole shards, each by one process"
    assert set(found["device"].to_pylist()) == {NAME}
    devices: Counter[str] = Counter()
    for report in recorder.reports:
        devices += report.devices
    assert devices == {NAME: ROWS}


@pytest.mark.usefixtures("two_gpus")
def test_those_that_find_no_room_use_their_cores_and_the_rows_say_so(
    options: dict[str, Any], on_cpu: pa.Table, tmp_path: Path
) -> None:
    screened(options, tmp_path, {}, workers=2, gpus=1, gpu_processes=1)
    found, log = rows_of(tmp_path / "run"), log_of(tmp_path)
    assert_near(found, on_cpu)
    assert {line[1] for line in log} == {"0", ""}
    shards = Counter(line[1] for line in log)
    assert Counter(found["device"].to_pylist()) == {NAME: 15 * shards["0"], "cpu": 15 * shards[""]}
    assert not any("cpu_fallback" in flags for flags in found["flags"].to_pylist())


@pytest.mark.usefixtures("two_gpus")
def test_a_structure_that_breaks_the_context_fails_alone_and_its_processes_are_replaced(
    options: dict[str, Any], on_cpu: pa.Table, tmp_path: Path
) -> None:
    formulas = on_cpu["formula"].to_pylist()
    elements = [set(_elements(formula)) for formula in formulas]
    count = Counter(element for found in elements for element in found)
    failing = next(row for row in range(15, ROWS) if any(count[element] == 1 for element in elements[row]))
    symbol = next(element for element in elements[failing] if count[element] == 1)
    screened(options, tmp_path, {"breaks_context": SYMBOLS.index(symbol)}, workers=2)
    found, log = rows_of(tmp_path / "run"), log_of(tmp_path)
    failed = [row for row, status in enumerate(found["status"].to_pylist()) if status == "failed"]
    assert failed == [failing]
    assert found["error_code"][failing].as_py() == "INTERNAL"
    assert "unspecified launch failure" in found["error_message"][failing].as_py()
    assert found["device"][failing].as_py() is None
    assert_near(found, on_cpu, [row for row in range(ROWS) if row != failing])
    assert len({line[0] for line in log}) > 2
    assert {line[1] for line in log} == {"0", "1"}, "a process that is replaced leaves its place to the next"


@pytest.mark.usefixtures("two_gpus")
def test_memory_taken_by_others_in_the_middle_ends_in_the_answer_of_the_cpu(
    options: dict[str, Any], on_cpu: pa.Table, tmp_path: Path
) -> None:
    screened(options, tmp_path, {"evaluations": 2}, workers=1)
    found = rows_of(tmp_path / "run")
    assert_near(found, on_cpu)
    rows = zip(found["device"].to_pylist(), found["flags"].to_pylist(), strict=True)
    devices = Counter((device, "cpu_fallback" in flags) for device, flags in rows)
    assert devices.keys() == {(NAME, False), ("cpu", True)}
    assert 1 <= devices[NAME, False] <= 10, "two batches, of five structures at most"


def _elements(formula: str) -> list[str]:
    return "".join(
        c if c.isalpha() and not c.isupper() else f" {c}" if c.isupper() else " " for c in formula
    ).split()
