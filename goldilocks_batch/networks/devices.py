"""Where networks run, and how far the same call gives the same bits there."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError
from goldilocks_batch.core.machine import gpu_memory_share, gpus

__all__ = [
    "built_for_gpus",
    "deterministic",
    "device_name",
    "exact_products",
    "free_cached_memory",
    "limited_memory",
    "needing_geometric",
    "out_of_memory",
    "resolved_device",
    "usable_gpus",
]

#: GPU memory of a process that CUDA takes for itself: context, code, cuBLAS's workspace.
_CONTEXT_BYTES = 600_000_000
_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED")
#: Lines of ``torch/version.py`` in builds without and with GPUs, NVIDIA's (``cuda``) and AMD's (``hip``).
_WITHOUT = re.compile(r"^cuda\b[^=]*=\s*None\b", re.MULTILINE)
_WITH = re.compile(r"^(?:cuda|hip)\b[^=]*=\s*'", re.MULTILINE)


@cache
def built_for_gpus() -> bool:
    """Whether the torch that is installed can use GPUs, by what it says of its build; it is not loaded."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    try:
        said = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return True  # it will tell when it is loaded
    return not _WITHOUT.search(said) or bool(_WITH.search(said))


def usable_gpus() -> int:
    """GPUs that torch can use here; torch is not loaded where there is no device that could be one."""
    if not gpus().usable:
        return 0
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def resolved_device(device: str) -> str:
    """``cpu`` or ``cuda`` for ``cpu``, ``cuda`` or ``auto``, which is ``cuda`` where there is a GPU.

    Raises:
        ModelError: there is no GPU where one was asked for.
    """
    if device == "cpu":
        return device
    if usable_gpus():
        return "cuda"
    if device == "auto":
        return "cpu"
    raise ModelError(
        ErrorCode.CONFIG_INVALID, f"device {device!r} was asked for, but torch sees no GPU; use auto or cpu"
    )


def device_name(device: str) -> str:
    """What a device is called: ``cpu``, or the name of the GPU that ``cuda`` or ``auto`` comes to here.

    Raises:
        ModelError: as :func:`resolved_device`.
    """
    if resolved_device(device) == "cpu":
        return "cpu"
    import torch

    return str(torch.cuda.get_device_name())


def limited_memory() -> int:
    """Bytes of its GPU's memory that this process may take for tensors; torch is held to that from now on.

    It is the process's share, if whoever started it has dealt it one
    (:func:`~goldilocks_batch.core.machine.gpu_memory_share`), less what CUDA takes for itself; but no more
    than is free now.
    """
    import torch

    free, total = torch.cuda.mem_get_info()
    share = gpu_memory_share()
    if share is None:
        return int(free)
    allowed = min(max(share - _CONTEXT_BYTES, share // 2), int(free))
    torch.cuda.set_per_process_memory_fraction(min(allowed / total, 1.0))
    return allowed


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a device says that it has no memory left: torch by an error of its own, cuBLAS in words."""
    return any(words in str(error) for words in _OUT_OF_MEMORY)


def free_cached_memory() -> None:
    """Give back what torch keeps of a GPU's memory for later."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextlib.contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Sums in the same order each time; on a GPU as far as torch can, which says where it cannot."""
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    if device != "cpu":
        # cuBLAS asks for it, before its first use
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    # every tensor that is made here is written whole before it is read; filling them took a fifth of the time
    settings: Any = torch.utils.deterministic
    filled = settings.fill_uninitialized_memory
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        settings.fill_uninitialized_memory = filled


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Matrix products in float32, whatever the process's environment says; some containers have TF32."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def needing_geometric(what: str) -> Iterator[None]:
    """Imports of torch and PyTorch Geometric, inside which a missing one is said to be missing.

    Args:
        what: needs them, at the beginning of a sentence.

    Raises:
        ConfigError: CONFIG_INVALID, one of them can't be imported.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"{what} needs torch and PyTorch Geometric: {error}; pip install torch torch-geometric",
        ) from error
