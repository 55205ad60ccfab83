"""What users, scripts and older folders rely on is what was frozen in ``frozen/``.

A change that is meant is frozen anew, in the commit that makes it: ``python -m tests.contract.freeze``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.contract import kinds
from tests.contract.observed import Workplace
from tests.contract.shapes import differences, shape


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Where the commands are run, each once for all tests."""
    return Workplace(tmp_path_factory.mktemp("contract"))


def compare(kind: str, found: object) -> None:
    lines = differences(kinds.frozen(kind), json.loads(kinds.written(found)))
    if lines:
        listed = "\n  ".join(lines)
        pytest.fail(
            f"{kind} is not what is frozen in {kinds.fixture(kind).name}:\n  {listed}\n"
            f"If this is meant: python -m tests.contract.freeze {kind}",
            pytrace=False,
        )


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_the_contract_holds(kind: str, place: Workplace) -> None:
    compare(kind, kinds.KINDS[kind](place))


@pytest.mark.shared
@pytest.mark.parametrize("kind", kinds.KINDS_OF_SHARED_DATA)
def test_the_contract_of_published_models_holds(kind: str, place: Workplace, shared: Path) -> None:
    compare(kind, kinds.KINDS_OF_SHARED_DATA[kind](place, shared / "hub"))


def test_every_fixture_is_compared() -> None:
    names = {path.stem for path in kinds.fixture("any").parent.iterdir()}
    assert names == {*kinds.KINDS, *kinds.KINDS_OF_SHARED_DATA}


def test_a_difference_is_told_with_its_place() -> None:
    before = {"a": {"b": "<int>", "gone": None}, "list": ["x", "y"], "one": 1}
    after = {"a": {"b": "<str>", "new": [1]}, "list": ["y", "z"], "one": True}
    assert differences(before, before) == []
    assert differences(before, after) == [
        'changed: a > b: it is "<str>", it was "<int>"',
        "removed: a > gone, which was null",
        "added: a > new, [1]",
        'removed: list: "x"',
        'added: list: "z"',
        "changed: one: it is true, it was 1",
    ]
    assert differences({"l": ["x", "y"]}, {"l": ["y", "x"]}) == [
        'changed: l: the order is ["y", "x"], it was ["x", "y"]'
    ]


def test_a_shape_keeps_keys_and_types_and_chosen_values() -> None:
    value = {"name": "a", "rows": [{"n": 1}, {"n": 2}, {"n": 0.5}], "none": None}
    assert shape(value, lambda where: where == ".name") == {
        "name": "a",
        "rows": [{"n": "<int>"}, {"n": "<float>"}],
        "none": None,
    }
