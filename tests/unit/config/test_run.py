from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
import yaml
from pydantic import BaseModel, model_validator

from goldilocks_batch.config.checking import checked
from goldilocks_batch.config.flags import flag_of
from goldilocks_batch.config.run import RunConfig, load_config
from goldilocks_batch.core.errors import ConfigError, ErrorCode

ROOT = Path(__file__).resolve().parents[3]


def test_the_shipped_configuration_names_every_option_with_its_default() -> None:
    shipped = yaml.safe_load((ROOT / "configs" / "local.yaml").read_text(encoding="utf-8"))
    defaults = RunConfig().model_dump(mode="json", exclude={"inputs"})
    assert shipped == defaults


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("confidence: 0.85\ngrid: median\n", encoding="utf-8")
    config = load_config(path, confidence=0.90, grid=None)
    assert (config.confidence, config.grid) == (0.90, "median")


def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("confidance: 0.85\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown option 'confidance': did you mean 'confidence'") as caught:
        load_config(path)
    assert caught.value.code == ErrorCode.CONFIG_INVALID


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("confidence: 1.5", "option 'confidence' is 1.5"),
        ("grid: middle", "option 'grid' is 'middle'"),
        ("workers: 0", "option 'workers' is 0"),
        ("- a\n- b", "expected a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint):
        load_config(path)


def test_complaints_of_our_own_stand_alone() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, slurm={"requests": {"account": "$(x)", "walltime": "soon"}})
    assert "Value error" not in str(caught.value)
    assert "option 'slurm.requests.0.account' is '$(x)': letters, digits and " in str(caught.value)
    assert "option 'slurm.requests.0.walltime' is 'soon': 'soon' is no walltime" in str(caught.value)


@pytest.mark.parametrize("value", ["float32", "tf32", "bf16"])
def test_an_option_that_is_gone_says_what_to_do(value: str) -> None:
    with pytest.raises(ConfigError, match="option 'precision' is gone: leave it out") as caught:
        load_config(None, precision=value)
    assert caught.value.code is ErrorCode.CONFIG_INVALID


class Pair(BaseModel):
    few: int = 1
    many: int = 2

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.few > self.many:
            raise ValueError("few is more than many")
        return self


def test_a_complaint_about_several_options_names_no_one_of_them() -> None:
    with pytest.raises(ConfigError) as caught:
        checked(Pair, {"few": 3})
    assert caught.value.message == "few is more than many"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        load_config(tmp_path / "nowhere.yaml")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("# nothing\n", encoding="utf-8")
    assert load_config(path) == RunConfig()


def test_one_input_may_stand_alone_and_confidence_may_be_text() -> None:
    config = load_config(None, inputs="a.parquet", confidence="0.90")
    assert config.inputs == (Path("a.parquet"),)
    assert config.confidence == 0.90


def test_updated_checks_again() -> None:
    config = RunConfig().updated(confidence=0.85)
    assert config.confidence == 0.85
    with pytest.raises(ConfigError):
        config.updated(confidence=2)


def test_execution_options_are_not_science() -> None:
    assert RunConfig(workers=3, shard_size=7).science() == RunConfig().science()
    assert RunConfig(confidence=0.90).science() != RunConfig().science()


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"confidence": 95}, "did you mean 0.95?"),
        ({"confidence": "85"}, "did you mean 0.85?"),
        ({"grid": "medain"}, "did you mean median?"),
        ({"slurm": {"requests": {"acount": "me"}}}, "did you mean 'account'?"),
    ],
)
def test_what_may_have_been_meant_is_told(options: dict[str, object], hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig(**options)
    assert caught.value.message.endswith(hint)


@pytest.mark.parametrize(
    "options",
    [
        {"confidence": 30},
        {"confidence": 120},
        {"device": "gpu"},
        {"slurm": {"modules": ["$(x)"]}},
        {"slurm": 3},
    ],
)
def test_nothing_is_guessed_that_is_not_near(options: dict[str, object]) -> None:
    """30 % is no confidence, and a GPU is not a CPU."""
    with pytest.raises(ConfigError) as caught:
        RunConfig(**options)
    assert "did you mean" not in caught.value.message


def test_python_is_refused_like_files(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("grid: middle\n", encoding="utf-8")
    refused = []
    attempts: list[Callable[[], RunConfig]] = [
        lambda: RunConfig.model_validate({"grid": "middle"}),
        lambda: RunConfig().updated(grid="middle"),
        lambda: load_config(path),
        lambda: load_config(None, grid="middle"),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigError) as caught:
            attempt()
        refused.append(str(caught.value))
    assert len(set(refused)) == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [(True, "127.0.0.1:0"), (False, None), (None, None), ("127.0.0.1:8787", "127.0.0.1:8787")],
)
def test_a_dashboard_is_asked_for(given: object, kept: str | None) -> None:
    assert RunConfig(dashboard=given).dashboard == kept
    assert RunConfig().dashboard is None


def test_every_flag_names_an_option_once() -> None:
    flags = {name: flag_of(field) for name, field in RunConfig.model_fields.items()}
    assert [name for name, flag in flags.items() if flag is None] == ["slurm"]
    short = [flag.short for flag in flags.values() if flag and flag.short]
    assert len(set(short)) == len(short)
    assert all(field.description for field in RunConfig.model_fields.values())
