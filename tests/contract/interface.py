"""The contract of the code: public names, options of a run, commands, error codes.

Everything is reached from the names that ``goldilocks_batch`` exports and from the command line's ``app``, so
that modules may move.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

import goldilocks_batch
from goldilocks_batch import ConvergeConfig, GoldilocksError, RunConfig, RunSummary
from goldilocks_batch.cli.app import app
from goldilocks_batch.convergence.table import STUDY_FLAGS, studies_schema

__all__ = ["commands", "converge_config", "errors", "public_names", "run_config"]


def public_names() -> object:
    """Exported names with signatures, the fields of what a run returns, and the console script."""
    report = get_type_hints(RunSummary)["report"]
    scripts = entry_points(group="console_scripts", name="goldilocks-batch")
    return {
        "names": {name: _signature(getattr(goldilocks_batch, name)) for name in goldilocks_batch.__all__},
        "RunSummary": _attributes(RunSummary),
        "RunSummary.report": _attributes(report),
        "RunConfig methods": sorted(
            name for name, member in vars(RunConfig).items() if callable(member) and name[0] != "_"
        ),
        "console script": [script.value for script in scripts],
    }


def _signature(named: Any) -> str:
    if named in (RunConfig, ConvergeConfig):
        name = "run_config" if named is RunConfig else "converge_config"
        return f"keyword options: see {name}.json"
    return _without_modules(str(inspect.signature(named)))


def _attributes(kind: Any) -> dict[str, str]:
    """Fields of a dataclass with types, and its properties and methods."""
    fields = {field.name: _without_modules(str(field.type)) for field in dataclasses.fields(kind)}
    public = {name: member for name, member in vars(kind).items() if name[0] != "_" and name not in fields}
    return fields | {
        name: "method" if callable(member) or isinstance(member, classmethod) else "property"
        for name, member in public.items()
    }


def _without_modules(text: str) -> str:
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", text)


def run_config() -> object:
    """Options of a run with types, bounds, choices and defaults, and the order of the scientific ones."""
    schema = RunConfig.model_json_schema()
    kinds = {name: _options(kind) for name, kind in schema["$defs"].items()}
    return {"RunConfig": _options(schema), **kinds, "scientific options": list(RunConfig().science())}


def converge_config() -> object:
    """The same of convergence studies, but for what is a run's, and which options are a run's."""
    schema = ConvergeConfig.model_json_schema()
    own = ("BudgetOptions", "CodeOptions", "LadderOptions")
    kinds = {name: _options(schema["$defs"][name]) for name in own}
    found = _options(schema)
    del found["run"]["default"]
    columns = studies_schema(ConvergeConfig().tolerances).names
    return {"ConvergeConfig": found, **kinds, "columns": columns, "flags": STUDY_FLAGS}


def _options(schema: dict[str, Any]) -> dict[str, Any]:
    unknown = {"<unknown options>": "refused" if schema.get("additionalProperties") is False else "accepted"}
    prose = ("title", "description")
    options = schema["properties"].items()
    return unknown | {
        name: {key: value for key, value in option.items() if key not in prose} for name, option in options
    }


def errors() -> object:
    """Error codes, stages and the tree of exceptions; the first two are what an exception is made of."""
    hints = get_type_hints(GoldilocksError.__init__)
    (stage,) = (kind for kind in get_args(hints["stage"]) if kind is not type(None))
    return {
        "codes": sorted(code.value for code in hints["code"]),
        "stages, in the order of the flow": [member.value for member in stage],
        "exceptions": {"GoldilocksError": _below(GoldilocksError)},
        "attributes": sorted(vars(GoldilocksError(next(iter(hints["code"])), "said"))),
    }


def _below(kind: type[Exception]) -> dict[str, object]:
    children = (child for child in kind.__subclasses__() if child.__module__.startswith("goldilocks_batch"))
    return {child.__name__: _below(child) for child in children}


def commands() -> object:
    """The tree of commands, each with its parameters."""
    return _command(typer.main.get_command(app))


def _command(command: Any) -> dict[str, object]:
    parameters = {_name_of(parameter): _parameter(parameter) for parameter in command.params}
    found: dict[str, object] = {"parameters": parameters}
    if command.hidden:
        found["hidden"] = True
    if context := command.context_settings:
        found["settings"] = {key: str(value) for key, value in context.items()}
    if children := getattr(command, "commands", None):
        found["commands"] = {name: _command(child) for name, child in children.items()}
    return found


def _name_of(parameter: Any) -> str:
    """The longest option, or the name of an argument."""
    return max(parameter.opts, key=len) if parameter.param_type_name == "option" else f"<{parameter.name}>"


def _parameter(parameter: Any) -> dict[str, object]:
    """All that decides which command lines are accepted; entries that say nothing are left out."""
    names = [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else []
    found = {
        "aliases": [name for name in names if name != _name_of(parameter)],
        "type": _type_name(parameter.type_descriptor.annotation),
        "choices": _choices(parameter.type_descriptor.annotation),
        "default": _plain(parameter.default),
        "required": parameter.required or None,
        "repeated": parameter.multiple or None,
        "values": parameter.nargs if parameter.nargs != 1 else None,
        "minimum": parameter.min,
        "maximum": parameter.max,
        "environment": parameter.envvar,
        "hidden": parameter.hidden or None,
    }
    return {key: value for key, value in found.items() if value is not None and value != []}


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Literal or (
        isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    ):
        return "choice"
    return annotation.__name__ if type(annotation) is type else _without_modules(str(annotation))


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(member.value) for member in annotation]
    return []


def _plain(value: Any) -> object:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, Path):
        return str(value)
    if callable(value):
        return "computed"
    return list(value) if isinstance(value, tuple) else value
