"""The kinds of things that are frozen, a fixture each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.contract import interface, observed
from tests.contract.observed import Workplace

__all__ = ["KINDS", "KINDS_OF_SHARED_DATA", "fixture", "frozen", "written"]

#: Made from the package alone.
KINDS: dict[str, Callable[[Workplace], object]] = {
    "cache": observed.cache,
    "columns": observed.columns,
    "commands": lambda _: interface.commands(),
    "converge_config": lambda _: interface.converge_config(),
    "errors": lambda _: interface.errors(),
    "exits": observed.exits,
    "exports": observed.exports,
    "flags": observed.flags,
    "job_script": observed.job_script,
    "model_folders": observed.model_folders,
    "parquet": observed.parquet,
    "public_names": lambda _: interface.public_names(),
    "run_config": lambda _: interface.run_config(),
    "run_folder": observed.run_folder,
    "schema_output": observed.schema_output,
}
#: These need model files of the published layout, which are with the development data.
KINDS_OF_SHARED_DATA: dict[str, Callable[[Workplace, Path], object]] = {
    "conversion": observed.conversion,
    "features": observed.features,
}


def fixture(kind: str) -> Path:
    """The file that a kind is frozen in."""
    return Path(__file__).with_name("frozen") / f"{kind}.json"


def frozen(kind: str) -> object:
    """What was frozen of a kind."""
    return json.loads(fixture(kind).read_text(encoding="utf-8"))


def written(found: object) -> str:
    """The text of a fixture: sorted, so that a change is a line or two of a diff."""
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
