"""What pages of the reference say of the code, taken from the code when MkDocs builds them.

A hook of ``mkdocs.yml``: a line ``<!-- generated: flags -->`` in a page becomes the table of flags, and so on
for commands, options, columns, codes, models and public names, so that no list is written by hand.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "https://github.com/goldilocks-batch/goldilocks-batch/blob/main"


def on_page_markdown(markdown: str, **_context: object) -> str:
    """The page with everything generated put in; MkDocs calls this for each page.

    Raises:
        KeyError: a page asks for something that is not in ``GENERATED``.
    """
    return re.sub(r"<!-- generated: (.+?) -->", lambda found: _made(found[1]).strip("\n"), markdown)


def _made(name: str) -> str:
    kind, _, path = name.partition(" ")
    return document(path) if kind == "document" else GENERATED[name]()


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
    call += ["--name", "goldilocks-batch", "--title", "Commands"]
    done = subprocess.run(call, capture_output=True, check=True, cwd=ROOT, encoding="utf-8")  # noqa: S603
    text = done.stdout
    for path in _hidden(get_command(app), "goldilocks-batch"):
        text = re.sub(rf"^##+ `{re.escape(path)}`\n.*?(?=^##+ |\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(rf"^\* `{re.escape(path.split()[-1])}`: .*\n", "", text, flags=re.MULTILINE)
    return text


def _hidden(command: Any, path: str) -> Iterator[str]:
    """The full names of hidden commands."""
    for name, child in getattr(command, "commands", {}).items():
        if child.hidden:
            yield f"{path} {name}"
        else:
            yield from _hidden(child, f"{path} {name}")


def run_options(*, scientific: bool) -> str:
    """Options of a run that decide its numbers, or the others."""
    from goldilocks_batch.config.run import SCIENTIFIC, RunConfig

    return options(RunConfig, [name for name in RunConfig.model_fields if (name in SCIENTIFIC) == scientific])


def training_options(*, networks: bool) -> str:
    """Options of ``train alignn``, or of ``train rf``."""
    from goldilocks_batch.config.training import TrainAlignnConfig, TrainConfig

    kind: type[BaseModel] = TrainAlignnConfig if networks else TrainConfig
    return options(kind, list(kind.model_fields))


def options(kind: type[BaseModel], names: list[str]) -> str:
    """A table of options: what each takes, its default, what it is."""
    seen: dict[object, str] = {}
    rows = [row for name in names for row in _rows(name, kind.model_fields[name], seen)]
    return table(["option", "takes", "default", "what it is"], rows)


def _rows(name: str, field: FieldInfo, seen: dict[object, str]) -> Iterator[list[str]]:
    """The row of an option; those of its own options follow where it has any, once for each kind."""
    default, text = field.get_default(call_default_factory=True), field.description or ""
    nested = next(
        (k for k in _members(field.annotation) if isinstance(k, type) and issubclass(k, BaseModel)), None
    )
    if nested is None:
        yield [f"`{name}`", _takes(field), _default(field), text]
    elif (first := seen.setdefault(nested, name)) != name:
        yield [f"`{name}`", f"the same options as `{first}`", "" if default else "`null`", text]
    else:
        yield [f"`{name}`", "options", "" if default else "`null`", text]
        for inner, inside in nested.model_fields.items():
            yield from _rows(f"{name}.{inner}", inside, seen)


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, their annotations taken off."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(part for member in get_args(annotation) for part in _parts(member))
    if hasattr(annotation, "__metadata__"):
        return _parts(get_args(annotation)[0])
    return (annotation,)


def _members(annotation: Any) -> Iterator[Any]:
    """The members of a union, and what the lists among them are of."""
    for part in _parts(annotation):
        yield from _parts(get_args(part)[0]) if get_origin(part) is tuple else (part,)


def _takes(field: FieldInfo) -> str:
    """What an option takes, in a user's words."""
    parts = [part for part in _parts(field.annotation) if part is not type(None)]
    limits = [
        f"{sign} {value:g}"
        for item in field.metadata
        for key, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if isinstance(value := getattr(item, key, None), int | float)
    ]
    text = " ".join([" or ".join(dict.fromkeys(map(_word, parts))), ", ".join(limits)]).strip()
    return f"{text}, or `null`" if type(None) in _parts(field.annotation) else text


def _word(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) in (tuple, list):
        return f"list of {_word(_parts(get_args(kind)[0])[0])}"
    if get_origin(kind) is dict:
        return "mapping"
    words = {str: "text", int: "integer", float: "number", bool: "`true` or `false`", Path: "path"}
    return words.get(kind, getattr(kind, "__name__", str(kind)))


def _default(field: FieldInfo) -> str:
    """The default of an option, and what it means where it does not tell."""
    from goldilocks_batch.config.flags import flag_of

    value, flag = field.get_default(call_default_factory=True), flag_of(field)
    return f"`{_value(value)}`" + (f": {flag.default}" if flag is not None and flag.default else "")


def _value(value: object) -> str:
    """A default as YAML has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)


def examples() -> str:
    """The example configurations, folded."""
    from goldilocks_batch.config.bundled import examples as bundled

    return "\n".join(
        f'??? example "{name}"\n\n' + "".join(f"    {line}\n" for line in ("```", *text.splitlines(), "```"))
        for name, text in bundled().items()
    )


def schema() -> str:
    """The name of the result table's schema."""
    from goldilocks_batch.results.schema import RESULT_SCHEMA_ID

    return f"`{RESULT_SCHEMA_ID}`"


def columns() -> str:
    """The result table's columns."""
    from goldilocks_batch.results.schema import COLUMNS

    rows = [[f"`{c.name}`", f"`{c.type}`", c.unit, c.text] for c in COLUMNS]
    return table(["column", "type", "unit", "meaning"], rows)


def study_columns() -> str:
    """Columns of the table of convergence studies, those of one tolerance alone."""
    from goldilocks_batch.convergence.table import studies_schema

    fields = studies_schema((1.0,))
    rows = []
    for field in fields:
        about = {key.decode(): value.decode() for key, value in field.metadata.items()}
        rows.append([f"`{field.name}`", f"`{field.type}`", about.get("unit", ""), about["text"]])
    return table(["column", "type", "unit", "meaning"], rows)


def study_flags() -> str:
    """The flags that the row of a study can carry, beside those of its reading."""
    from goldilocks_batch.convergence.table import STUDY_FLAGS

    return table(["flag", "meaning"], [[f"`{name}`", text] for name, text in STUDY_FLAGS.items()])


def converge_options() -> str:
    """Options of ``converge``; those that are a run's are listed there."""
    from goldilocks_batch.config.convergence import ConvergeConfig

    return options(ConvergeConfig, [name for name in ConvergeConfig.model_fields if name != "run"])


def flags() -> str:
    """The flags that a row can carry."""
    from goldilocks_batch.results.schema import FLAGS

    return table(["flag", "meaning"], [[f"`{name}`", text] for name, text in FLAGS.items()])


def errors(ends: str) -> str:
    """Error codes of a row, or of a command."""
    from goldilocks_batch.core.errors import ErrorCode
    from goldilocks_batch.report.advice import ADVICE

    if ends == "row":
        advised = [[f"`{code.value}`", code.meaning, text] for code, text in ADVICE.items()]
        return table(["code", "meaning", "what to do"], advised)
    rows = [[f"`{code.value}`", code.meaning] for code in ErrorCode if code.ends == ends]
    return table(["code", "meaning"], rows)


def models() -> str:
    """The models of the registry."""
    from goldilocks_batch.artifacts.registry import load_registry

    text = ""
    for name, model in load_registry().models.items():
        known = {
            "Features": f"`{model.feature_schema}`" if model.feature_schema else "",
            "Domain": model.domain,
            "Corrections": model.correction_origin if model.correction_origin != "none" else "",
            "Licence": model.licence,
            "Citation": model.citation,
        }
        rows = [
            [
                level,
                _number(entry.kdist),
                _number(entry.correction),
                " ".join(f"`{f}`" for f in entry.files.values()),
            ]
            for level, entry in model.levels.items()
        ]
        text += f"## {name}\n\n{model.title}.\n\n"
        text += "".join(f"- {key}: {value}\n" for key, value in known.items() if value)
        text += "".join(f"- {remark}\n" for remark in model.remarks) + "\n"
        text += table(["confidence", "constant kdist, 1/Å", "correction, 1/Å", "files"], rows) + "\n"
    return text


def _number(value: float | None) -> str:
    return f"{value:g}" if value else ""


def model_files() -> str:
    """The files that the registry names, and what pins them."""
    from goldilocks_batch.artifacts.registry import FileEntry, load_registry

    registry = load_registry()
    rows = []
    for name, entry in (*registry.files.items(), *registry.folders.items()):
        digest = f"`{entry.sha256[:16]}…`" if isinstance(entry, FileEntry) and entry.sha256 else ""
        pinned = f"`{entry.revision[:12]}…`" if entry.revision else ""
        places = [f"`{entry.repository}`, `{entry.path}`"]
        places += [f"`{mirror}`" for mirror in (entry.mirrors if isinstance(entry, FileEntry) else ())]
        rows.append([f"`{name}`", "; ".join(places), pinned, digest])
    return table(["name", "where, first place first", "revision", "sha256"], rows)


def cards() -> str:
    """The cards of the models that come with the package."""
    paths = sorted((ROOT / "goldilocks_batch" / "artifacts" / "shipped").glob("*/card.md"))
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return "\n".join(re.sub(r"^#", "##", text, flags=re.MULTILINE) for text in texts)


def public_names() -> str:
    """An entry for every public class and function of the package, which mkdocstrings fills."""
    import goldilocks_batch

    values = [getattr(goldilocks_batch, name) for name in sorted(goldilocks_batch.__all__, key=str.lower)]
    described = [value for value in values if inspect.isclass(value) or inspect.isfunction(value)]
    return "\n".join(f"::: {value.__module__}.{value.__qualname__}\n" for value in described)


def document(path: str) -> str:
    """A document of the repository; its links to other files lead to the source."""
    folder, text = Path(path).parent, (ROOT / path).read_text(encoding="utf-8")
    return re.sub(
        r"\]\((?!https?:|#)([^)]+)\)", lambda link: f"]({SOURCE}/{(folder / link[1]).as_posix()})", text
    )


GENERATED: dict[str, Callable[[], str]] = {
    "cards": cards,
    "columns": columns,
    "command errors": lambda: errors("command"),
    "commands": commands,
    "converge options": converge_options,
    "examples": examples,
    "execution options": lambda: run_options(scientific=False),
    "flags": flags,
    "model files": model_files,
    "models": models,
    "public names": public_names,
    "retired errors": lambda: errors("retired"),
    "row errors": lambda: errors("row"),
    "schema": schema,
    "study columns": study_columns,
    "study flags": study_flags,
    "scientific options": lambda: run_options(scientific=True),
    "train alignn": lambda: training_options(networks=True),
    "train rf": lambda: training_options(networks=False),
}
