"""Flags made of the definitions of options."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from goldilocks_batch.cli import options as opt
from goldilocks_batch.cli.app import app
from goldilocks_batch.cli.taking import takes
from goldilocks_batch.config.flags import flag_of
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.training import TrainConfig

ROOT = Path(__file__).resolve().parents[3]


def called(*arguments: str) -> RunConfig:
    """The configuration that the options of ``run`` make."""
    kept: list[RunConfig] = []
    names = [name for name, field in RunConfig.model_fields.items() if flag_of(field)]

    @opt.of_run(*names, file=True)
    def command(settings: RunConfig) -> None:
        kept.append(settings)

    small = typer.Typer()
    small.command()(command)
    done = CliRunner().invoke(small, arguments)
    if done.exception:
        raise done.exception
    return kept[0]


def test_what_is_not_given_is_left_to_the_defaults() -> None:
    assert called() == RunConfig()
    assert called().model_fields_set == set()


def test_every_kind_of_option() -> None:
    flags = "a.cif b.zip -o out -m mc3d --confidence 0.9 --grid median --equal-axes --gpus 0 --dashboard -q"
    assert called(*flags.split()) == RunConfig(
        inputs=["a.cif", "b.zip"],
        output="out",
        model="mc3d",
        confidence=0.9,
        grid="median",
        equal_axes=True,
        gpus=0,
        dashboard=True,
        quiet=True,
    )


def test_flags_lie_over_a_file_and_switches_can_be_turned_off(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("equal_axes: true\ndashboard: true\njobs: 7\ngrid: upper\n")
    found = called("-c", str(tmp_path / "c.yaml"), "--no-equal-axes", "--no-dashboard", "--grid", "lower")
    assert (found.equal_axes, found.dashboard, found.jobs, found.grid) == (False, None, 7, "lower")


def test_options_of_sections_and_lists() -> None:
    kept: dict[str, Any] = {}

    @takes("found", TrainConfig, "target.column", "target.kind", "remarks", load=lambda _, **given: given)
    def command(found: dict[str, Any], other: bool = False) -> None:
        kept.update(found, other=other)

    assert list(inspect.signature(command).parameters) == ["target", "kind", "remark", "other"]
    small = typer.Typer()
    small.command()(command)
    CliRunner().invoke(small, "--target L --remark one --remark two --other".split())
    assert kept == {"target": {"column": "L", "kind": None}, "remarks": ("one", "two"), "other": True}


def tree(command: Any, name: str = "") -> dict[str, Any]:
    children = getattr(command, "commands", {})
    found = {} if children else {name.strip(): command}
    for child, below in children.items():
        found |= tree(below, f"{name} {child}")
    return found


COMMANDS = tree(typer.main.get_command(app))
#: What concerns every command that computes features or predictions on workers.
WORKERS = {f"--{name.replace('_', '-')}" for name in (*opt.WORKERS, *opt.FILES, "quiet")}


@pytest.mark.parametrize(
    "name",
    ["run", "featurize", "train rf", "train alignn", "calibrate", "evaluate", "suggest"],
)
def test_commands_that_work_take_all_that_concerns_work(name: str) -> None:
    flags = {flag for parameter in COMMANDS[name].params for flag in parameter.opts}
    assert flags >= WORKERS


@pytest.mark.parametrize("name", ["run", "array", "inspect"])
def test_commands_that_predict_take_all_that_concerns_models(name: str) -> None:
    flags = {flag for parameter in COMMANDS[name].params for flag in parameter.opts}
    assert flags >= {f"--{option.replace('_', '-')}" for option in opt.ASKED}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_tell_every_step(name: str) -> None:
    flags = {flag for parameter in COMMANDS[name].params for flag in parameter.opts}
    assert flags >= {"--verbose", "--log-file"}


def test_run_takes_every_option_that_has_a_flag() -> None:
    flags = {flag for parameter in COMMANDS["run"].params for flag in parameter.opts}
    options = {name for name, field in RunConfig.model_fields.items() if flag_of(field)} - {"inputs"}
    assert {f"--{name.replace('_', '-')}" for name in options} <= flags
