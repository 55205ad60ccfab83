"""The commands as a user types them."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import goldilocks_batch
from goldilocks_batch.config.run import load_config
from goldilocks_batch.results.folder import read_results
from goldilocks_batch.results.schema import COLUMNS, FLAGS
from goldilocks_batch.runs.array import recorded_config
from tests.terminal import on_terminal

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = ROOT / "tests" / "registry-standins.toml"


def command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "goldilocks_batch.cli.app", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def test_run_says_what_it_did_and_how_it_went(examples: Path, tmp_path: Path) -> None:
    done = command("run", examples, "--model", "baseline", "--executor", "serial", "-o", tmp_path / "run")
    assert done.returncode == 0
    assert "150 of 150 rows, 150 ok, 0 failed" in done.stdout
    assert "constant 0.15 (AiiDA balanced)" in done.stdout
    assert "150 rows, 0 done already" in done.stderr
    again = command("run", examples, "--model", "baseline", "--executor", "serial", "-o", tmp_path / "run")
    assert "150 rows, 150 done already" in again.stderr


def test_the_example_of_the_makefile_needs_no_network(tmp_path: Path) -> None:
    (line,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if "run examples/" in line)
    arguments = line.split("goldilocks-batch ")[1].replace("example-run", str(tmp_path / "run")).split()
    environment = {"GOLDILOCKS_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    # with no network at all where that can be had; Dask warns where there is no route
    alone = ["unshare", "--net"] if may_unshare() else []
    done = subprocess.run(
        [*alone, sys.executable, "-m", "goldilocks_batch.cli.app", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    assert "150 of 150 rows, 150 ok, 0 failed" in done.stdout
    assert "mc3d is trained on MC3D cells" in done.stdout  # remarks
    assert "outside_training_elements" in done.stdout
    assert "Warning" not in done.stderr
    assert not (tmp_path / "cache").exists()
    rows = read_results(tmp_path / "run").to_pylist()
    points, constant, aiida = (
        np.array([row[f"{mesh}n_kpoints_irreducible"] for row in rows])
        for mesh in ("", "constant_", "aiida_")
    )
    squares = np.array([row["n_sites"] for row in rows]) ** 2
    assert points.sum() < constant.sum()
    for others, named in ((constant, "the constant that is as safe"), (aiida, "the constant 0.15 1/Å")):
        share = 1 - (points @ squares) / (others @ squares)
        (told,) = (line for line in done.stdout.splitlines() if named in line)
        assert told.startswith(f"{100 * share:.0f} % less work and ")
    flags = {row["id"]: row["flags"] for row in rows}
    assert "outside_training_elements" in flags["Ne-fcc"]
    assert "outside_training_elements" not in flags["Si-diamond"]


def may_unshare() -> bool:
    """Whether a process may have a network of its own, with nothing in it."""
    program = shutil.which("unshare")
    return (
        program is not None
        and subprocess.run([program, "--net", "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_terminals_of_any_width_show_everything(examples: Path, tmp_path: Path, columns: int) -> None:
    inputs = [examples / name for name in ("C-graphene.xyz", "MgO.cif", "Al2O3-corundum.cif")]
    options = ("--model", "baseline", "--executor", "serial", "-o", tmp_path / "run")
    told = on_terminal(columns, "run", *inputs, *options)
    for words in ("completed: 3 of 3 rows", "low_dimensional", f"goldilocks-batch show {tmp_path / 'run'}"):
        assert words in told
    assert "constant 0.15 (AiiDA balanced)" in " ".join(told.split()) or columns < 80
    shown = on_terminal(columns, "show", tmp_path / "run")
    for row in read_results(tmp_path / "run").to_pylist():
        assert f"{row['kdist']:.4f}" in shown
        assert "×".join(map(str, row["mesh"])) in shown
        assert row["id"] in shown or columns == 80  # where ids are broken
    assert "…" not in told + shown


def test_the_table_of_a_run_is_plain_where_it_is_piped(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(examples / "MgO.cif", tmp_path / "in")
    (tmp_path / "in" / "bad.cif").write_text("data_bad\n")
    output = tmp_path / "run"
    command("run", tmp_path / "in", "--model", "baseline", "--executor", "serial", "-o", output)
    lines = command("show", output).stdout.splitlines()
    assert sorted(line.split()[0] for line in lines) == ["MgO", "bad", "id"]
    assert "NO_STRUCTURE" in " ".join(lines)
    failed = command("show", output, "--where", "status=failed", "--columns", "id,error_code", "-n", "1")
    assert failed.stdout.split() == ["id", "error_code", "bad", "NO_STRUCTURE"]
    left = command("show", output, "--sort", "id", "--descending", "--rows", "1")
    assert left.stdout.splitlines()[1].startswith("bad")
    assert "1 more rows: --rows 0 prints all" in left.stderr
    wrong = command("show", tmp_path)
    assert (wrong.returncode, "not the folder of a run" in wrong.stderr) == (2, True)


def test_a_log_keeps_every_step(examples: Path, tmp_path: Path) -> None:
    options = ("--model", "baseline", "--executor", "serial", "-o", tmp_path / "run")
    done = command("run", examples, *options, "--log-file", tmp_path / "log", "--verbose", "--quiet")
    assert done.returncode == 0
    assert "150 of 150 ok" in (tmp_path / "log").read_text()
    assert "debug: " in done.stderr


def test_the_package_is_a_command_too() -> None:
    line = [sys.executable, "-m", "goldilocks_batch", "--version"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == f"goldilocks-batch {goldilocks_batch.__version__}\n"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--device", "cuda"], "device cuda is for networks"),
        (["--single-site", "supercell"], "single_site supercell is for networks"),
        (["--gpus", "1"], "gpus 1 is for networks, and model 'mc3d' has none"),
        (["--gpu-processes", "1"], "gpu_processes 1 is for networks"),
    ],
)
def test_what_has_no_effect_is_refused(
    examples: Path, tmp_path: Path, flags: list[str], complaint: str
) -> None:
    done = command("run", examples / "MgO.cif", "--model", "mc3d", *flags, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert complaint in done.stderr
    assert not (tmp_path / "run").exists()


def test_quiet_says_nothing_while_it_works(examples: Path, tmp_path: Path) -> None:
    done = command(
        "run", examples, "--model", "baseline", "--executor", "serial", "-q", "-o", tmp_path / "run"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_failed_rows_are_an_exit_code_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.cif").write_text("data_bad\n")
    done = command(
        "run", tmp_path / "in", "--model", "baseline", "--executor", "serial", "-o", tmp_path / "run"
    )
    assert done.returncode == 1
    assert "1  NO_STRUCTURE" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "nowhere.parquet"], "INPUT_NOT_FOUND"),  # before any model file is looked for
        (["featurize", "nowhere.parquet", "-o", "f.parquet"], "INPUT_NOT_FOUND"),
        (["run", "--model", "baseline"], "no inputs"),
        (["run", "x.cif", "--model", "best"], "MODEL_UNKNOWN"),
        (["run", "x.cif", "--confidence", "0.99", "--model", "baseline"], "it has 0.85, 0.90, 0.95"),
        (["run", "x.cif", "--model", "baseline", "--grid", "upper"], "use --grid lower"),
        (["run", "x.cif", "--grid", "middle"], "'middle' is not one of"),
        (["run", "x.cif", "--config", "no.yaml"], "no.yaml cannot be read"),
        (["run", "x.cif", "--model", "rf"], "--artifacts"),
        (["run", "x.cif", "--artifacts", "no/such/folder"], "ARTIFACT_MISSING"),
        (["inspect", "y.cif", "--model", "baseline"], "INPUT_NOT_FOUND"),
    ],
)
def test_what_cannot_run_says_why_in_one_line(
    arguments: list[str], complaint: str, tmp_path: Path, examples: Path
) -> None:
    shutil.copy(examples / "MgO.cif", tmp_path / "x.cif")
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_manifest_is_the_same_input_in_another_form(examples: Path, tmp_path: Path) -> None:
    made = command("manifest", examples, "-o", tmp_path / "m.parquet")
    assert made.returncode == 0, made.stderr
    options = ["--model", "baseline", "--executor", "serial"]
    command("run", examples, *options, "-o", tmp_path / "a")
    command("run", tmp_path / "m.parquet", *options, "-o", tmp_path / "b")
    tables = [pq.read_table(tmp_path / name / "results").drop(["source", "row"]) for name in "ab"]
    assert tables[0].sort_by("id").equals(tables[1].sort_by("id"))


def test_inspect_shows_the_whole_of_one_structure(examples: Path) -> None:
    done = command("inspect", examples / "C-graphene.xyz", "--model", "baseline")
    assert done.returncode == 0
    for text in ("not periodic along c", "P6/mmm (191)", "19×19×1", "low_dimensional"):
        assert text in done.stdout
    assert "spread" not in done.stdout  # there is one network, or none


def test_inspect_of_a_broken_structure_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "x.cif").write_text("data_x\n")
    done = command("inspect", tmp_path / "x.cif", "--model", "baseline")
    assert done.returncode == 1
    assert "NO_STRUCTURE" in done.stdout


@pytest.mark.slow
@pytest.mark.shared
def test_features_of_the_examples(examples: Path, tmp_path: Path, shared: Path) -> None:
    options = ["--artifacts", shared / "hub", "--registry", REGISTRY, "--executor", "serial"]
    done = command("featurize", examples, "-o", tmp_path / "f.parquet", *options)
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "f.parquet")
    assert (table.num_rows, table.num_columns) == (150, 484)
    assert sum(table[name].null_count for name in table.column_names) == 0
    assert not (tmp_path / "f.parquet.parts").exists()
    shown = command("inspect", examples / "Xe-fcc.cif", *options[:4])
    assert "structure_block_zero" in shown.stdout


@pytest.mark.slow
@pytest.mark.shared
def test_features_and_failures_make_the_whole(tmp_path: Path, shared: Path, examples: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.cif").write_text((examples / "MgO.cif").read_text())
    (folder / "bad.cif").write_text("data_bad\n")
    done = command(
        "featurize",
        folder,
        "-o",
        tmp_path / "f.parquet",
        "--artifacts",
        shared / "hub",
        "--executor",
        "serial",
    )
    assert done.returncode == 1
    assert pq.read_table(tmp_path / "f.parquet")["id"].to_pylist() == ["good"]
    failures = pq.read_table(tmp_path / "f.failures.parquet").to_pylist()
    assert [(row["id"], row["error_code"]) for row in failures] == [("bad", "NO_STRUCTURE")]


@pytest.mark.slow
def test_an_altered_model_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "JunwenYin" / "metallicity-goldilocks-CGCNN"
    folder.mkdir(parents=True)
    (folder / "is_metal.ckpt").write_bytes(b"not the network")
    done = command("run", ROOT / "examples", "--model", "rf", "--artifacts", tmp_path)
    assert done.returncode == 2
    assert "ARTIFACT_DIGEST" in done.stderr
    assert "Nothing in it was read" in done.stderr


def test_schema_names_every_column_and_flag() -> None:
    shown = command("schema").stdout
    assert all(column.name in shown for column in COLUMNS)
    assert all(flag in shown for flag in FLAGS)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_order_and_it_goes_on_later(
    manifest: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "run"
    arguments = ["run", manifest, "--model", "baseline", "--workers", "2", "--shard-size", "10", "-o", output]
    process = subprocess.Popen(
        [sys.executable, "-m", "goldilocks_batch.cli.app", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    deadline = time.monotonic() + 60
    while not list(output.glob("results/part-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    record = json.loads((output / "run.json").read_text())
    assert record["state"] == "interrupted"
    done = record["counts"]["rows"]
    assert 0 < done < 600
    assert command(*arguments).returncode in (0, 1)
    record = json.loads((output / "run.json").read_text())
    assert record["state"] == "completed"
    assert [attempt["state"] for attempt in record["attempts"]] == ["interrupted", "completed"]
    assert sum(attempt["rows"] for attempt in record["attempts"]) == 600


@pytest.mark.slow
@pytest.mark.shared
def test_cells_of_one_atom_as_asked_for(examples: Path, tmp_path: Path, shared: Path) -> None:
    flags = {}
    for choice in ("skip", "supercell"):
        output = tmp_path / choice
        arguments = ["--model", "alignn", "--artifacts", shared / "hub", "--registry", REGISTRY]
        arguments += ["--executor", "serial", "--device", "cpu", "--single-site", choice, "-o", output]
        done = command("run", examples / "Al-fcc.cif", examples / "GaAs.cif", *arguments)
        assert done.returncode == 0, done.stderr
        table = read_results(output)
        assert min(table["spread_lower"].to_pylist()) > 0
        flags[choice] = [
            set(row) & {"single_site", "single_site_supercell"} for row in table["flags"].to_pylist()
        ]
    assert flags == {"skip": [{"single_site"}, set()], "supercell": [{"single_site_supercell"}, set()]}
    arguments[-3:-1] = ["skip", "-o"]
    done = command("run", examples / "Al-fcc.cif", examples / "GaAs.cif", *arguments)
    assert done.returncode == 2
    assert "single_site" in done.stderr


@pytest.mark.slow
@pytest.mark.shared
def test_inspect_treats_a_cell_of_one_atom_as_run_does_and_shows_spreads(
    examples: Path, tmp_path: Path, shared: Path
) -> None:
    options = ["--model", "alignn", "--artifacts", shared / "hub", "--registry", REGISTRY]
    options += ["--single-site", "supercell"]
    done = command("run", examples / "Al-fcc.cif", *options, "--executor", "serial", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    (row,) = read_results(tmp_path / "run").to_pylist()
    shown = command("inspect", examples / "Al-fcc.cif", *options).stdout
    assert "flag: single_site_supercell" in shown
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    for name in ("lower", "median", "upper"):
        assert f" {row[f'kdist_{name}']:.4f} " in lines[name]
        assert lines[name].split()[-1] == f"{row[f'spread_{name}']:.4f}"


def test_a_report_of_a_run_is_a_page_beside_its_results_or_elsewhere(examples: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    arguments = ["run", examples, "--model", "baseline", "--executor", "serial", "-q", "-o", output]
    done = command(*arguments, "--report")
    assert done.returncode == 0, done.stderr
    page = output / "report.html"
    assert f"report: {page} (150 rows" in done.stdout
    assert page.stat().st_mode & 0o007 == 0  # structures may be unpublished
    first = page.read_text(encoding="utf-8")
    rows = read_results(output).to_pylist()
    densest = max(rows, key=lambda row: (row["n_kpoints_irreducible"], -row["row"]))
    assert f"<bdi>{densest['id']}</bdi>" in first
    assert Path(densest["source"]).as_uri() in first
    (written,) = re.findall(r"<pre>(.*?)</pre>", first, re.DOTALL)
    (tmp_path / "run.yaml").write_text(html.unescape(written), encoding="utf-8")
    assert load_config(tmp_path / "run.yaml") == recorded_config(output)
    done = command("report", output, "-o", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert f"<bdi>{densest['id']}</bdi>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert command(*arguments).returncode == 0  # a page is no obstacle to the same run
    other = command(*arguments, "--confidence", "0.9", "--overwrite")
    assert other.returncode == 0, other.stderr
    assert not page.exists()  # it told of results that are gone
    assert command("report", output).returncode == 0
    assert "Confidence <b>0.9</b>" in page.read_text(encoding="utf-8")


def test_a_report_of_what_is_no_run_is_refused_in_a_line(tmp_path: Path) -> None:
    done = command("report", tmp_path)
    assert done.returncode == 2
    assert "RESUME_REFUSED" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(tmp_path.iterdir())


def test_a_compacted_run_keeps_its_rate_over_time(manifest: Path, tmp_path: Path) -> None:
    output, config = tmp_path / "run", tmp_path / "few.yaml"
    config.write_text("compact_above: 5\nshard_size: 20\nmodel: baseline\nexecutor: serial\n")
    done = command("run", manifest, "--config", config, "-q", "-o", output, "--report")
    assert done.returncode in (0, 1), done.stderr
    (attempt,) = json.loads((output / "run.json").read_text())["attempts"]
    assert len(list((output / "results").glob("*.parquet"))) == 1
    assert attempt["timeline"][-1][1] == 600
    assert [at for at, _ in attempt["timeline"]] == sorted(at for at, _ in attempt["timeline"])
    assert 0 <= attempt["timeline"][-1][0] <= attempt["seconds"]
    assert 'id="pace-figure_1"' in (output / "report.html").read_text(encoding="utf-8")
