"""What is known of torch's build without loading it, and how memory runs out in words."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from goldilocks_batch.networks.devices import built_for_gpus, out_of_memory


@pytest.mark.parametrize(
    ("version", "built"),
    [
        ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", False),
        ("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", True),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.3.42134'\n", True),
        ("cuda = None\n", False),
        ("cuda = '11.8'\n", True),
        ("nothing that is known\n", True),
        (None, True),
    ],
)
def test_the_build_is_read_from_its_version(
    version: str | None, built: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if version is not None:
        (tmp_path / "version.py").write_text(f"__all__ = ['cuda', 'hip']\n{version}")
    spec = ModuleSpec("torch", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    assert built_for_gpus.__wrapped__() is built


def test_without_torch_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert built_for_gpus.__wrapped__() is False


def test_the_build_that_is_here_agrees_with_itself() -> None:
    assert built_for_gpus() == (torch.version.cuda is not None or torch.version.hip is not None)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
    ],
)
def test_memory_that_has_run_out_is_told_from_other_errors(error: RuntimeError, full: bool) -> None:
    assert out_of_memory(error) is full
