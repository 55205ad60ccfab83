"""Where networks run, and how far the same call gives the same bits there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from goldilocks_batch.core.errors import ConfigError, ErrorCode, ModelError
from goldilocks_batch.core.machine import gpus

__all__ = ["deterministic", "device_name", "needing_geometric", "resolved_device", "usable_gpus"]


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
