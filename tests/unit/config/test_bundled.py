"""Example configurations, found wherever the package is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from goldilocks_batch.config.bundled import example, examples
from goldilocks_batch.config.convergence import CodeOptions, ConvergeConfig
from goldilocks_batch.config.run import RunConfig, load_config
from goldilocks_batch.config.training import TrainAlignnConfig, TrainBoostedConfig, TrainConfig
from goldilocks_batch.core.errors import ConfigError, ErrorCode

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def test_the_examples_are_the_files_of_the_checkout() -> None:
    assert examples() == {path.stem: path.read_text(encoding="utf-8") for path in CONFIGS.iterdir()}


@pytest.mark.parametrize("name", sorted(examples()))
def test_an_example_is_read_by_its_command(name: str, tmp_path: Path) -> None:
    text = example(name)
    if name.startswith("sbatch"):
        assert text.startswith("#!/usr/bin/env bash\n")
    elif name.startswith("train"):
        kinds: dict[str, type[BaseModel]] = {
            "train-alignn": TrainAlignnConfig,
            "train-mc3d": TrainBoostedConfig,
        }
        kind = kinds.get(name, TrainConfig)
        kind.model_validate(yaml.safe_load(text))
    elif name.startswith("converge"):
        read = ConvergeConfig.model_validate(yaml.safe_load(text))
        assert set(yaml.safe_load(text)["code"]) == set(CodeOptions.model_fields)
        assert (read.ladder, read.tolerances) == (ConvergeConfig().ladder, ConvergeConfig().tolerances)
    else:
        path = tmp_path / "example.yaml"
        path.write_text(text, encoding="utf-8")
        assert (load_config(path) == RunConfig()) == (name == "local")


def test_an_unknown_example_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'slurm-cpu'") as caught:
        example("slurmcpu")
    assert caught.value.code == ErrorCode.CONFIG_INVALID
