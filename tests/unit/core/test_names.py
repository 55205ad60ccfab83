"""Ids as folders' names: safe, unique, and the id can be told from them."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.core.names import Names, lone_name, safe_name

anything = st.text(max_size=300)


@given(anything)
def test_names_are_safe(structure_id: str) -> None:
    name = safe_name(structure_id)
    assert 0 < len(name.encode()) <= 120
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set("/\\:*?\"<>| '$`;&!#(){}[]")
    assert name[0] not in ".-~"
    assert name[-1] != "."
    if "%~" not in name and structure_id:
        assert unquote(name) == structure_id


@given(st.lists(anything, unique=True, max_size=30))
def test_names_are_unique_whatever_the_case_of_letters(ids: list[str]) -> None:
    ids += [structure_id.swapcase() for structure_id in ids if structure_id.swapcase() not in ids]
    ids = list(dict.fromkeys(ids))
    names = Names([ids[:5], ids[5:]])
    given_names = [names[structure_id].lower() for structure_id in ids]
    assert len({*given_names}) == len(ids)
    for structure_id in ids:
        assert len(names[structure_id]) <= 120
    assert len({lone_name(structure_id).lower() for structure_id in ids}) == len(ids)
    assert all(len(lone_name(structure_id)) <= 120 for structure_id in ids)


@pytest.mark.parametrize(
    ("structure_id", "name"),
    [
        ("mc3d-100", "mc3d-100"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("..", "%2E%2E"),
        ("../up", "%2E.%2Fup"),
        ("-rf", "%2Drf"),
        ("~root", "%7Eroot"),
        ("", "%"),
        ("con", "%63on"),
        ("LPT1.cif", "%4CPT1.cif"),
        ("Si O", "Si%20O"),
        ("Tm₂", "Tm%E2%82%82"),
    ],
)
def test_known_names(structure_id: str, name: str) -> None:
    assert safe_name(structure_id) == name
    assert Names([[structure_id]])[structure_id] == name


def test_only_ids_that_differ_by_case_alone_are_given_a_digest() -> None:
    names = Names([["Si", "SI"], ["sI2", "Fe"]])
    assert names["Fe"] == "Fe"
    assert names["sI2"] == "sI2"
    assert names["Si"].startswith("Si%~")
    assert names["SI"].startswith("SI%~")
    assert names["Si"][4:] != names["SI"][4:]


def test_long_ids_are_told_apart() -> None:
    first, second = "a" * 300 + "b", "a" * 300 + "c"
    assert safe_name(first) != safe_name(second)
    assert safe_name("ü" * 100) != safe_name("ü" * 99)


def test_names_of_single_ids_have_a_digest_where_letters_have_a_case() -> None:
    assert lone_name("mp-149") == "mp-149"
    assert lone_name("Si").startswith("Si%~")
    assert lone_name("Si")[2:] != lone_name("SI")[2:]
    assert lone_name("a" * 300) == safe_name("a" * 300)
