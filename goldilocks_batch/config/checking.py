"""Options from YAML files, checked; what is wrong is refused with the nearest right name or value."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from goldilocks_batch.config.yaml_text import parse_yaml
from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.core.text import nearest, shortened

__all__ = ["Options", "checked", "read_yaml"]


class Options(BaseModel):
    """A configuration as a whole: frozen, and what is wrong with it is a :class:`ConfigError`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise _refusal(type(self), error) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The options in a YAML file, by name.

    Raises:
        ConfigError: CONFIG_INVALID, the file is missing, or no YAML, or no mapping.
    """
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"configuration file {path} cannot be read: {error}"
        ) from error
    except ValueError as error:
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
        raise _refusal(kind, error) from error
    return dict(values)


def _refusal(kind: type[BaseModel], error: ValidationError) -> ConfigError:
    """All complaints about a configuration in one line."""
    lines = [_complaint(kind, item) for item in error.errors()]
    return ConfigError(ErrorCode.CONFIG_INVALID, "; ".join(lines))


def _complaint(kind: type[BaseModel], item: ErrorDetails) -> str:
    place = item["loc"]
    name = ".".join(map(str, place))
    if item["type"] == "extra_forbidden":
        section = _section(kind, place[:-1])
        gone: Mapping[str, Callable[[object], str]] = getattr(section, "gone", {})
        if place[-1] in gone:
            return f"option '{name}' is gone: {gone[str(place[-1])](item['input'])}"
        known = set(section.model_fields)
        return f"unknown option '{name}': {nearest(str(place[-1]), known)}"
    said = item["msg"].removeprefix("Value error, ")  # ours; pydantic marks them so
    if not name:
        return said
    meant = _meant(kind, item)
    return f"option '{name}' is {shortened(item['input'])}: {said}" + (
        f"; did you mean {meant}?" if meant else ""
    )


def _meant(kind: type[BaseModel], item: ErrorDetails) -> str:
    """The value that may have been meant: a choice that is nearly the same, or a share given in percent."""
    place, value = item["loc"], item["input"]
    if any(isinstance(part, int) for part in place):  # an item of a list
        return ""
    if item["type"] == "literal_error":
        known = _choices(_section(kind, place[:-1]).model_fields[str(place[-1])].annotation)
        # "gpu" is two letters from "cpu" and means something else
        word = value if isinstance(value, str) else shortened(value)
        return next(iter(difflib.get_close_matches(word, known, 1, cutoff=0.7)), "")
    if item["type"] in ("less_than", "less_than_equal"):
        field = _section(kind, place[:-1]).model_fields[str(place[-1])]
        share, least = float(value) / 100, max(getattr(limit, "gt", 0) for limit in field.metadata)
        return f"{share:g}" if float(value) > 1 and least < share < 1 else ""
    return ""


def _choices(annotation: Any) -> list[str]:
    """The words that an option takes."""
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [word for part in get_args(annotation) for word in _choices(part)]


def _section(kind: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of a nested section, by the names that lead to it."""
    for name in path:
        if isinstance(name, int):  # an item of a list of sections
            continue
        annotation = kind.model_fields[name].annotation
        choices = (annotation, *get_args(annotation))
        kind = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    return kind
