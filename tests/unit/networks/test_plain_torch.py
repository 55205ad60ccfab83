"""Checkpoints read without torch: the same as torch reads, or left to it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldilocks_batch.networks.plain_torch import _NAMES, NotPlain, read_plain
from tests.random_networks import alignn_arguments, alignn_state, write_checkpoint

DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
)


def same(ours: Any, theirs: Any) -> bool:
    """Whether arrays stand where tensors do, with the same numbers, and all else is equal."""
    if isinstance(theirs, torch.Tensor):
        expected = theirs.numpy()
        return (
            ours.dtype == expected.dtype and ours.shape == expected.shape and np.array_equal(ours, expected)
        )
    if isinstance(theirs, dict):
        return [*ours] == [*theirs] and all(same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list | tuple):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and bool(ours == theirs)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    whole = (100 * torch.rand([*shape, 3], generator=torch.Generator().manual_seed(1))).to(
        draw(st.sampled_from(DTYPES))
    )
    seen = whole[..., draw(st.integers(0, 2))] if draw(st.booleans()) else whole
    return seen.transpose(0, -1) if seen.ndim > 1 and draw(st.booleans()) else seen


PLAIN = st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False) | st.text()
CONTENT = st.recursive(
    PLAIN | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4).map(OrderedDict)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONTENT)
def test_reads_what_torch_reads(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save(content, path)
    assert same(read_plain(path), torch.load(path, weights_only=True))


@pytest.mark.shared
def test_reads_every_stand_in(shared: Path) -> None:
    paths = sorted((shared / "hub").rglob("*.ckpt"))
    assert len(paths) > 9
    for path in paths:
        assert same(read_plain(path), torch.load(path, map_location="cpu", weights_only=True)), path


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3, dtype=torch.bfloat16),
        torch.zeros(3, dtype=torch.complex64),
        torch.zeros(1).expand(10),
        torch.nn.Parameter(torch.zeros(3)),
        torch.eye(3).to_sparse(),
        torch.float32,
        Path("a"),
        {1, 2},
    ],
    ids=str,
)
def test_the_rest_is_left_to_torch(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(NotPlain):
        read_plain(tmp_path / "a.ckpt")


def test_what_is_no_such_archive_is_left_to_torch(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(NotPlain):
        read_plain(path)
    path.write_bytes(b"nothing")
    with pytest.raises(NotPlain):
        read_plain(path)


class Call:
    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self._how = (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._how


class Storage:
    """What is pickled as a reference to the file's only storage."""


def program(folder: Path, content: Any, storage: bytes = bytes(12)) -> Path:
    """A file whose pickle is that of the content."""

    class Pickler(pickle._Pickler):  # the one written in Python lets functions be referred to
        def persistent_id(self, obj: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", 3) if obj is Storage else None

    path = folder / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as file:
            Pickler(file, protocol=2).dump(content)
        archive.writestr("archive/data/0", storage)
    return path


TENSOR = torch._utils._rebuild_tensor_v2


@pytest.mark.parametrize(
    "content",
    [
        Call(TENSOR, Storage, 0, (4,), (1,), False, None),
        Call(TENSOR, Storage, 1, (3,), (1,), False, None),
        Call(TENSOR, Storage, 0, (2,), (3,), False, None),
        Call(TENSOR, Storage, -1, (1,), (1,), False, None),
        Call(TENSOR, Storage, 0, (2, 1), (1,), False, None),
        Call(TENSOR, Storage, 0, (2**40,), (0,), False, None),
        Call(TENSOR, Storage, 0.5, (1,), (1,), False, None),
        Call(TENSOR, [1.0, 2.0], 0, (1,), (1,), False, None),
        Call(Path.mkdir, Path("must-not-appear")),
        Call(torch.FloatStorage, 3),
    ],
)
def test_malformed_tensors_and_other_calls(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotPlain):
        read_plain(program(tmp_path, content))
    assert not Path("must-not-appear").exists()


def test_the_program_of_the_tests_is_one_that_is_read(tmp_path: Path) -> None:
    numbers = np.array([1, 2, 3], dtype=np.float32)
    content = Call(TENSOR, Storage, 0, (3,), (1,), False, None)
    np.testing.assert_array_equal(read_plain(program(tmp_path, content, numbers.tobytes())), numbers)


@pytest.mark.parametrize("name", _NAMES, ids=".".join)
def test_no_file_changes_what_others_are_read_with(name: tuple[str, str], tmp_path: Path) -> None:
    module, function = name
    setting = b"\x80\x02c" + f"{module}\n{function}\n".encode()
    for state in (b"}X\x05\x00\x00\x00dtypeK\x01s", b"N}X\x05\x00\x00\x00dtypeK\x01s\x86"):
        path = tmp_path / "a.ckpt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", setting + state + b"b.")
        with pytest.raises(NotPlain):
            read_plain(path)
    test_reads_what_torch_reads_once(tmp_path)


def test_reads_what_torch_reads_once(tmp_path: Path) -> None:
    arguments = alignn_arguments()
    path = write_checkpoint(tmp_path / "b.ckpt", arguments, alignn_state(arguments, 0))
    assert same(read_plain(path), torch.load(path, weights_only=True))


def test_torch_is_not_needed(tmp_path: Path) -> None:
    arguments = alignn_arguments()
    path = write_checkpoint(tmp_path / "a.ckpt", arguments, alignn_state(arguments, 0))
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from goldilocks_batch.networks.checkpoint import read_checkpoint\n"
        f"print(len(read_checkpoint(Path({str(path)!r})).weights))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert int(done.stdout) > 10, done.stderr
