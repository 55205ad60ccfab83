"""Checkpoints and element tables that must be refused, each by what is wrong with it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.networks.checkpoint import read_checkpoint, read_element_table
from tests.random_networks import (
    alignn_arguments,
    alignn_state,
    write_checkpoint,
    write_elements,
)


def refused(path: Path, code: ErrorCode, pattern: str) -> None:
    with pytest.raises(ModelError, match=pattern) as caught:
        read_checkpoint(path)
    assert caught.value.code is code
    assert str(path) in caught.value.message


def test_reads_what_was_written(tmp_path: Path) -> None:
    arguments = alignn_arguments()
    state = alignn_state(arguments, 0)
    checkpoint = read_checkpoint(write_checkpoint(tmp_path / "a.ckpt", arguments, state, 0.05))
    assert checkpoint.arguments == arguments
    assert checkpoint.quantile == 0.05
    assert {f"model.{key}" for key in checkpoint.weights} == set(state)
    for key, array in checkpoint.weights.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, state[f"model.{key}"].numpy())


def test_missing(tmp_path: Path) -> None:
    refused(tmp_path / "no.ckpt", ErrorCode.ARTIFACT_MISSING, "no checkpoint")


def test_not_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"")
    refused(path, ErrorCode.ARTIFACT_INVALID, "not a torch checkpoint")
    torch.save([1, 2], path)
    refused(path, ErrorCode.ARTIFACT_INVALID, "no Lightning checkpoint")
    torch.save({"state_dict": {}, "hyper_parameters": {}}, path)
    refused(path, ErrorCode.ARTIFACT_INVALID, 'entry "model"')


def test_truncated(tmp_path: Path) -> None:
    arguments = alignn_arguments()
    path = write_checkpoint(tmp_path / "a.ckpt", arguments, alignn_state(arguments, 0))
    path.write_bytes(path.read_bytes()[:5000])
    refused(path, ErrorCode.ARTIFACT_INVALID, "not a torch checkpoint")


class Payload:
    """Runs code when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.mkdir, (Path("must-not-appear"),))


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Payload()}, tmp_path / "a.ckpt")
    refused(tmp_path / "a.ckpt", ErrorCode.ARTIFACT_FORBIDDEN, "more than tensors")
    assert not Path("must-not-appear").exists()


def test_an_archive_that_unpacks_to_more_than_it_is(tmp_path: Path) -> None:
    arguments = alignn_arguments()
    path = write_checkpoint(tmp_path / "a.ckpt", arguments, alignn_state(arguments, 0))
    bomb = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for record in whole.infolist():
            packed.writestr(record.filename, whole.read(record))
        packed.writestr("archive/data/999", bytes(50 * 2**20))
    refused(bomb, ErrorCode.ARTIFACT_FORBIDDEN, "unpacks to")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(2**40),
        torch.zeros(1, dtype=torch.complex64).expand(2**40),
        torch.empty(2**40, device="meta"),
    ],
    ids=["expanded", "complex", "meta"],
)
def test_tensors_that_are_larger_than_the_file(tmp_path: Path, tensor: torch.Tensor) -> None:
    content = {"state_dict": {"model.x": tensor}, "hyper_parameters": {"model": {}}}
    torch.save(content, tmp_path / "a.ckpt")
    refused(tmp_path / "a.ckpt", ErrorCode.ARTIFACT_FORBIDDEN, "no plain array")


def test_many_names_for_one_tensor(tmp_path: Path) -> None:
    shared = torch.zeros(2**16)
    content = {"state_dict": {f"model.{i}": shared for i in range(500)}, "hyper_parameters": {"model": {}}}
    torch.save(content, tmp_path / "a.ckpt")
    refused(tmp_path / "a.ckpt", ErrorCode.ARTIFACT_FORBIDDEN, "no plain array")


def test_foreign_key_and_bad_weights(tmp_path: Path) -> None:
    arguments = alignn_arguments()
    state = alignn_state(arguments, 0)
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, arguments, state | {"loss.weight": torch.zeros(3)})
    refused(path, ErrorCode.ARTIFACT_INVALID, '"loss.weight" does not start with "model."')
    for value in (np.nan, np.inf):
        bad = state["model.conv_to_fc.bias"].clone()
        bad[3] = value
        write_checkpoint(path, arguments, state | {"model.conv_to_fc.bias": bad})
        refused(path, ErrorCode.ARTIFACT_INVALID, '"model.conv_to_fc.bias" holds 1 values that are NaN')
    torch.save(
        {"state_dict": {"model.conv_to_fc.bias": "text"}, "hyper_parameters": {"model": arguments}}, path
    )
    refused(path, ErrorCode.ARTIFACT_INVALID, '"model.conv_to_fc.bias" is not a tensor')


def test_element_table(tmp_path: Path) -> None:
    table = read_element_table(write_elements(tmp_path / "a.json", 4, range(1, 11)))
    assert table.shape == (119, 4)
    assert np.isfinite(table[1:11]).all()
    assert np.isnan(table[[0, *range(11, 119)]]).all()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"H": [1]}',
        '{"1": [1, 2], "2": [1]}',
        '{"0": [1]}',
        '{"1": [NaN]}',
        '{"1": 2}',
        "null",
    ],
)
def test_bad_element_table(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ModelError, match="not a table of elements") as caught:
        read_element_table(path)
    assert caught.value.code is ErrorCode.ARTIFACT_INVALID


def test_missing_element_table(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read_element_table(tmp_path / "a.json")
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING
    assert json.dumps(str(tmp_path / "a.json"))[1:-1] in caught.value.message
