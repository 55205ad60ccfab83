"""What databases are asked, whom, and which of their links are followed."""

from __future__ import annotations

import email.utils
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldilocks_batch.core.errors import ConfigError
from goldilocks_batch.structures.databases.asking import _seconds, followed
from goldilocks_batch.structures.databases.harvest import Harvest
from goldilocks_batch.structures.databases.manifest import FETCHED_SCHEMA, write_fetched
from goldilocks_batch.structures.databases.pages import FIELDS, page_of
from goldilocks_batch.structures.databases.providers import BUILT_IN, Provider, named
from goldilocks_batch.structures.databases.query import LIMIT, Query, combined, is_database, parsed
from goldilocks_batch.structures.databases.store import Store
from goldilocks_batch.structures.databases.trouble import Trouble, plain


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ""),
        ({"text": " nelements=2 "}, "nelements=2"),
        ({"elements": ["Si", "O", "Si"]}, 'elements HAS ALL "Si","O"'),
        ({"formula": "SiO2"}, 'chemical_formula_reduced="O2Si"'),
        ({"formula": "Si2 O4"}, 'chemical_formula_reduced="O2Si"'),
        ({"formula": "CHCH3"}, 'chemical_formula_reduced="CH2"'),
        ({"nsites_max": 40}, "nsites<=40"),
        (
            {"text": 'elements HAS "Li" OR nelements=1', "elements": ["O"], "nsites_max": 8},
            '(elements HAS "Li" OR nelements=1) AND (elements HAS ALL "O") AND (nsites<=8)',
        ),
    ],
)
def test_filters_are_put_together(asked: dict[str, object], expected: str) -> None:
    assert combined(**asked) == expected  # type: ignore[arg-type]


def test_formulas_are_those_that_the_specification_asks_for() -> None:
    """Against optimade-python-tools, whose models check the very form."""
    models = pytest.importorskip("optimade.models.utils")
    for formula, expected in (("NaCl", "ClNa"), ("H2O", "H2O"), ("O4Al2Mg", "Al2MgO4"), ("C60", "C")):
        assert models.reduce_formula(formula) == expected
        assert combined(formula=formula) == f'chemical_formula_reduced="{expected}"'


@pytest.mark.parametrize("formula", ["", " ", "sio2", "Si0", "Si(OH)4", "SiO1.5", "Xx2", "D2O"])
def test_formulas_that_are_none(formula: str) -> None:
    if formula:
        with pytest.raises(ConfigError):
            combined(formula=formula)


@pytest.mark.parametrize(
    ("text", "provider", "query"),
    [
        ("optimade:mc3d", "mc3d", Query()),
        ("optimade:mc3d?filter=nelements=2", "mc3d", Query("nelements=2")),
        (
            "optimade:mp?elements=Si,O&nsites-max=40&n=10",
            "mp",
            Query('(elements HAS ALL "Si","O") AND (nsites<=40)', 10),
        ),
        ("optimade:mp?elements=Si%20O", "mp", Query('elements HAS ALL "Si","O"')),
        ("optimade:mp?filter=id=%22a%26b%22", "mp", Query('id="a&b"')),
        (
            "optimade:https://host/optimade?formula=SiO2",
            "https://host/optimade",
            Query('chemical_formula_reduced="O2Si"'),
        ),
        ("optimade:x=http://127.0.0.1:80/o", "x=http://127.0.0.1:80/o", Query()),
    ],
)
def test_inputs_that_are_databases(text: str, provider: str, query: Query) -> None:
    assert is_database(Path(text))
    assert parsed(text) == (provider, query)
    assert parsed(str(Path(text))) == (provider, query)  # as the command line gives it, with single slashes
    assert query.limit in (10, LIMIT)


@pytest.mark.parametrize("path", ["optimade", "a/optimade:mp", "mc3d.parquet", "/d/optimade:x/y.cif"])
def test_inputs_that_are_files(path: str) -> None:
    assert not is_database(Path(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mc3d", Provider("mc3d", BUILT_IN["mc3d"][0])),
        ("MP", Provider("mp", BUILT_IN["mp"][0])),
        ("odbx", Provider("odbx")),
        ("mcloud/mc2d", Provider("mcloud/mc2d")),
        ("https://host/optimade/v1/structures/", Provider("host/optimade", "https://host/optimade")),
        ("https://host/v1.2", Provider("host", "https://host")),
        ("https://host:8080/?x=1", Provider("host:8080", "https://host:8080")),
        ("mine=http://host/a", Provider("mine", "http://host/a")),
    ],
)
def test_providers(text: str, expected: Provider) -> None:
    assert named(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a b", "../x", "ftp://host", "https://", "https://host:x", "a/b/c", "x=y"]
)
def test_providers_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        named(text)


def test_passwords_are_not_taken_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        named("https://me:secret@host/optimade")
    assert "secret" not in caught.value.message


def test_built_in_addresses_are_base_urls() -> None:
    for name, (url, what) in BUILT_IN.items():
        assert named(name) == Provider(name, url)
        assert named(url).url == url
        assert url.startswith("https://")
        assert what


BASE = "https://host.org/optimade/v1/structures?page=1"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("?page=2", "https://host.org/optimade/v1/structures?page=2"),
        ("/other/v1?page=2", "https://host.org/other/v1?page=2"),
        ("https://host.org/x?page=2#y", "https://host.org/x?page=2"),
        ("http://host.org/x?page=2", "https://host.org/x?page=2"),
        ("http://host.org:80/x", "https://host.org/x"),
        ("https://HOST.org/x", "https://host.org/x"),
    ],
)
def test_links_to_the_same_host_are_followed(link: str, expected: str) -> None:
    assert followed(BASE, link) == expected


@pytest.mark.parametrize(
    "link",
    [
        "https://other.org/x",
        "https://host.org.evil.com/x",
        "https://host.org@evil.com/x",
        "https://evil@host.org/x",
        "https://host.org:8443/x",
        "//evil.com/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[::1/x",
        "https://host.org:99999/x",
    ],
)
def test_links_elsewhere_are_not(link: str) -> None:
    with pytest.raises(Trouble):
        followed(BASE, link)


@given(link=st.text(max_size=40))
def test_no_link_leads_to_another_host(link: str) -> None:
    said, found = "", BASE
    try:
        found = followed(BASE, link)
    except Trouble as trouble:
        said = str(trouble)
    assert not said or said.isprintable()
    assert (urlsplit(found).scheme, urlsplit(found).netloc) == ("https", "host.org")


def test_waits_are_seconds_or_dates() -> None:
    assert _seconds("7") == 7
    assert _seconds("0") == 0
    assert _seconds(None) is _seconds("soon") is _seconds("-3") is _seconds("") is None
    later = _seconds(email.utils.formatdate(time.time() + 30, usegmt=True))
    assert later is not None
    assert 25 < later <= 30
    assert _seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@given(text=st.text())
def test_what_is_said_is_one_printable_line(text: str) -> None:
    said = plain(text)
    assert len(said) <= 200
    assert not said or said.isprintable()


def test_the_documents_name_every_database() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/how-to/databases.md").read_text(encoding="utf-8")
    for name in BUILT_IN:
        assert f"`{name}`" in page


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTES = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON))
ENTRIES = st.fixed_dictionaries({"id": st.text(max_size=5) | JSON, "attributes": ATTRIBUTES | JSON})
ANSWERS = st.fixed_dictionaries(
    {"data": st.lists(ENTRIES, max_size=4) | JSON}, optional={"links": JSON, "meta": JSON}
)


@given(answer=ANSWERS)
def test_any_answer_is_a_page_or_a_line_and_any_page_a_table(
    answer: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        page = page_of(BASE, answer)
    except Trouble as trouble:
        page, said = None, str(trouble)
        assert not said or said.isprintable()
    if page is None:
        return
    folder = tmp_path_factory.mktemp("pages")
    harvest = Harvest(Provider("db", "https://host.org"), Store(folder / "pages", Provider("db"), ""))
    assert harvest.store is not None
    assert harvest.store.begin() == []
    harvest.store.add(page)
    harvest.take(page)
    write_fetched([harvest], Query(), folder / "m.parquet", "2026-01-01T00:00:00+00:00")
    found = pq.read_table(folder / "m.parquet")
    assert found["id"].to_pylist() == [f"db/{name}" for name in page.entries]
    assert found.schema.equals(FETCHED_SCHEMA)
