"""Where networks run."""

from __future__ import annotations

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.core.machine import gpus

__all__ = ["device_name", "resolved_device", "usable_gpus"]


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
