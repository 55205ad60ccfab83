"""What a training of ALIGNN networks writes and begins with: first weights, its state, checkpoints."""

from __future__ import annotations

import contextlib
import io
import math
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.networks.alignn.architecture import RADIUS, Architecture
from goldilocks_batch.networks.checkpoint import PREFIX

__all__ = ["checkpoint_bytes", "initial_weights", "reading_state", "write_state"]

#: What reading a file raises that is no state of a training.
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, KeyError, EOFError, OSError, ValueError, TypeError)


def initial_weights(architecture: Architecture, bias: float, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights: uniform within ``1 / sqrt(inputs)`` for linear maps, one and zero for norms.

    Args:
        architecture: shapes.
        bias: what the network gives at first, 1/Å.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.float32]] = {}
    for key, shape in architecture.shapes().items():
        norm = "norm" in key or key.endswith(("embedding.1.weight", "embedding.1.bias"))
        value: NDArray[np.float64]
        if key == "edge_rbf.centers":
            value = np.linspace(0.0, RADIUS, shape[0])
        elif key == "angle_rbf.centers":
            value = np.linspace(-1.0, 1.0, shape[0])
        elif norm:
            value = np.ones(shape) if key.endswith("weight") else np.zeros(shape)
        elif key == "output_layer.bias":
            value = np.full(shape, bias)
        elif key.endswith("bias"):
            value = np.zeros(shape)
        else:
            value = rng.uniform(-1.0, 1.0, shape) / math.sqrt(shape[-1])
        weights[key] = value.astype(np.float32)
    return weights


def checkpoint_bytes(
    weights: Mapping[str, NDArray[np.float32]], architecture: Architecture, over: float, epoch: int
) -> bytes:
    """A network in the published checkpoints' layout.

    Args:
        weights: by key, without the prefix.
        architecture: its constructor's arguments.
        over: weight on over-prediction.
        epoch: it was best after.
    """
    import torch

    settings = {"model": architecture.arguments(), "loss": {"name": "QuantileLoss", "quantile": over}}
    state = {PREFIX + key: torch.from_numpy(value.copy()) for key, value in weights.items()}
    buffer = io.BytesIO()
    torch.save({"epoch": epoch, "state_dict": state, "hyper_parameters": settings}, buffer)
    return buffer.getvalue()


def write_state(path: Path, content: Mapping[str, Any]) -> None:
    """Keep how far a training is; whoever reads the file finds an old state or a new one, never half of it.

    Args:
        path: the file.
        content: tensors and plain values, with the training's ``identity``.
    """
    import torch

    with atomic_path(path) as temporary:
        torch.save(dict(content), temporary)


@contextlib.contextmanager
def reading_state(path: Path, identity: str) -> Iterator[dict[str, Any]]:
    """What :func:`write_state` kept, to be taken over inside the block.

    Args:
        path: the file.
        identity: of the training.

    Raises:
        ConfigError: CONFIG_INVALID, the file is another training's, or none's; also where the block finds
            that.
    """
    import torch

    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if content["identity"] != identity:
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"{path} is the state of a training with other data or options; remove it to begin anew",
            )
        yield content
    except _UNREADABLE as error:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            f"{path} is not the state of a training ({error}); remove it to begin anew",
        ) from error
