"""Documents are finished: links lead somewhere, commands exist, snippets run, nothing is listed by hand."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.results.schema import COLUMNS, FLAGS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(ROOT.glob("docs/**/*.md"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md"), *PAGES])
REPOSITORY = "https://github.com/goldilocks-batch/goldilocks-batch/blob/main/"
FILES = "https://raw.githubusercontent.com/goldilocks-batch/goldilocks-batch/main/"
SITE = "https://goldilocks-batch.github.io/goldilocks-batch/"

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def reference() -> Any:
    """The hook that makes the reference."""
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "docs" / "reference_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    """A page of the reference as it is built."""
    text = (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
    return str(reference().on_page_markdown(text))


def commands() -> list[tuple[str, str]]:
    """Every call of the program in a block of commands, with the document it is in."""
    found = []
    for path in DOCUMENTS:
        blocks = re.findall(r"^```console\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
        lines = re.findall(r"^\$ (goldilocks-batch .*)$", "\n".join(blocks), re.M)
        found += [
            (str(path.relative_to(ROOT)), line.partition("  #")[0].partition(" >")[0]) for line in lines
        ]
    return found


@every_document
def test_no_figure_is_still_to_come(path: Path) -> None:
    assert not re.search(r"@@|TODO|XXX|TBD", path.read_text(encoding="utf-8"))


@every_document
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [target for target in targets if not (path.parent / target).exists()] == []
    ours = re.findall(rf"\]\((?:{REPOSITORY}|{FILES})([^)#]+)", text)
    assert [target for target in ours if not (ROOT / target).exists()] == []
    names = [target.strip("/") or "index" for target in re.findall(rf"\]\({SITE}([^)#]*)", text)]
    assert [name for name in names if not (ROOT / "docs" / f"{name}.md").exists()] == []


@every_document
def test_files_and_targets_that_are_named_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"\b((?:configs|benchmarks|examples|tests)/[\w./-]*\w)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"(?:`|^\$ )make (?:\w+=\w+ )?([a-z-]+)", text, re.M)
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.M)] == []


@every_document
def test_no_table_is_cut_in_two(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        if line.startswith("|") and not before.startswith("|"):
            assert re.fullmatch(r"[|: -]+", after), f"the table that begins with {line!r} has no heading"


def test_the_readme_is_short_and_renders_anywhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []


@pytest.mark.parametrize(("document", "line"), commands())
def test_commands_that_are_shown_exist(document: str, line: str) -> None:
    from typer.main import get_command

    from goldilocks_batch.cli.app import app

    name, *arguments = shlex.split(line)
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        name = arguments.pop(0)
        assert name in command.commands, f"{document}: no command {name}"
        command = command.commands[name]
    command.make_context(name, arguments)  # raises where an option or a value is not known


@pytest.mark.parametrize("name", ["how-to/python.md", "how-to/hand-off.md"])
def test_snippets_give_what_they_say(name: str) -> None:
    outcome = doctest.testfile(str(ROOT / "docs" / name), module_relative=False, encoding="utf-8")
    assert outcome.attempted >= 4
    assert outcome.failed == 0


def test_every_page_is_in_the_table_of_contents() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\s*- (?:\w+: )?([\w/-]+\.md)$", text, re.M))
    assert listed == {str(path.relative_to(ROOT / "docs")) for path in PAGES}
    assert yaml.safe_load(text)["hooks"] == ["docs/reference_pages.py"]


def test_the_reference_has_every_code_column_flag_and_command() -> None:
    assert [code for code in ErrorCode if f"| `{code}` | {code.meaning} |" not in page("errors")] == []
    columns = page("columns")
    assert [column.name for column in COLUMNS if f"| `{column.name}` |" not in columns] == []
    assert [flag for flag in FLAGS if f"| `{flag}` |" not in columns] == []
    listed = set(re.findall(r"^## `goldilocks-batch ([\w-]+)`$", page("commands"), re.M))
    assert {"run", "inspect", "models", "train", "config"} <= listed
    assert "array-task" not in listed  # what array submits, hidden from people


def test_the_reference_has_every_option() -> None:
    from goldilocks_batch.config.run import RunConfig
    from goldilocks_batch.config.slurm import JobRequest

    text = page("options")
    names = [*RunConfig.model_fields, *(f"slurm.requests.{name}" for name in JobRequest.model_fields)]
    assert [name for name in names if f"| `{name}` |" not in text] == []
    assert "| `confidence` | number > 0.5, < 1 | `0.95` |" in text
    assert "| `workers` | integer ≥ 1, or `null` | `null`: one per core |" in text


def test_a_page_that_asks_for_what_is_not_made_is_refused() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        reference().on_page_markdown("<!-- generated: nonsense -->")


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    build = pytest.importorskip("mkdocs.commands.build")
    from mkdocs.config import load_config

    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path / "site"))
    build.build(config)
    assert (tmp_path / "site" / "reference" / "api" / "index.html").stat().st_size > 10_000
