"""Command lines, right and wrong, on terminals of any width."""

from __future__ import annotations

import json
import logging
import re
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from goldilocks_batch.cli.app import app
from goldilocks_batch.cli.completion import complete_model
from goldilocks_batch.cli.logs import hush, shown
from goldilocks_batch.core.errors import ConfigError
from goldilocks_batch.results.schema import COLUMNS, FLAGS
from tests.structure_texts import cif_text
from tests.unit.cli.test_taking import COMMANDS


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rnu x", "Did you mean 'run'?"),
        ("models pul rf", "Did you mean 'pull'?"),
        ("run x --gird lower", "No such option: --gird; did you mean '--grid'?"),
        ("run x --grid medain", "'medain' is not one of 'lower', 'median', 'upper'; did you mean 'median'?"),
        ("run x --device gpus", "'gpus' is not one of 'auto', 'cpu', 'cuda'"),
        ("run x --workers two", "'--workers'"),
        ("run x --confidence 95", "did you mean 0.95?"),
        ("models show alin", "did you mean alignn?"),
        ("models show ''", "no model ''; there are"),
        ("models verify rf --confidence 0.951", "no level 0.951; it has 0.85, 0.90, 0.95, of which 0.95 is"),
        ("show", "Missing argument OUTPUT: Output folder of a run  ("),
        ("export out -o x", "Missing option '--to': Code whose inputs are written, or a table: csv; Choose"),
        ("fetch mc3d", "Missing option '--output' or '-o': Parquet file to write"),
        ("train nix", "No such command 'nix'; known are: rf, alignn, boosted"),
        ("manifest -o m.parquet", "Missing argument INPUTS: Directories, .zip"),
    ],
)
def test_a_wrong_command_line_is_one_line_with_what_may_have_been_meant(line: str, told: str) -> None:
    done = CliRunner().invoke(app, shlex.split(line))
    assert done.exit_code == 2
    assert told in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("run", "no inputs: name at least one directory, file or manifest [CONFIG_INVALID]"),
        ("array", "no inputs: name at least one directory, file or manifest [CONFIG_INVALID]"),
        ("show nowhere", "nowhere does not exist: no folder of a run"),
        ("status .", ". holds no run.json: not the folder of a run"),
        ("manifest x.cif -o m.csv", "m.csv would be a Parquet file, which other commands know by its name"),
        ("fetch mc3d -o m", "call it m.parquet"),
        ("evaluate nowhere x.parquet -o e", "nowhere does not exist: name the folder of a trained model, or"),
        ("calibrate rf x.parquet -o c", "rf is a published model, whose bounds stay as published"),
        ("converge x.cif", "code.pseudo_dir is not given: espresso needs a folder with one UPF file"),
        ("train boosted . -o m", ". is a folder; boosted trees take a Parquet manifest"),
        ("train boosted x.parquet -o m", "no column k_dist; it has id. Say in a --config which one holds"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(
    line: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.cif").write_text(cif_text())
    pq.write_table(pa.table({"id": ["a"]}), "x.parquet")
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 2
    assert told in done.stderr
    assert done.stderr.startswith("error: "), "nothing comes before it"
    assert sorted(path.name for path in Path().iterdir()) == ["x.cif", "x.parquet"]


@pytest.mark.parametrize("width", ["40", "60", "80", "200"])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_loses_nothing(name: str, width: str) -> None:
    done = CliRunner().invoke(app, [*name.split(), "-h"], env={"COLUMNS": width})
    assert done.exit_code == 0
    told = " ".join(done.output.split())
    assert "…" not in told.replace("train-rf …", "").replace("train rf …", "")
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert all(flag in told for flag in (*parameter.opts, *parameter.secondary_opts))
        assert " ".join((parameter.help or "").split()) in told
    if width == "80":
        assert max(map(len, done.output.splitlines())) <= 80


@pytest.mark.parametrize(
    "name", [*sorted(set(COMMANDS) - {"array-task"}), "", "models", "train", "cluster", "config"]
)
def test_help_shows_an_example_that_stands_by_itself(name: str) -> None:
    told = CliRunner().invoke(app, [*name.split(), "-h"], env={"COLUMNS": "110"}).output
    assert re.search(r"^Examples?\n\n  ([A-Z_]+=\S+ )?goldilocks-batch \S", told, re.M)
    assert not re.search(r"^[A-Z_]+=\S+ goldilocks-batch", told, re.M)


@pytest.mark.parametrize("group", [[], ["models"], ["train"], ["cluster"], ["config"]])
def test_a_group_alone_shows_its_commands(group: list[str]) -> None:
    done = CliRunner().invoke(app, group)
    assert done.exit_code == 2
    assert done.output.startswith("Usage: ")
    assert CliRunner().invoke(app, [*group, "--help"]).exit_code == 0


def test_shells_can_complete() -> None:
    told = CliRunner().invoke(app, ["--help"]).output
    assert "--install-completion" in told


def test_models_are_completed_and_so_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "mc3ds", ".hidden"):
        Path(name).mkdir()
    Path("mc3d.txt").touch()
    assert list(complete_model("mc")) == ["mc3d", "mc3ds"]
    assert {"alignn", "baseline", "rf", "mc3d", "mine"} <= set(complete_model(""))
    assert ".hidden" not in set(complete_model(""))
    assert list(complete_model(f"{tmp_path}/mi")) == [f"{tmp_path}/mine"]


def test_the_schema_for_programs() -> None:
    told = json.loads(CliRunner().invoke(app, ["schema", "--json"]).output)
    assert [column["name"] for column in told["columns"]] == [column.name for column in COLUMNS]
    assert told["flags"] == FLAGS


def test_the_log_is_shown_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger, path = logging.getLogger("goldilocks_batch.somewhere"), tmp_path / "log"
    with shown(log_file=path):
        logger.debug("a step")
        logger.info("a file")
        logger.warning("a worry")
        hush()
        logger.info("nobody asked")
    with shown(verbose=True):
        logger.debug("another step")
    assert capsys.readouterr().err == "a file\nwarning: a worry\ndebug: another step\n"
    lines = path.read_text().splitlines()
    assert [re.sub(r"^\S+ \S+ ", "", line) for line in lines] == [
        "DEBUG goldilocks_batch.somewhere: a step",
        "INFO goldilocks_batch.somewhere: a file",
        "WARNING goldilocks_batch.somewhere: a worry",
        "INFO goldilocks_batch.somewhere: nobody asked",
    ]
    assert logging.getLogger("goldilocks_batch").handlers == []


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the log file .* cannot be written"), shown(log_file=tmp_path):
        pass
    done = CliRunner().invoke(app, ["schema", "--log-file", str(tmp_path)])
    assert done.exit_code == 2
    assert "CONFIG_INVALID" in done.stderr
