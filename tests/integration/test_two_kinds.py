"""CPU workers prepare, GPU workers infer.  No GPU is needed to see that the two are kept apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch import RunConfig, read_results, run
from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.execution.select import dask_executor
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.report import Report
from goldilocks_batch.runs.attempt import screening_of
from goldilocks_batch.runs.run import Assignment, Silent, process
from goldilocks_batch.screening.pipeline import Prepared, Screener, Screening
from goldilocks_batch.structures.sources.reference import Reference
from goldilocks_batch.structures.sources.sourceset import open_sources
from tests.integration.culprits import Crime, commit
from tests.integration.runs import FINGERPRINT, rows_of
from tests.logged import warnings_from_now

pytestmark = pytest.mark.slow

ROWS = 600
#: By the last run.


@dataclass(frozen=True)
class Halves:
    """The real screening, which notes who does which half of a shard, on what.

    Attributes:
        screening: the real one.
        log: a line for every half: which, process, GPUs seen, whether it was told to do without.
        crimes: what is done in a half of the shard with this structure: half, id, crime.
    """

    screening: Screening
    log: Path
    crimes: tuple[tuple[str, str, Crime], ...] = ()
    deviceless: bool = field(default=False)

    @property
    def splits(self) -> bool:
        return True

    def without_device(self) -> Self:
        return type(self)(self.screening, self.log, self.crimes, deviceless=True)

    def build(self) -> HalvesPipeline:
        return HalvesPipeline(self, self.screening.build())

    def failed(
        self, references: Sequence[Reference], first_row: int, code: ErrorCode, message: str
    ) -> tuple[pa.Table, Report]:
        return self.screening.failed(references, first_row, code, message)


class HalvesPipeline:
    def __init__(self, work: Halves, screener: Screener) -> None:
        self._work = work
        self._screener = screener

    def __call__(self, references: Sequence[Reference], first_row: int) -> tuple[pa.Table, Report]:
        raise AssertionError(f"rows from {first_row}: nobody does all of {len(references)}")

    def prepare(self, references: Sequence[Reference]) -> tuple[list[str], Prepared]:
        ids = [reference.id for reference in references]
        self._note("prepare", ids)
        return ids, self._screener.prepare(references)

    def finish(self, prepared: tuple[list[str], Prepared], first_row: int) -> tuple[pa.Table, Report]:
        self._note("finish", prepared[0])
        return self._screener.finish(prepared[1], first_row)

    def _note(self, half: str, ids: list[str]) -> None:
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
        with self._work.log.open("a") as log:
            log.write(f"{half};{os.getpid()};{gpus};{self._work.deviceless}\n")
        for where, name, crime in self._work.crimes:
            if where == half and name in ids:
                commit(crime)


def screened(
    manifest: Path, folder: Path, crimes: tuple[tuple[str, str, Crime], ...] = (), **options: Any
) -> list[list[str]]:
    """Run in halves; the lines of the log."""
    values = {"model": "baseline", "workers": 2, "shard_size": 32, "dashboard": None, **options}
    config = RunConfig.model_validate({"inputs": [manifest], "output": folder / "run", **values})
    work = Halves(screening_of(config.updated(gpus=None)), folder / "log", crimes)
    results = folder / "run" / "results"
    results.mkdir(parents=True)
    with dask_executor(config, splits=True) as executor:
        assignment = Assignment(work, open_sources(config.inputs), Parts(results, FINGERPRINT))
        assert process(assignment, executor, config.shard_size or 32, Silent()) == "completed"
    return [line.split(";") for line in (folder / "log").read_text().splitlines()]


def test_each_half_has_its_own_processes(
    manifest: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    log = screened(manifest, tmp_path, gpus=2)
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))
    first, second = ({tuple(line[1:]) for line in log if line[0] == half} for half in ("prepare", "finish"))
    assert not {pid for pid, *_ in first} & {pid for pid, *_ in second}
    assert len(first) <= 2
    assert {tuple(rest) for _, *rest in first} == {("", "True")}
    # one process a GPU, which sees that one alone
    assert sorted(rest for _, *rest in second) == [["GPU-a", "False"], ["GPU-b", "False"]]


def test_without_a_gpu_the_worker_for_one_uses_the_cpu(
    manifest: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    told = warnings_from_now()
    log = screened(manifest, tmp_path, gpus=1)
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))
    assert {line[2] for line in log} == {""}
    assert len({line[1] for line in log if line[0] == "finish"}) == 1
    assert told == ["1 GPUs asked for, 0 seen here: processes without one use a core"]


@pytest.mark.parametrize("half", ["prepare", "finish"])
def test_a_culprit_in_either_half_fails_alone(
    half: str, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    culprit = pq.read_table(manifest)["id"].to_pylist()[70]
    screened(manifest, tmp_path, ((half, culprit, "crash"),), gpus=1)
    found, expected = rows_of(tmp_path / "run").to_pylist(), read_results(undisturbed).to_pylist()
    assert found.pop(70)["error_code"] == "WORKER_CRASH"
    expected.pop(70)
    assert found == expected


@pytest.mark.shared
def test_networks_give_the_same_on_two_kinds_of_workers(shared: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.parquet"
    pq.write_table(pq.read_table(shared / "data" / "mc3d_pbe.parquet").slice(0, 60), manifest)
    values = {
        "inputs": [manifest],
        "model": "alignn",
        "artifacts": shared / "hub",
        "registry": Path(__file__).resolve().parents[1] / "registry-standins.toml",
        "shard_size": 16,
        "dashboard": None,
        "device": "cpu",
    }
    tables = []
    for name, options in (("serial", {"executor": "serial"}), ("kinds", {"gpus": 1, "workers": 1})):
        run(RunConfig.model_validate({**values, **options, "output": tmp_path / name}))
        tables.append(read_results(tmp_path / name))
    assert tables[0].equals(tables[1])
    assert set(tables[0]["status"].to_pylist()) == {"ok"}
    counts = RunFolder.of(tmp_path / "kinds").record.values["counts"]
    assert counts["devices"] == {"cpu": 60}
