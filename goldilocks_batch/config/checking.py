"""Options from YAML files, checked; an unknown one is refused with the nearest known name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.text import nearest

__all__ = ["checked", "read_yaml"]


def read_yaml(path: Path) -> dict[str, object]:
    """The options in a YAML file, by name.

    Raises:
        ConfigError: CONFIG_INVALID, the file is missing, or no YAML, or no mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"configuration file {path} cannot be read: {error}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(ErrorCode.CONFIG_INVALID, f"{path} is not valid YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"{path} holds a {type(values).__name__}; expected a mapping of options"
        )
    return {str(key): value for key, value in values.items()}


def checked(kind: type[BaseModel], values: Mapping[str, object]) -> dict[str, Any]:
    """The values, once they are known to make a valid configuration of a kind.

    Raises:
        ConfigError: CONFIG_INVALID, with all complaints; an unknown option comes with the nearest known one.
    """
    try:
        kind.model_validate(dict(values))
    except ValidationError as error:
        lines = []
        for item in error.errors():
            name = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden":
                known = set(_section(kind, item["loc"][:-1]).model_fields)
                lines.append(f"unknown option '{name}': {nearest(str(item['loc'][-1]), known)}")
            else:
                said = item["msg"].removeprefix("Value error, ")  # ours; pydantic marks them so
                lines.append(f"option '{name}' is {item['input']!r}: {said}" if name else said)
        raise ConfigError(ErrorCode.CONFIG_INVALID, "; ".join(lines)) from error
    return dict(values)


def _section(kind: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of a nested section, by the names that lead to it."""
    for name in path:
        annotation = kind.model_fields[str(name)].annotation
        choices = (annotation, *get_args(annotation))
        kind = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    return kind
