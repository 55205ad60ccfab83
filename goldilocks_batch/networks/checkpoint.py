"""Weights of published networks: Lightning checkpoints as arrays, held to the keys expected of them."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, ModelError
from goldilocks_batch.networks.plain_torch import NotPlain, read_plain

__all__ = [
    "PREFIX",
    "Checkpoint",
    "check_keys",
    "constructor_number",
    "read_checkpoint",
    "read_element_table",
]

#: What Lightning puts before the key of every parameter.
PREFIX = "model."
#: No width or depth of a network is larger; what follows from them is made only then.
_LARGEST = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """One network's weights.

    Attributes:
        path: the file.
        weights: parameters and buffers by key, without `PREFIX`.
        settings: what was stored with them: ``model``, the constructor's arguments, and others.
    """

    path: Path
    weights: dict[str, NDArray[np.float32]]
    settings: dict[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments."""
        arguments: dict[str, Any] = self.settings["model"]
        return arguments

    @property
    def quantile(self) -> float | None:
        """The weight on over-prediction in the loss it was trained with, if it is stored."""
        loss = self.settings.get("loss")
        return loss.get("quantile") if isinstance(loss, dict) else None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint without running code from it.

    Raises:
        ModelError: ARTIFACT_MISSING, there is no such file; ARTIFACT_INVALID, it is not a checkpoint of a
            network with the prefix ``model.``, or a weight is not finite; ARTIFACT_FORBIDDEN, it holds more
            than tensors and plain values, or claims more memory than it has bytes.
    """
    if not path.is_file():
        raise ModelError(ErrorCode.ARTIFACT_MISSING, f"no checkpoint at {path}")
    _check_archive(path)
    try:
        content = read_plain(path)
    except NotPlain:
        content = _read_by_torch(path)
    state = content.get("state_dict") if isinstance(content, dict) else None
    settings = content.get("hyper_parameters") if isinstance(content, dict) else None
    arguments = settings.get("model") if isinstance(settings, dict) else None
    if not isinstance(state, dict) or not isinstance(settings, dict) or not isinstance(arguments, dict):
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f'{path} is no Lightning checkpoint of a network: expected "state_dict" and'
            ' "hyper_parameters" with an entry "model"',
        )
    return Checkpoint(path, _arrays(path, state), settings)


def _read_by_torch(path: Path) -> Any:
    """What torch makes of a file without running code from it."""
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        message = f"{path} holds more than tensors and plain values, or is damaged: {_first_line(error)}"
        raise ModelError(ErrorCode.ARTIFACT_FORBIDDEN, message) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID, f"{path} is not a torch checkpoint: {_first_line(error)}"
        ) from error


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is: torch stores its records as they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID, f"{path} is not a torch checkpoint: {_first_line(error)}"
        ) from error
    claimed, size = sum(record.file_size for record in records), path.stat().st_size
    if claimed > size or any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ModelError(
            ErrorCode.ARTIFACT_FORBIDDEN,
            f"{path} has {size} bytes and unpacks to {claimed}; a checkpoint's records are not compressed. "
            "Nothing in it was read",
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _arrays(path: Path, state: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    weights = {}
    left = path.stat().st_size
    for key, value in state.items():
        if not key.startswith(PREFIX):
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID, f'{path}: key "{key}" does not start with "{PREFIX}"'
            )
        array = value if isinstance(value, np.ndarray) else _array_of(path, key, value)
        left -= array.nbytes
        if left < 0:
            raise _not_in_the_file(path, key, array.shape)
        array = np.array(array, dtype=np.float32, order="C")
        if not np.isfinite(array).all():
            raise ModelError(
                ErrorCode.ARTIFACT_INVALID,
                f'{path}: "{key}" holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite',
            )
        weights[key.removeprefix(PREFIX)] = array
    return weights


def _array_of(path: Path, key: str, value: object) -> NDArray[Any]:
    """A tensor that torch has read, as an array of its numbers, not yet copied."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID, f'{path}: "{key}" is not a tensor but {type(value).__name__}'
        )
    plain = value.layout == torch.strided and value.device.type == "cpu"
    if not plain or value.numel() * value.element_size() > path.stat().st_size:
        raise _not_in_the_file(path, key, tuple(value.shape))
    value = value.detach()
    return value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()


def _not_in_the_file(path: Path, key: str, shape: tuple[int, ...]) -> ModelError:
    message = f'{path}: "{key}" of shape {shape} is no plain array of numbers in the file'
    return ModelError(ErrorCode.ARTIFACT_FORBIDDEN, message)


def check_keys(checkpoint: Checkpoint, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Hold a checkpoint to the keys and shapes of a network.

    Args:
        checkpoint: the weights.
        expected: shape by key, without prefix.

    Raises:
        ModelError: ARTIFACT_INVALID, naming keys that are missing, not expected, or of another shape.
    """
    found = {key: array.shape for key, array in checkpoint.weights.items()}
    problems = [f'missing "{PREFIX}{key}" {shape}' for key, shape in expected.items() if key not in found]
    problems += [f'not expected: "{PREFIX}{key}"' for key in found if key not in expected]
    problems += [
        f'"{PREFIX}{key}" has shape {found[key]}, expected {shape}'
        for key, shape in expected.items()
        if key in found and found[key] != shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f"{checkpoint.path} does not fit its constructor arguments: {'; '.join(problems[:5])}{more}",
        )


def constructor_number(
    checkpoint: Checkpoint, name: str, default: int | None = None, *, least: int = 1
) -> int:
    """A whole number among the constructor arguments, from ``least`` to 4,096.

    Raises:
        ModelError: ARTIFACT_INVALID, it is missing and has no default, or is no such number.
    """
    value = checkpoint.arguments.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _LARGEST:
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID,
            f'{checkpoint.path}: constructor argument "{name}" is {value!r}, expected a whole number'
            f" from {least} to {_LARGEST}",
        )
    return value


def read_element_table(path: Path) -> NDArray[np.float32]:
    """Numbers that describe each element, from a JSON object with atomic numbers as keys.

    Returns:
        ``(119, length)``, rows by atomic number, NaN where an element is not in the file.

    Raises:
        ModelError: ARTIFACT_MISSING or ARTIFACT_INVALID.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = {int(key): np.array(value, dtype=np.float32) for key, value in content.items()}
        length = len(next(iter(rows.values())))
        table = np.full((119, length), np.nan, dtype=np.float32)
        for number, row in rows.items():
            if not 1 <= number <= 118 or row.shape != (length,) or not np.isfinite(row).all():
                raise ValueError(f"the entry {number} is not {length} finite numbers of an element")
            table[number] = row
    except FileNotFoundError as error:
        raise ModelError(ErrorCode.ARTIFACT_MISSING, f"no element table at {path}") from error
    except (ValueError, TypeError, AttributeError, StopIteration, OSError, RecursionError) as error:
        raise ModelError(
            ErrorCode.ARTIFACT_INVALID, f"{path} is not a table of elements by atomic number: {error}"
        ) from error
    return table
