"""Convergence studies as a whole: a row for every structure, labels that train, nothing calculated twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from ase import Atoms
from ase.io import write

from goldilocks_batch import ConvergeConfig, GoldilocksError, converge
from goldilocks_batch.convergence.converge import tabulate
from goldilocks_batch.convergence.tail import first_converged
from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.kpoints.ladder import ladder
from goldilocks_batch.training.protocols import PROTOCOL_KEY, ended_of, said, single_protocol
from tests.integration.site import Site
from tests.logged import warnings_from_now
from tests.tight_binding import energy_per_atom

#: Cells of one, two and three unequal axes, whose ladders differ.
CELLS = {"Al": (4.0, 4.0, 4.0), "Cu": (3.0, 3.0, 7.0), "Ni": (3.5, 5.0, 6.5)}


def structures(base: Path, *names: str) -> Path:
    folder = base / "structures"
    folder.mkdir()
    for name in names or CELLS:
        atoms = Atoms(name, cell=CELLS[name], pbc=True)
        write(folder / f"{name}.cif", atoms)
    return folder


def options(base: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    parameters = {"log": str(base / "log"), **changes.pop("parameters", {})}
    code = {
        "calculator": "tests.tight_binding.TightBinding",
        "kpoints": {"kpts": "mesh"},
        "parameters": parameters,
    }
    found = {"inputs": [str(folder)], "output": str(base / "out"), "code": code, "executor": "serial"}
    return {**found, "tolerances": [5.0, 3.0, 1.0], **changes}


def calculated(base: Path) -> Counter[str]:
    """How often each mesh of each structure was calculated."""
    path = base / "log"
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def rows_of(base: Path, name: str = "studies.parquet") -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in pq.read_table(base / "out" / name).to_pylist()}


def plain_loop(name: str, tolerance: float) -> tuple[int, list[int]]:
    """The label's rung and mesh, by a loop over the ladder."""
    cell = Atoms(name, cell=CELLS[name]).cell[:]
    rungs = ladder(cell, None, 0.03)
    start = rungs.rung_of(1.0)
    energies: list[float] = []
    for mesh in rungs.meshes[start - 1 :].tolist():
        energies.append(energy_per_atom(tuple(mesh)))
        if first_converged(energies, 1.0) is not None:
            break
    place = first_converged(energies, tolerance)
    assert place is not None
    return start + place, rungs.meshes[start + place - 1].tolist()


def test_labels_are_those_of_a_plain_loop_and_a_second_run_calculates_nothing(tmp_path: Path) -> None:
    config = ConvergeConfig(**options(tmp_path, structures(tmp_path)))
    summary = converge(config)
    assert (summary.state, summary.rows, summary.report.ok, summary.computed) == ("completed", 3, 3, 3)
    rows = rows_of(tmp_path)
    assert list(rows) == sorted(CELLS)  # in the order of the inputs
    for name, row in rows.items():
        for tolerance in (1.0, 3.0, 5.0):
            found = row[f"rung_{tolerance:g}mev"], row[f"mesh_{tolerance:g}mev"]
            assert found == plain_loop(name, tolerance)
        energies = [point["energy"] for point in row["ladder"]]
        assert energies == [energy_per_atom(tuple(point["mesh"])) for point in row["ladder"]]
    once = calculated(tmp_path)
    assert set(once.values()) == {1}
    again = converge(config)
    assert (again.computed, again.report.ok) == (0, 3)
    assert calculated(tmp_path) == once
    assert not list((tmp_path / "out" / "studies").glob("*/work"))


def test_studies_on_local_workers_are_the_same(tmp_path: Path) -> None:
    base = tmp_path / "serial"
    base.mkdir()
    folder = structures(tmp_path)
    converge(ConvergeConfig(**options(base, folder)))
    converge(ConvergeConfig(**options(tmp_path, folder, executor="local", workers=2)))
    assert calculated(tmp_path) == calculated(base)
    timeless = ("seconds", "ladder", "input_sha256", "protocol")  # these know of the log
    for name, row in rows_of(tmp_path).items():
        other = rows_of(base)[name]
        assert {k: v for k, v in row.items() if k not in timeless} == {
            k: v for k, v in other.items() if k not in timeless
        }


@pytest.mark.parametrize(
    ("trouble", "code"),
    [("nan", "CODE_FAILED"), ("raise", "CODE_FAILED"), ("kill", "WORKER_CRASH"), ("hang", "TIMEOUT")],
)
def test_what_fails_is_a_row_with_the_limits_of_its_finished_rungs(
    tmp_path: Path, trouble: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldilocks_batch.config.convergence._GRACE", 1.0)
    given = options(
        tmp_path,
        structures(tmp_path, "Al", "Cu"),
        parameters={"trouble": trouble, "at": 5},
        executor="local",
        workers=1,
        budget={"seconds": 4.0 if trouble == "hang" else 100.0},
    )
    summary = converge(ConvergeConfig(**given))
    assert (summary.report.ok, summary.limits) == (0, 2)
    for row in rows_of(tmp_path).values():
        assert (row["status"], row["error_code"]) == ("limit", code)
        assert [max(point["mesh"]) < 5 for point in row["ladder"]] == [True] * len(row["ladder"])
        assert row["ladder"]
        assert row["k_dist_1mev"] is None
        assert row["k_dist_at_most_1mev"] > 0
    tries = 2 if trouble in ("kill", "hang") else 1  # a process that is lost may have met a stray signal
    sound = {mesh: n for mesh, n in calculated(tmp_path).items() if "5" not in mesh}
    assert set(sound.values()) == {1}, "a finished rung was calculated again"
    assert {n for mesh, n in calculated(tmp_path).items() if "5" in mesh} <= {tries, tries * 2}


def test_a_worker_that_is_killed_once_loses_no_rung_and_no_study(tmp_path: Path) -> None:
    given = options(
        tmp_path, structures(tmp_path), parameters={"trouble": "once", "at": 6}, executor="local", workers=1
    )
    summary = converge(ConvergeConfig(**given))
    assert summary.report.ok == 3
    again = [mesh for mesh, n in calculated(tmp_path).items() if n > 1]
    assert len(again) == 1  # the rung in hand, once
    for name, row in rows_of(tmp_path).items():
        assert (row["rung_1mev"], row["mesh_1mev"]) == plain_loop(name, 1.0)


def test_no_table_of_other_studies_is_left_while_new_ones_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(tmp_path, structures(tmp_path, "Al"))
    converge(ConvergeConfig(**given))

    def interrupted(*_arguments: object) -> str:
        return "interrupted"

    monkeypatch.setattr("goldilocks_batch.convergence.converge.carry_out", interrupted)
    other = {**given, "tolerances": [2.0], "overwrite": True}
    assert converge(ConvergeConfig(**other)).state == "interrupted"
    assert not list((tmp_path / "out").glob("*.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_client_that_is_gone_leaves_what_the_next_one_goes_on_from(
    tmp_path: Path, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(tmp_path, structures(tmp_path), parameters={"pause": 0.15}, executor="local", workers=2)
    (tmp_path / "converge.yaml").write_text(yaml.safe_dump(given))
    command = [sys.executable, "-m", "goldilocks_batch.cli.app", "converge", "-c", "converge.yaml"]
    # its children import the calculator of these tests
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    client = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while len(list(tmp_path.glob("out/studies/*/rung-*.json"))) < 5:
        assert client.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(client.pid, sign)
    client.wait()
    finished = {
        (path.parent.name, path.name): json.loads(path.read_text())
        for path in tmp_path.glob("out/studies/*/rung-*.json")
    }
    done = subprocess.run([*command, "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for (study, name), before in finished.items():
        assert json.loads((tmp_path / "out" / "studies" / study / name).read_text()) == before
    twice = [mesh for mesh, n in calculated(tmp_path).items() if n > 1]
    assert len(twice) <= 2  # those that the two workers had in hand
    for name, row in rows_of(tmp_path).items():
        assert (row["rung_1mev"], row["mesh_1mev"]) == plain_loop(name, 1.0)


def test_a_larger_budget_takes_up_what_the_smaller_one_left(tmp_path: Path) -> None:
    given = options(tmp_path, structures(tmp_path), budget={"divisions": 3})
    first = converge(ConvergeConfig(**given))
    assert first.report.failures == {"BUDGET": 3}
    before = calculated(tmp_path)
    larger = {**given, "budget": {"divisions": None}}
    assert converge(ConvergeConfig(**larger)).report.ok == 0  # nobody said to try again
    retried = converge(ConvergeConfig(**larger, retry=True))
    assert retried.report.ok == 3
    assert set(calculated(tmp_path).values()) == {1}
    assert calculated(tmp_path).total() > before.total()


def test_studies_of_another_kind_are_refused_and_overwritten_when_told(tmp_path: Path) -> None:
    given = options(tmp_path, structures(tmp_path, "Al"))
    converge(ConvergeConfig(**given))
    changed = {
        **given,
        "code": {**given["code"], "parameters": {"hopping": 0.02, "log": str(tmp_path / "log")}},
    }
    with pytest.raises(GoldilocksError, match="hopping") as raised:
        converge(ConvergeConfig(**changed))
    assert (tmp_path / "out" / "labels.parquet").exists()
    assert raised.value.code == ErrorCode.RESUME_REFUSED
    converge(ConvergeConfig(**changed, overwrite=True))
    energies = [point["energy"] for point in rows_of(tmp_path)["Al"]["ladder"]]
    assert energies[0] == energy_per_atom((2, 2, 2), 0.02)  # no rung of the other study


def test_a_broken_structure_is_a_row_like_any_other(tmp_path: Path) -> None:
    folder = structures(tmp_path, "Al")
    (folder / "broken.cif").write_text("not a crystal\n")
    summary = converge(ConvergeConfig(**options(tmp_path, folder)))
    assert (summary.rows, summary.report.ok, summary.limits) == (2, 1, 0)
    row = rows_of(tmp_path)["broken"]
    assert (row["status"], row["cell"]) == ("failed", None)
    assert row["error_code"] in ErrorCode.__members__
    assert set(rows_of(tmp_path, "labels.parquet")) == {"Al"}
    assert set(rows_of(tmp_path, "labels-and-limits.parquet")) == {"Al"}


def test_the_longest_study_begins_first(tmp_path: Path) -> None:
    folder = tmp_path / "structures"
    folder.mkdir()
    for name, edge in (("Al", 6.0), ("Cu", 3.0), ("Ni", 12.0)):
        atoms = Atoms(name, cell=[edge] * 3, pbc=True)
        write(folder / f"{name}.cif", atoms if name != "Ni" else atoms * (1, 1, 2))
    converge(ConvergeConfig(**options(tmp_path, folder)))
    begun = list(dict.fromkeys(line.split()[0] for line in (tmp_path / "log").read_text().splitlines()))
    assert begun[0] == "Ni2"
    assert list(rows_of(tmp_path)) == ["Al", "Cu", "Ni"]


def test_inputs_and_outputs_are_kept_of_failures_and_on_request(tmp_path: Path) -> None:
    given = options(tmp_path, structures(tmp_path, "Al"), parameters={"trouble": "raise", "at": 4}, keep=True)
    converge(ConvergeConfig(**given))
    (study,) = (tmp_path / "out" / "studies").iterdir()
    assert (study / "work" / "output.txt").exists()
    kept = sorted(path.name for path in study.glob("kept-*"))
    assert kept == [path.stem.replace("rung", "kept") for path in sorted(study.glob("rung-*.json"))]


def test_labels_are_what_training_takes(tmp_path: Path) -> None:
    """Metadata, columns and structures; a forest of many labels is trained elsewhere."""
    from goldilocks_batch.config.training import Target
    from goldilocks_batch.training.labels import read_labels

    converge(ConvergeConfig(**options(tmp_path, structures(tmp_path))))
    path = tmp_path / "out" / "labels.parquet"
    labels = read_labels(path, Target(column="k_dist_1mev", at_most="k_dist_at_most_1mev"))
    assert [reference.id for reference in labels.references] == sorted(CELLS)
    protocol = json.loads(pq.read_schema(path).metadata[PROTOCOL_KEY])
    assert protocol["code"] == "tests.tight_binding.TightBinding"
    assert protocol["digest"] == pq.read_table(path)["protocol"][0].as_py()
    assert isinstance(pq.read_schema(path).field("first_1mev").type, type(pa.bool_()))


@pytest.mark.slow
def test_studies_train_boosted_trees_as_they_are(tmp_path: Path) -> None:
    from goldilocks_batch.config.training import BoostedSettings, TrainBoostedConfig
    from goldilocks_batch.training.boosted import train_boosted
    from tests.training_data import labelled_rows

    folder = tmp_path / "structures"
    folder.mkdir()
    for row in labelled_rows(60):
        atoms = Atoms(
            row["species_at_sites"],
            positions=row["cartesian_site_positions"],
            cell=row["lattice_vectors"],
            pbc=True,
        )
        write(folder / f"{row['id']}.cif", atoms)
    summary = converge(ConvergeConfig(**options(tmp_path, folder)))
    assert summary.report.ok == 60
    config = TrainBoostedConfig(
        columns={t: f"k_dist_{t}mev" for t in (1, 3, 5)},
        at_least={t: f"first_{t}mev" for t in (1, 3, 5)},
        boosting=BoostedSettings(trees=3, own_trees=0, scale_trees=2, folds=2),
    )
    model, _ = train_boosted(tmp_path / "out" / "labels.parquet", config, tmp_path / "model")
    (protocol,) = model.record.training.model_dump()["protocols"]
    assert {row["protocol"] for row in rows_of(tmp_path).values()} == {protocol["digest"]}
    assert f"protocol {protocol['digest']}" in (tmp_path / "model" / "card.md").read_text()


PROGRAM = [sys.executable, "-m", "goldilocks_batch.cli.app"]


def told_by(base: Path, *arguments: str, status: int = 0) -> str:
    done = subprocess.run([*PROGRAM, *arguments], cwd=base, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def interrupt_after(base: Path, given: dict[str, Any], ended: int) -> None:
    """Begin studies by the command, and interrupt it when so many have ended."""
    (base / "converge.yaml").write_text(yaml.safe_dump(given))
    client = subprocess.Popen(
        [*PROGRAM, "converge", "-c", "converge.yaml"], cwd=base, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 90
    while len(list(base.glob("out/results/part-*.parquet"))) < ended:
        assert client.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    client.send_signal(signal.SIGINT)
    assert client.wait() == 130


@pytest.fixture
def paths_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that tests start import the calculator of these tests."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))


@pytest.mark.slow
@pytest.mark.usefixtures("paths_of_tests")
def test_interrupted_studies_leave_tables_that_say_they_are_partial(tmp_path: Path) -> None:
    folder = structures(tmp_path, "Al", "Cu", "Ni")
    given = options(tmp_path, folder, parameters={"pause": 0.1})
    interrupt_after(tmp_path, given, 1)
    out = tmp_path / "out"
    ended = len(rows_of(tmp_path))
    assert 1 <= ended < 3
    for name in ("studies.parquet", "labels.parquet", "labels-and-limits.parquet"):
        assert ended_of(out / name) == (ended, 3)
    assert set(rows_of(tmp_path, "labels.parquet")) < set(CELLS)
    (attempt,) = json.loads((out / "run.json").read_text())["attempts"]
    assert (attempt["state"], attempt["tables"]) == ("interrupted", {"ended": ended, "of": 3})
    told = told_by(tmp_path, "status", "out", status=1)
    assert f"{ended} labels, 0 limits, 0 without either" in told
    assert f"out/labels.parquet and the other tables are of {ended} of 3 studies" in told
    assert told_by(tmp_path, "collect", "out").count("studies.parquet") == 1
    assert ended_of(out / "studies.parquet") is None
    for name, row in rows_of(tmp_path).items():
        assert (row["rung_1mev"], row["mesh_1mev"]) == plain_loop(name, 1.0)
    told = told_by(tmp_path, "status", "out")
    assert "completed: 3 of 3 rows" in told
    assert "3 labels, 0 limits, 0 without either" in told
    assert "out/labels.parquet and the other tables are of 3 of 3 studies" in told


@pytest.mark.usefixtures("paths_of_tests")
def test_tables_are_written_without_a_calculation(tmp_path: Path) -> None:
    given = options(tmp_path, structures(tmp_path))
    (tmp_path / "converge.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(GoldilocksError, match="RESUME_REFUSED"):
        tabulate(ConvergeConfig(**given))
    converge(ConvergeConfig(**given))
    before, out = calculated(tmp_path), tmp_path / "out"
    whole = (out / "labels.parquet").read_bytes()
    next(out.glob("results/part-*.parquet")).unlink()  # as if a client had been killed before
    summary = tabulate(ConvergeConfig(**given))
    assert (summary.state, summary.tabled, summary.rows, summary.report.ok) == ("partial", 2, 3, 2)
    told = told_by(tmp_path, "converge", "-c", "converge.yaml", "--tables", status=1)
    assert "partial: 2 of 3 structures: 2 labels, 0 limits, 0 without either" in told
    assert "labels, for train, 2 of 3 studies: " in told
    assert ended_of(out / "labels.parquet") == (2, 3)
    assert len(rows_of(tmp_path, "labels.parquet")) == 2
    with pytest.raises(GoldilocksError, match="different run"):
        tabulate(ConvergeConfig(**given, ladder={"start": 0.9}))
    for part in out.glob("results/part-*.parquet"):
        part.unlink()
    assert tabulate(ConvergeConfig(**given)).tabled == 0
    assert calculated(tmp_path) == before
    converge(ConvergeConfig(**given))
    assert calculated(tmp_path) == before  # rungs are there, and labels are had from them
    assert (out / "labels.parquet").read_bytes() == whole


@pytest.mark.usefixtures("paths_of_tests")
def test_a_dry_run_tells_of_studies_and_scripts_and_does_nothing(tmp_path: Path) -> None:
    given = options(tmp_path, structures(tmp_path), slurm={"requests": {"cores": 2, "walltime": "1:00:00"}})
    (tmp_path / "converge.yaml").write_text(yaml.safe_dump(given))
    command = ("converge", "-c", "converge.yaml", "--dry-run")
    told = told_by(tmp_path, *command, "--array", "--jobs", "2")
    assert "3 structures, 3 studies to do" in told
    assert "#SBATCH --array=0-1\n" in told
    assert "array-task" in told
    assert "--- request" in told_by(tmp_path, *command, "--executor", "slurm")
    assert told_by(tmp_path, *command).strip() == "3 structures, 3 studies to do"
    assert not (tmp_path / "out").exists()
    assert not calculated(tmp_path)
    budget = {"budget": {"divisions": 2}}
    converge(ConvergeConfig(**given, **budget))
    (tmp_path / "converge.yaml").write_text(yaml.safe_dump(given | budget))
    assert "3 structures, 0 studies to do" in told_by(tmp_path, *command)
    assert "3 structures, 3 studies to do" in told_by(tmp_path, *command, "--retry")
    assert "--tables calculates nothing" in told_by(tmp_path, *command, "--tables", status=2)


@pytest.mark.slow
@pytest.mark.usefixtures("paths_of_tests")
def test_tasks_of_an_array_share_what_is_left_from_what_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The submission itself is tested where there is a SLURM."""
    given = options(tmp_path, structures(tmp_path))
    converge(ConvergeConfig(**given))
    before, out = calculated(tmp_path), tmp_path / "out"
    for part in out.glob("results/part-*.parquet"):
        part.unlink()
    for number, studies in ((0, 2), (1, 1), (0, 0)):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(number))
        monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "0")
        monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
        assert f"{studies} rows, 0 failed" in told_by(tmp_path, "array-task", "out")
    assert calculated(tmp_path) == before
    assert tabulate(ConvergeConfig(**given)).report.ok == 3
    (tmp_path / "structures" / "Al.cif").unlink()
    assert "RESUME_REFUSED" in told_by(tmp_path, "array-task", "out", status=2)


def test_training_on_some_of_the_studies_says_so(tmp_path: Path) -> None:
    converge(ConvergeConfig(**options(tmp_path, structures(tmp_path))))
    path = tmp_path / "out" / "labels.parquet"
    warnings = warnings_from_now()
    (protocol,) = single_protocol(path, mixed=False)
    assert warnings == []
    assert "studies" not in said(protocol)
    next(tmp_path.glob("out/results/part-*.parquet")).unlink()
    tabulate(ConvergeConfig(**options(tmp_path, tmp_path / "structures")))
    (partial,) = single_protocol(path, mixed=False)
    assert partial == protocol | {"studies_ended": 2, "studies": 3}
    assert "when 2 of 3 studies had ended" in said(partial)
    (warning,) = warnings
    assert "labels.parquet was written when 2 of 3 studies had ended" in warning


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    told = told_by(tmp_path, "converge", str(tmp_path), "--tables", "--retry", status=2)
    assert "--tables calculates nothing" in told
    assert not (tmp_path / "studies").exists()


def test_folders_of_studies_that_were_named_otherwise_are_gone_on_with(tmp_path: Path) -> None:
    import hashlib

    given = options(tmp_path, structures(tmp_path, "Al", "Cu"))
    converge(ConvergeConfig(**given))
    before = calculated(tmp_path)
    folder = tmp_path / "out" / "studies"
    for name in ("Al", "Cu"):
        (named,) = folder.glob(f"{name}%~*")
        named.rename(folder / f"{name}-{hashlib.sha256(name.encode()).hexdigest()[:12]}")
    for part in (tmp_path / "out").glob("results/part-*.parquet"):
        part.unlink()
    assert converge(ConvergeConfig(**given)).report.ok == 2
    assert calculated(tmp_path) == before
    assert len(list(folder.iterdir())) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("paths_of_tests")
def test_studies_on_a_cluster_that_exists(tmp_path: Path) -> None:
    """A worker that is killed in the middle of a study costs the rung in hand."""
    given = options(tmp_path, structures(tmp_path), parameters={"pause": 0.2})
    with Site(tmp_path) as site:
        site.add_worker()
        (tmp_path / "converge.yaml").write_text(yaml.safe_dump(given | {"cluster": str(site.file)}))
        command = [*PROGRAM, "converge", "-c", "converge.yaml", "--quiet"]
        client = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 90
        while len(list(tmp_path.glob("out/studies/*/rung-*.json"))) < 3:
            assert client.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        site.processes[-1].kill()
        site.add_worker()
        out, err = client.communicate(timeout=90)
        assert client.returncode == 0, out + err
    assert len([mesh for mesh, n in calculated(tmp_path).items() if n > 1]) <= 1
    for name, row in rows_of(tmp_path).items():
        assert (row["rung_1mev"], row["mesh_1mev"]) == plain_loop(name, 1.0)


@pytest.mark.slow
@pytest.mark.usefixtures("paths_of_tests")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_all_processes_at_once_fails_no_study(tmp_path: Path, sign: int) -> None:
    """As a terminal sends it with Ctrl-C, and a scheduler to all of a job: the code hears it too."""
    program = tmp_path / "code"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o755)
    given = options(tmp_path, structures(tmp_path, "Al", "Cu"), executor="local", workers=2)
    given["code"] = {
        "calculator": "tests.tight_binding.Outside",
        "command": str(program),
        "kpoints": {"kpts": "mesh"},
    }
    (tmp_path / "converge.yaml").write_text(yaml.safe_dump(given))
    client = subprocess.Popen(
        [*PROGRAM, "converge", "-c", "converge.yaml"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def codes() -> list[psutil.Process]:
        below = psutil.Process(client.pid).children(recursive=True)
        return [process for process in below if process.name() == "sleep"]

    deadline = time.monotonic() + 90
    while len(codes()) < 2:
        assert client.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    everything = psutil.Process(client.pid).children(recursive=True)
    for process in sorted(everything, key=lambda process: process.name() != "sleep"):  # the code first
        with contextlib.suppress(psutil.NoSuchProcess):  # ended by the signal to another one
            process.send_signal(sign)
    time.sleep(4.0)  # it may hear it last
    client.send_signal(sign)
    assert client.wait(60) == 130
    assert psutil.wait_procs(everything, timeout=10)[1] == []
    assert not list(tmp_path.glob("out/results/part-*.parquet")), "a study was given up"
