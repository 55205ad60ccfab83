"""Flags made of a configuration's options: name, type, choices, default and help are the definition's own.

A command names the options that it takes, and is called with the configuration they make:

    @takes("settings", RunConfig, "inputs", "model", load=load_config)
    def command(settings: RunConfig) -> None: ...
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from goldilocks_batch.cli.completion import complete_model
from goldilocks_batch.config.flags import Flag, flag_of

__all__ = ["parameters_of", "replaced", "takes"]

#: A command; decorators change what it takes.
Command = Callable[..., Any]

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_COMPLETED = {"model": complete_model}


@dataclass(frozen=True, slots=True)
class _Option:
    """An option of a configuration as a parameter of a command.

    Attributes:
        path: names that lead to it through the sections of the configuration.
        field: its definition.
        flag: how it is written.
    """

    path: tuple[str, ...]
    field: FieldInfo
    flag: Flag

    @property
    def long(self) -> str:
        """The flag."""
        return self.flag.name or "--" + self.path[-1].replace("_", "-")

    @property
    def identifier(self) -> str:
        """The name of the parameter."""
        return self.long.removeprefix("--").replace("-", "_")

    def parameter(self, required: bool) -> inspect.Parameter:
        """The parameter; what is not given is None, so that a file's value, or the default, stands."""
        kind, help_text = _type_of(self), _sentence(self.field.description or "") + self._without()
        if self.path == ("inputs",):
            annotation: Any = Annotated[
                kind if required else kind | None, typer.Argument(help=help_text, metavar="INPUTS")
            ]
            default = inspect.Parameter.empty if required else None
        else:
            info = typer.Option(
                *self._declarations(kind),
                help=help_text,
                rich_help_panel=self.flag.panel,
                metavar=self.flag.metavar,
                autocompletion=_COMPLETED.get(self.identifier),
            )
            annotation, default = Annotated[kind | None, info], None
        return inspect.Parameter(self.identifier, _KEYWORD, default=default, annotation=annotation)

    def _declarations(self, kind: Any) -> list[str]:
        long = self.long
        if kind is bool and self.flag.negatable:
            long = f"{long}/--no-{long.removeprefix('--')}"
        return [long, *([self.flag.short] if self.flag.short else [])]

    def _without(self) -> str:
        """What happens without the flag."""
        if self.flag.default is not None:
            words = self.flag.default
        else:
            value = self.field.default
            words = "" if value in (None, False, ()) else str(value)
        return f" [default: {words}]" if words else ""


def takes(
    parameter: str,
    kind: type[BaseModel],
    *names: str,
    load: Callable[..., Any],
    file: Any = None,
    required: bool = False,
) -> Callable[[Command], Command]:
    """Replace a parameter of a command by flags for the options that it is made of.

    Args:
        parameter: the command's parameter, an object of this kind.
        kind: of configuration.
        names: of the options, those of a section after its name and a dot.
        load: called with a file or None and, by name, the options that were given, None for the others; those
            of a section are a mapping.
        file: the annotation of the parameter ``config``, if the command takes a file.
        required: the inputs cannot come from a file.
    """
    options = [_option(kind, tuple(name.split("."))) for name in names]

    def decorator(command: Command) -> Command:
        new = [option.parameter(required) for option in options]
        if file is not None:
            place = 1 if options[0].path == ("inputs",) else 0
            new.insert(place, inspect.Parameter("config", _KEYWORD, default=None, annotation=file))

        @functools.wraps(command)
        def wrapper(**given: Any) -> Any:
            values: dict[str, Any] = {}
            path = given.pop("config", None) if file is not None else None
            for option in options:
                value, section = given.pop(option.identifier), values
                for name in option.path[:-1]:
                    section = section.setdefault(name, {})
                section[option.path[-1]] = (tuple(value) or None) if isinstance(value, list) else value
            return command(**{parameter: load(path, **values)}, **given)

        return replaced(wrapper, parameters_of(command), parameter, new)

    return decorator


def parameters_of(command: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """A command's parameters, with what typer is told of them."""
    signature = inspect.signature(command, eval_str=True)
    return {name: parameter.replace(kind=_KEYWORD) for name, parameter in signature.parameters.items()}


def replaced(
    command: Command, parameters: Mapping[str, inspect.Parameter], name: str, new: list[inspect.Parameter]
) -> Command:
    """Give a command these parameters, with some in the place of the one of this name, or at the end."""
    places = dict.fromkeys([*parameters, name])
    found = [p for place in places for p in (new if place == name else [parameters[place]])]
    command.__signature__ = inspect.Signature(found)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in found}
    return command


def _option(kind: type[BaseModel], path: tuple[str, ...]) -> _Option:
    for name in path[:-1]:
        kind = kind.model_fields[name].annotation  # type: ignore[assignment]
    field = kind.model_fields[path[-1]]
    flag = flag_of(field)
    if flag is None:
        raise TypeError(f"{kind.__name__}.{path[-1]} has no flag")
    return _Option(path, field, flag)


def _type_of(option: _Option) -> Any:
    """The type of one value on the command line."""
    if option.flag.switch:
        return bool
    kind: Any = option.field.annotation
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (part for part in get_args(kind) if part is not types.NoneType)
    if get_origin(kind) is tuple:
        return list[get_args(kind)[0]]  # type: ignore[misc]
    return kind


def _sentence(text: str) -> str:
    """A description as help: a capital at the start, a full stop at the end; words of ours stay small."""
    first = text.split(" ", 1)[0]
    return (text if first.endswith(":") else text[:1].upper() + text[1:]) + "."
