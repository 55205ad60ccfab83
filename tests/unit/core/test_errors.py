from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from goldilocks_batch.core import errors
from goldilocks_batch.core.errors import ErrorCode, GoldilocksError, Stage, StructureError

KINDS = sorted(
    (
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, GoldilocksError)
    ),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_travel_between_processes(kind: type[GoldilocksError]) -> None:
    error = kind(ErrorCode.PARSE_FAILED, "no cell", stage=Stage.READ, structure_id="a/b")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (back.code, back.message, back.stage, back.structure_id) == (
        ErrorCode.PARSE_FAILED,
        "no cell",
        Stage.READ,
        "a/b",
    )
    assert str(back) == str(error) == "a/b: no cell [PARSE_FAILED]"


def test_codes_are_their_own_names() -> None:
    assert all(code.name == code.value for code in ErrorCode)


def test_every_code_is_given_somewhere_and_explained() -> None:
    package = Path(errors.__file__).parents[1]
    source = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    given = {code for code in ErrorCode if f"ErrorCode.{code.name}" in source}
    assert given == {code for code in ErrorCode if code.ends != "retired"}
    assert [code for code in ErrorCode if not code.meaning] == []
    assert {code.ends for code in ErrorCode} == {"row", "command", "retired"}


def test_an_error_without_a_structure_names_none() -> None:
    assert str(StructureError(ErrorCode.NULL_VALUE, "null cell")) == "null cell [NULL_VALUE]"
