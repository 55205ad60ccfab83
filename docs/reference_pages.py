"""The reference, generated from the code when MkDocs builds the site.

A hook of ``mkdocs.yml``: what the code says of commands, options, columns, flags, codes, models and public
names becomes pages under ``reference/``, so that no list is written by hand.  ``pages()`` gives their text.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "https://github.com/goldilocks-batch/goldilocks-batch/blob/main"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """Every generated page: its path below ``docs/``, and its Markdown."""
    return {
        "reference/commands.md": commands(),
        "reference/options.md": options(),
        "reference/columns.md": columns(),
        "reference/errors.md": errors(),
        "reference/models.md": models(),
        "reference/api.md": api(),
        "reference/benchmarks.md": document("benchmarks/README.md"),
        "reference/contributing.md": document("CONTRIBUTING.md"),
        "reference/changelog.md": document("CHANGELOG.md"),
    }


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped) + "\n"


def commands() -> str:
    """All commands with their arguments and options, as typer itself documents them; hidden ones left out."""
    from typer.main import get_command

    from goldilocks_batch.cli.app import app

    call = [sys.executable, "-m", "typer", "goldilocks_batch.cli.app", "utils", "docs"]
    done = subprocess.run(  # noqa: S603 - this interpreter, on this package
        [*call, "--name", "goldilocks-batch", "--title", "Commands"],
        capture_output=True,
        check=True,
        cwd=ROOT,
        encoding="utf-8",
    )
    text = done.stdout
    for path in _hidden(get_command(app), "goldilocks-batch"):
        text = re.sub(rf"^##+ `{re.escape(path)}`\n.*?(?=^##+ |\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(rf"^\* `{re.escape(path.split()[-1])}`: .*\n", "", text, flags=re.MULTILINE)
    return text


def _hidden(command: Any, path: str) -> Iterator[str]:
    for name, child in getattr(command, "commands", {}).items():
        if child.hidden:
            yield f"{path} {name}"
        else:
            yield from _hidden(child, f"{path} {name}")


def options() -> str:
    """Every option that a configuration file takes, by the command that reads it."""
    from goldilocks_batch.config.run import SCIENTIFIC, RunConfig
    from goldilocks_batch.config.training import TrainAlignnConfig, TrainConfig

    text = (
        "# Options of configuration files\n\nA YAML file of options goes to a command by `--config`; most have a flag of the "
        "same name, with hyphens, and flags override the file. Unknown options are refused. Paths are relative to the "
        "working directory.\n\n"
    )
    text += "## `run`, `array`, `featurize`\n\nScientific options decide the numbers: a run resumes only if none has changed.\n\n"
    text += "### Scientific options\n\n" + _fields(RunConfig, lambda name: name in SCIENTIFIC)
    text += "\n### Execution options\n\n" + _fields(RunConfig, lambda name: name not in SCIENTIFIC)
    text += "\n" + _examples()
    text += "\n## `train rf`\n\n" + _fields(TrainConfig)
    text += "\n## `train alignn`\n\n" + _fields(TrainAlignnConfig)
    return text


def _fields(kind: type[BaseModel], wanted: Any = lambda name: True) -> str:
    rows = [row for name, field in kind.model_fields.items() if wanted(name) for row in _rows(name, field)]
    return table(["option", "takes", "default", "what it is"], rows)


def _rows(name: str, field: FieldInfo) -> Iterator[list[str]]:
    nested = next((kind for kind in _parts(field.annotation) if _is_model(kind)), None)
    default = field.get_default(call_default_factory=True)
    if nested is None:
        yield [f"`{name}`", _takes(field), f"`{_value(default)}`", field.description or ""]
        return
    yield [f"`{name}`", "options", "" if default is not None else "`null`", field.description or ""]
    for inner, inside in nested.model_fields.items():
        yield from _rows(f"{name}.{inner}", inside)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, their annotations taken off."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(part for member in get_args(annotation) for part in _parts(member))
    if hasattr(annotation, "__metadata__"):
        return _parts(get_args(annotation)[0])
    return (annotation,)


def _takes(field: FieldInfo) -> str:
    words = [_word(part) for part in _parts(field.annotation)]
    limits = [
        f"{sign} {value:g}"
        for item in field.metadata
        for key, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if isinstance(value := getattr(item, key, None), int | float)
    ]
    return " ".join([" or ".join(dict.fromkeys(words)), ", ".join(limits)]).strip()


def _word(kind: Any) -> str:
    """A type in a user's words."""
    if get_origin(kind) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) in (tuple, list):
        return f"list of {_word(_parts(get_args(kind)[0])[0])}"
    if get_origin(kind) is dict:
        return "mapping"
    known = {str: "text", int: "integer", float: "number", bool: "`true` or `false`", Path: "path"}
    return {**known, type(None): "`null`"}.get(kind, getattr(kind, "__name__", str(kind)))


def _value(value: object) -> str:
    """A default as YAML has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    return "{}" if value == {} else str(value)


def _examples() -> str:
    from importlib.resources import files

    text = "### Examples\n\n"
    for entry in sorted(
        files("goldilocks_batch.config").joinpath("examples").iterdir(), key=lambda e: e.name
    ):
        if entry.name.endswith(".yaml"):
            body = entry.read_text(encoding="utf-8").strip()
            text += f'??? example "{entry.name}"\n\n'
            text += (
                "\n".join(f"    {line}".rstrip() for line in ("```yaml", *body.splitlines(), "```")) + "\n\n"
            )
    return text


def columns() -> str:
    """The result table's columns, and the flags that a row can carry."""
    from goldilocks_batch.results.schema import COLUMNS, FLAGS, RESULT_SCHEMA_ID

    rows = [[f"`{c.name}`", f"`{c.type}`", c.unit, c.text] for c in COLUMNS]
    flags = [[f"`{name}`", text] for name, text in FLAGS.items()]
    return (
        f"# Columns and flags\n\nOne row for every structure, schema `{RESULT_SCHEMA_ID}`. The Parquet files hold the unit "
        "and the meaning of every column in its metadata.\n\n"
        f"{table(['column', 'type', 'unit', 'meaning'], rows)}\n## Flags\n\nRemarks on a row, in its column `flags`.\n\n"
        f"{table(['flag', 'meaning'], flags)}"
    )


def errors() -> str:
    """Every error code with its meaning, and the exit codes."""
    from goldilocks_batch.core.errors import ErrorCode

    def rows(ends: str) -> list[list[str]]:
        return [[f"`{code.value}`", code.meaning] for code in ErrorCode if code.ends == ends]

    return (
        "# Error codes\n\nCodes are stable: none is ever renamed or used for something else. The message beside a code says "
        "what was found, what was expected and what to do.\n\n"
        "## Of one structure\n\nIn the column `error_code` of its row. The run goes on and ends with exit code 1.\n\n"
        f"{table(['code', 'meaning'], rows('row'))}\n"
        "## Of a command\n\nNothing runs, or what runs ends in order, with exit code 2.\n\n"
        f"{table(['code', 'meaning'], rows('command'))}"
    )


def models() -> str:
    """The registry: models, what they mean, and their files."""
    from goldilocks_batch.artifacts.registry import load_registry

    registry = load_registry()
    text = "# Models and their files\n\nWhat the package's registry holds; `goldilocks-batch models show NAME` prints it.\n\n"
    for name, model in registry.models.items():
        text += f"## {name}\n\n{model.title}.\n\n"
        known = {
            "features": f"`{model.feature_schema}`" if model.feature_schema else "",
            "domain": model.domain,
            "corrections come from": model.correction_origin if model.correction_origin != "none" else "",
            "licence": model.licence,
            "citation": model.citation,
        }
        text += "".join(f"- {key}: {value}\n" for key, value in known.items() if value) + "\n"
        levels = [
            [
                level,
                _number(entry.kdist),
                _number(entry.correction),
                ", ".join(f"`{f}`" for f in entry.files.values()),
            ]
            for level, entry in model.levels.items()
        ]
        text += table(["confidence", "constant kdist, 1/Å", "correction, 1/Å", "files"], levels) + "\n"
        text += "".join(f"- {remark}\n" for remark in model.remarks) + "\n"
    rows = [
        [
            f"`{name}`",
            f"`{entry.repository}`, `{entry.path}`",
            f"`{entry.revision}`" if entry.revision else "",
            digest,
        ]
        for name, entry in (*registry.files.items(), *registry.folders.items())
        for digest in [f"`{entry.sha256[:16]}…`" if isinstance(entry.sha256, str) else ""]
    ]
    return text + "## Files\n\n" + table(["name", "where", "revision", "sha256"], rows)


def _number(value: float | None) -> str:
    return f"{value:g}" if value else ""


def api() -> str:
    """The public names of the package, each with its docstring."""
    import goldilocks_batch

    text = "# Python\n\nThe public names of `goldilocks_batch`; all else may change. [How to](../how-to/python.md).\n\n"
    for name in sorted(goldilocks_batch.__all__, key=str.lower):
        value = getattr(goldilocks_batch, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            text += f"::: {value.__module__}.{value.__qualname__}\n\n"
    return text + "::: goldilocks_batch.core.errors.ErrorCode\n    options:\n      members: [meaning, ends]\n"


def document(path: str) -> str:
    """A document of the repository as a page; its links to other files lead to the source."""
    folder = Path(path).parent
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.sub(
        r"\]\((?!https?:|#)([^)]+)\)", lambda link: f"]({SOURCE}/{(folder / link[1]).as_posix()})", text
    )
