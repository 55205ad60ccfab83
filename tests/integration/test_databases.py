"""Structures of databases: a real OPTIMADE server on loopback, with what goes wrong on the way to it."""

from __future__ import annotations

import email.utils
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from goldilocks_batch import RunConfig, run
from goldilocks_batch.cli.app import app
from goldilocks_batch.core.errors import ConfigError, ErrorCode, InputError, RunError
from goldilocks_batch.results.folder import read_results
from goldilocks_batch.runs.dry_run import plan
from goldilocks_batch.runs.fetch import Fetched, fetch
from goldilocks_batch.structures.databases.asking import Patience
from goldilocks_batch.structures.databases.manifest import read_origin
from goldilocks_batch.structures.databases.query import Query, combined
from tests.optimade_server import PAGE, Answer, Proxy, entry, proxied, serving
from tests.terminal import on_terminal

pytest.importorskip("optimade", reason="the extra databases is not installed")

NUMBER = 110
PAIRS = [("Cs", "Cl"), ("Na", "Cl"), ("Fe", "Al"), ("Ni", "Al"), ("Li", "F")]
PAGES = -(-NUMBER // PAGE)
#: No test waits longer than it must.
QUICK = Patience(retries=3, first_wait=0.01, answer=5.0)


def crystals() -> list[dict[str, Any]]:
    entries = [entry(f"e/{i}", PAIRS[i % 5], 4.0 + 0.001 * i) for i in range(NUMBER)]
    mixture = {"name": "M", "chemical_symbols": ["Na", "K"], "concentration": [0.5, 0.5]}
    chlorine = {"name": "Cl", "chemical_symbols": ["Cl"], "concentration": [1.0]}
    entries[7] = entry("e/7", ("M", "Cl"), species=[mixture, chlorine], structure_features=["disorder"])
    entries[8] = entry("e/8", dimension_types=[1, 1, 0], nperiodic_dimensions=2)
    return entries


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(crystals(), tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    with proxied(server) as found:
        yield found


def fetched(proxy: Proxy, output: Path, limit: int = 1000, **options: Any) -> Fetched:
    options = {"patience": QUICK, **options}
    return fetch([f"db={proxy.url}"], Query(options.pop("filter_text", ""), limit), output, **options)


def ids(path: Path) -> list[str]:
    return [str(name) for name in pq.read_table(path)["id"].to_pylist()]


ALL = [f"db/e/{i}" for i in range(NUMBER)]


def test_all_entries_are_fetched_and_screened(proxy: Proxy, tmp_path: Path) -> None:
    def with_license(content: dict[str, Any]) -> None:
        content["data"]["attributes"]["available_licenses"] = ["CC-BY-4.0"]

    proxy.info = with_license
    found = fetched(proxy, tmp_path / "m.parquet")
    assert found.complete
    assert (found.rows, found.given[0].returned) == (NUMBER, NUMBER)
    table = pq.read_table(tmp_path / "m.parquet")
    assert table["id"].to_pylist() == ALL
    row = table.slice(3, 1).to_pylist()[0]
    assert row["url"] == f"{proxy.url}/v1/structures/e%2F3"
    assert (row["provider"], row["license"], row["last_modified"][:10]) == ("db", "CC-BY-4.0", "2026-01-02")
    origin = read_origin(tmp_path / "m.parquet")
    assert origin is not None
    assert origin["providers"][0] == {
        "name": "db", "url": proxy.url, "rows": NUMBER, "returned": NUMBER, "duplicates": 0, "limited": False,
        "problem": "", "license": "CC-BY-4.0", "api_version": "1.2.0",
    }  # fmt: skip
    assert not (tmp_path / "m.parquet.pages").exists()
    assert len(proxy.pages) == PAGES + 1  # the first page is asked for again, by the server's own measure

    config = RunConfig(
        inputs=(tmp_path / "m.parquet",),
        output=tmp_path / "out",
        model="baseline",
        executor="serial",
        quiet=True,
    )
    run(config)
    rows = {r["id"]: r for r in read_results(tmp_path / "out").to_pylist()}
    assert list(rows) == ALL
    assert rows["db/e/7"]["error_code"] == "PARTIAL_OCCUPANCY"
    assert "low_dimensional" in rows["db/e/8"]["flags"]
    assert rows["db/e/2"]["formula"] == "AlFe"
    assert rows["db/e/2"]["source"] == f"{proxy.url}/v1/structures/e%2F2"
    assert [r["status"] for r in rows.values()].count("failed") == 1
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["inputs"][0]["databases"]["providers"][0]["license"] == "CC-BY-4.0"


def test_what_is_there_is_not_asked_again(proxy: Proxy, tmp_path: Path) -> None:
    fetched(proxy, tmp_path / "m.parquet")
    before = len(proxy.asked)
    again = fetched(proxy, tmp_path / "m.parquet")
    assert (again.rows, again.asked, len(proxy.asked)) == (NUMBER, False, before)
    with pytest.raises(RunError, match="holds something else") as caught:
        fetched(proxy, tmp_path / "m.parquet", filter_text="nelements=2")
    assert caught.value.code == ErrorCode.OUTPUT_EXISTS
    assert fetched(proxy, tmp_path / "m.parquet", overwrite=True, filter_text="nelements=2").rows == NUMBER
    assert len(proxy.asked) > before


def test_filters_are_the_servers_own(proxy: Proxy, tmp_path: Path) -> None:
    text = combined('elements HAS "Al" OR elements HAS "Li"', ["Fe"], None, 40)
    assert fetched(proxy, tmp_path / "a.parquet", filter_text=text).rows == NUMBER // 5 - 1
    assert set(pq.read_table(tmp_path / "a.parquet")["species_at_sites"].to_pylist()[0]) == {"Fe", "Al"}
    assert fetched(proxy, tmp_path / "b.parquet", filter_text=combined(formula="Na2Cl2")).rows == NUMBER // 5
    with pytest.raises(InputError) as caught:
        fetched(proxy, tmp_path / "c.parquet", filter_text=combined(elements=["Xe"]))
    assert caught.value.code == ErrorCode.INPUT_EMPTY
    assert not list(tmp_path.glob("c.*"))


@pytest.mark.parametrize("limit", [1, PAGE, PAGE + 1, 50])
def test_a_limit_says_that_there_is_more(limit: int, proxy: Proxy, tmp_path: Path) -> None:
    found = fetched(proxy, tmp_path / "m.parquet", limit)
    assert (found.rows, found.given[0].limited, found.complete) == (limit, True, True)
    assert ids(tmp_path / "m.parquet") == ALL[:limit]
    assert len(proxy.pages) <= -(-limit // PAGE) + 1
    assert not fetched(proxy, tmp_path / "all.parquet", NUMBER).given[0].limited


PASSING = {
    "too many": Answer(429, headers={"Retry-After": "0"}),
    "away": Answer(503, "busy", {"Retry-After": email.utils.formatdate(time.time() - 5, usegmt=True)}),
    "gateway": Answer(502, "<html>Bad Gateway</html>"),
    "cut": Answer(200, b'{"data": [' + b" " * 1000, cut=500),
    "cut at once": Answer(200, b"x" * 100, cut=0),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_faults_that_pass(fault: Answer, proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault = lambda number, _path: fault if number in (2, 3, 6) else None
    found = fetched(proxy, tmp_path / "m.parquet")
    assert found.complete
    assert ids(tmp_path / "m.parquet") == ALL
    assert len(proxy.pages) == PAGES + 1 + 3


def test_as_long_as_the_provider_says_is_waited(proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault = lambda number, _path: Answer(429, headers={"Retry-After": "2"}) if number == 3 else None
    began = time.monotonic()
    assert fetched(proxy, tmp_path / "m.parquet").complete
    assert time.monotonic() - began >= 2
    proxy.fault = lambda number, _path: (
        Answer(503, headers={"Retry-After": "99999"}) if number % 9 == 5 else None
    )
    began = time.monotonic()
    found = fetched(proxy, tmp_path / "n.parquet", filter_text="nelements=2")
    assert "asks to wait 99,999 s" in found.given[0].problem
    assert time.monotonic() - began < 20


def test_pauses_between_pages_are_kept(proxy: Proxy, tmp_path: Path) -> None:
    def pause(content: dict[str, Any]) -> None:
        content["meta"]["request_delay"] = 1.5

    proxy.fault = lambda number, _path: Answer(change=pause) if number == 2 else None
    began = time.monotonic()
    assert fetched(proxy, tmp_path / "m.parquet").complete
    assert time.monotonic() - began >= 1.5


def test_two_databases_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two databases are called 'a'"):
        fetch(["a=http://127.0.0.1:1", "a=http://127.0.0.1:2"], Query(), tmp_path / "m.parquet")


def changed_count(content: dict[str, Any]) -> None:
    content["meta"]["data_returned"] = 99


def changed_entry(content: dict[str, Any]) -> None:
    content["data"][0] = entry("e/3", ("Xe", "Xe"))


def lost_entries(content: dict[str, Any]) -> None:
    del content["data"][::2]


def link(address: object, **meta: Any) -> Answer:
    def change(content: dict[str, Any]) -> None:
        content["links"]["next"] = address
        content["meta"].update(meta)

    return Answer(change=change)


GZIP = {"Content-Encoding": "gzip"}
LASTING: dict[str, tuple[Answer, str]] = {
    "html": (Answer(200, "<html>\x1b[31mWelcome</html>"), r"no JSON; it begins '<html>\?\[31mWelcome"),
    "half json": (Answer(200, '{"data": [{"id": 1'), "no JSON"),
    "deep json": (Answer(200, "[" * 100_000), "no JSON"),
    "list": (Answer(200, "[]"), "no object but a list"),
    "no entries": (Answer(200, '{"structures": []}'), "its keys are structures"),
    "of another kind": (Answer(200, '{"data": [{"id": "a", "type": "references", "attributes": {}}]}'),
        "type 'references'"),
    "no entry": (Answer(200, '{"data": [3]}'), "without id or attributes"),
    "no properties": (Answer(200, '{"data": [{"id": "a"}]}'), "without id or attributes"),
    "forbidden": (Answer(403, '{"errors": [{"detail": "ask\\nnicely"}]}'), "HTTP 403: ask nicely"),
    "always busy": (Answer(429), "HTTP 429, asked 4 times"),
    "huge": (Answer(200, b" " * 3_000_000), "more than 2,000,000 bytes"),
    "bomb": (Answer(200, gzip.compress(b" " * 50_000_000), GZIP), "more than 2,000,000 bytes"),
    "damaged": (Answer(200, b"no gzip at all", GZIP), "broke off"),
    "no HTTP": (Answer(0, b""), "broke off|HTTP 0"),
    "for ever": (Answer(200, b"{" + b" " * 100, drip=0.2), "no whole answer within 1 s, asked 2 times"),
    "silent": (Answer(200, b"{}", drip=3.0), "said nothing for 1 s|no whole answer within 1 s"),
    "elsewhere": (link("http://localhost:1/v1/structures"), "another host, localhost:1"),
    "another port": (link("http://127.0.0.1:1/v1/structures"), "another host, 127.0.0.1:1"),
    "a file": (link("file:///etc/passwd"), "which is no address"),
    "a number": (link(3), "by what is no address"),
    "redirected away": (Answer(302, headers={"Location": "http://example.invalid/"}), "another host"),
    "redirected in a circle": (Answer(302, headers={"Location": "?x"}), "redirects more than"),
    "no way on": (link(None, more_data_available=True), "does not say where"),
    "two in one": (Answer(200, json.dumps({"data": [entry("x"), entry("x", ("Fe", "Al"))]})), "that differ"),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "said"), LASTING.values(), ids=LASTING)
def test_one_that_fails_costs_one_line_and_the_others_go_on(
    fault: Answer, said: str, proxy: Proxy, server: str, tmp_path: Path
) -> None:
    proxy.fault = lambda number, _path: fault if number >= 3 else None
    patience = Patience(retries=3, first_wait=0.01, answer=1.0, largest=2_000_000)
    found = fetch(
        [f"bad={proxy.url}", f"good={server}"], Query("", 1000), tmp_path / "m.parquet", patience=patience
    )
    bad, good = found.given
    assert not found.complete
    assert (good.rows, good.problem) == (NUMBER, "")
    assert "\n" not in bad.problem
    assert bad.problem.isprintable()
    assert re.search(said, bad.problem), bad.problem
    # what was there before is kept: two pages, or three where the third one only leads astray
    assert [name for name in ids(tmp_path / "m.parquet") if name.startswith("bad/")] == [
        f"bad/e/{i}" for i in range(bad.rows)
    ]
    assert bad.rows == 2 * PAGE
    # and the rest is asked for when the fault is gone
    proxy.fault = lambda _number, _path: None
    asked = len(proxy.pages)
    again = fetch(
        [f"bad={proxy.url}", f"good={server}"], Query("", 1000), tmp_path / "m.parquet", patience=patience
    )
    assert again.complete
    assert again.rows == 2 * NUMBER
    assert len(proxy.pages) - asked == PAGES - 2


def repeated(number: int, _path: str) -> Answer | None:
    """The same page for ever, each time under another address."""
    first = json.dumps(
        {"data": [entry("e/0")], "links": {"next": f"/v1/structures?again={number}"}, "meta": {}}
    )
    return Answer(200, first)


def circle(number: int, _path: str) -> Answer | None:
    content = {
        "data": [entry(f"e/{number}")],
        "links": {"next": f"/v1/structures?page={number % 2}"},
        "meta": {},
    }
    return Answer(200, json.dumps(content))


def itself(number: int, path: str) -> Answer | None:
    return Answer(200, json.dumps({"data": [entry(f"e/{number}")], "links": {"next": {"href": path}}}))


@pytest.mark.parametrize(
    ("fault", "said"), [(repeated, "repeats itself"), (circle, "in a circle"), (itself, "in a circle")]
)
def test_one_that_never_ends(fault: Any, said: str, proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault = fault
    found = fetched(proxy, tmp_path / "m.parquet")
    assert said in found.given[0].problem
    assert len(proxy.pages) < 6


def test_one_that_never_ends_with_new_entries_ends_at_the_limit(proxy: Proxy, tmp_path: Path) -> None:
    def endless(number: int, _path: str) -> Answer:
        content = {"data": [entry(f"e/{number}")], "links": {"next": f"/v1/structures?page={number}"}}
        return Answer(200, json.dumps(content))

    proxy.fault = endless
    found = fetched(proxy, tmp_path / "m.parquet", 25)
    assert (found.rows, found.given[0].limited, len(proxy.pages)) == (25, True, 25)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed_count, "it had 99 entries, then 110"),
        (changed_entry, "entry 'e/3' is another now"),
        (lost_entries, "ended after 100 of 110 entries"),
    ],
)
def test_answers_that_change_between_pages(change: Any, said: str, proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault = lambda number, _path: Answer(change=change) if number == PAGES - 1 else None
    found = fetched(proxy, tmp_path / "m.parquet")
    assert said in found.given[0].problem
    assert not found.complete
    # what is there does not go together: all is asked for anew
    proxy.fault = lambda _number, _path: None
    asked = len(proxy.pages)
    assert fetched(proxy, tmp_path / "m.parquet").complete
    assert ids(tmp_path / "m.parquet") == ALL
    assert len(proxy.pages) - asked == PAGES + 1


def test_providers_are_asked_side_by_side(server: str, tmp_path: Path) -> None:
    """Each does not answer before the other has been asked."""
    asked = [threading.Event(), threading.Event()]
    met = []

    def waiting(own: int, number: int) -> None:
        asked[own].set()
        if number == 2:
            met.append(asked[1 - own].wait(20))

    with proxied(server) as first, proxied(server) as second:
        for own, proxy in enumerate((first, second)):
            proxy.fault = lambda number, _path, own=own: waiting(own, number)  # type: ignore[misc]
        found = fetch(
            [f"a={first.url}", f"b={second.url}"], Query("", 50), tmp_path / "m.parquet", patience=Patience()
        )
    assert met == [True, True]
    assert ids(tmp_path / "m.parquet") == [f"{name}/e/{i}" for name in "ab" for i in range(50)]
    assert found.complete


def test_entries_that_come_twice_are_kept_once(proxy: Proxy, tmp_path: Path) -> None:
    def doubled(content: dict[str, Any]) -> None:
        content["data"] = [entry(f"e/{i}", PAIRS[i % 5], 4.0 + 0.001 * i) for i in (1, 2)] + content["data"]
        content["data"].append(content["data"][-1])

    proxy.fault = lambda number, _path: Answer(change=doubled) if number == 3 else None
    found = fetched(proxy, tmp_path / "m.parquet")
    assert (found.rows, found.given[0].duplicates, found.complete) == (NUMBER, 3, True)
    assert ids(tmp_path / "m.parquet") == ALL


def test_entries_of_any_form_have_a_row(proxy: Proxy, tmp_path: Path) -> None:
    odd = [
        entry("null", lattice_vectors=None),
        entry("text", lattice_vectors="4 0 0"),
        entry("ragged", lattice_vectors=[[4.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]),
        entry("words", cartesian_site_positions=[["a", "b", "c"]] * 2),
        entry("large", cartesian_site_positions=[[10**400, 0, 0], [0, 0, 0]]),
        entry("dummy", ("Cs", "X")),
        entry("flags", dimension_types="all"),
        entry("vacuum", species=[{"name": "Cs"}, {"name": "Cl", "chemical_symbols": ["vacancy"]}]),
        entry("surrogate \ud800", ("Cs", "\ud800")),
        entry("good", species=None, dimension_types=None, structure_features=None),
    ]
    odd[-1]["id"] = 12
    proxy.fault = lambda _number, _path: Answer(
        200, json.dumps({"data": odd, "meta": {"data_returned": len(odd)}})
    )
    found = fetched(proxy, tmp_path / "m.parquet")
    assert (found.rows, found.complete) == (len(odd), True)
    output = tmp_path / "out"
    run(
        RunConfig(
            inputs=(tmp_path / "m.parquet",), output=output, model="baseline", executor="serial", quiet=True
        )
    )
    codes = {r["id"].removeprefix("db/"): r["error_code"] for r in read_results(output).to_pylist()}
    assert codes.pop("12") is None
    assert codes == {
        "null": "NULL_VALUE", "text": "NULL_VALUE", "ragged": "SHAPE_MISMATCH", "words": "NULL_VALUE",
        "large": "NULL_VALUE", "dummy": "SPECIES_UNKNOWN", "flags": "NULL_VALUE", "vacuum": "SPECIES_UNKNOWN",
        "surrogate \\ud800": "SPECIES_UNKNOWN",
    }  # fmt: skip


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "goldilocks_batch", *map(str, arguments)]


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_that_was_killed_goes_on_without_asking_again(
    kill: signal.Signals, proxy: Proxy, tmp_path: Path
) -> None:
    fetch_it = command("fetch", f"db={proxy.url}", "-o", tmp_path / "m.parquet", "-q")
    proxy.delay = 0.3
    first = subprocess.Popen(fetch_it, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while len(proxy.pages) < 4:
        time.sleep(0.02)
        assert first.poll() is None
    first.send_signal(kill)
    first.communicate(timeout=30)
    assert first.returncode == (130 if kill != signal.SIGKILL else -9)
    assert not (tmp_path / "m.parquet").exists()
    proxy.delay = 0.0
    done = subprocess.run(fetch_it, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ids(tmp_path / "m.parquet") == ALL
    # the page that was under way, and nothing else, is asked for twice
    assert len(proxy.pages) <= PAGES + 1 + 1
    assert len(set(proxy.pages)) == PAGES + 1


def test_a_page_damaged_on_disk_is_asked_for_again(proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault = lambda number, _path: Answer(403) if number == 5 else None
    assert fetched(proxy, tmp_path / "m.parquet").rows == 4 * PAGE
    (third,) = tmp_path.glob("m.parquet.pages/db-*/page-000002.json.gz")
    third.write_bytes(third.read_bytes()[:-30])
    proxy.fault = lambda _number, _path: None
    assert fetched(proxy, tmp_path / "m.parquet").complete
    assert ids(tmp_path / "m.parquet") == ALL


def test_the_command_tells_what_came(proxy: Proxy, tmp_path: Path) -> None:
    arguments = [
        "fetch",
        f"db={proxy.url}",
        "--elements",
        "Fe",
        "Al",
        "--nsites-max",
        "9",
        "-o",
        str(tmp_path / "m.parquet"),
    ]
    done = CliRunner().invoke(app, [*arguments, "-n", "10"])
    assert done.exit_code == 0, done.output
    assert (
        "db has more: 10 of 21 entries were taken, which is the limit (-n, or n= in an input of run)"
        in done.stderr
    )
    assert f"manifest: 10 rows in {tmp_path / 'm.parquet'}" in done.stdout
    assert "db: 10 of 10 entries" in done.stderr
    again = CliRunner().invoke(app, [*arguments, "-n", "10"])
    assert (again.exit_code, "nobody was asked" in again.stdout) == (0, True)
    other = CliRunner().invoke(app, arguments)
    assert (other.exit_code, "OUTPUT_EXISTS" in other.stderr) == (2, True)


def test_bars_on_a_terminal_have_what_the_provider_says(proxy: Proxy, tmp_path: Path) -> None:
    proxy.delay = 0.15
    proxy.fault = lambda number, _path: Answer(503, headers={"Retry-After": "1"}) if number == 3 else None
    told = on_terminal(120, "fetch", f"db={proxy.url}", "-o", tmp_path / "m.parquet")
    assert "40 of 110" in told
    assert "answered HTTP 503; asked again in 1 s" in told
    assert "110 rows in" in told.splitlines()[-2]


def test_a_provider_that_is_down_is_exit_code_1(proxy: Proxy, tmp_path: Path) -> None:
    output = tmp_path / "m.parquet"
    done = CliRunner().invoke(
        app, ["fetch", "gone=http://127.0.0.1:9", f"db={proxy.url}", "--retries", "0", "-o", str(output)]
    )
    assert done.exit_code == 1, done.output
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert line.startswith("error: gone cannot be reached, or broke off")
    assert ids(output) == ALL
    alone = CliRunner().invoke(
        app, ["fetch", "http://127.0.0.1:9", "--retries", "0", "-o", str(tmp_path / "x.parquet")]
    )
    assert alone.exit_code == 1
    assert "no manifest was written" in alone.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://x"], "no address of an OPTIMADE"),
        (["a b"], "is no database"),
        (["mp", "--elements", "Sx"], "no element's symbol"),
        (["mp", "--formula", "Si(OH)4"], "is not understood"),
        (["mp", "--filter", "elements HAS"], "not in OPTIMADE's language"),
        (["mp", "--filter", "nelements = = 2"], "not in OPTIMADE's language"),
    ],
)
def test_questions_that_are_none_are_not_asked(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["fetch", *arguments, "-o", str(tmp_path / "m.parquet")])
    assert done.exit_code == 2
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['optimade'] = None; sys.modules['optimade.filterparser'] = None\n"
        f"sys.argv = ['goldilocks-batch', 'fetch', 'mp', '-o', {str(tmp_path / 'm.parquet')!r}]\n"
        "from goldilocks_batch.cli.app import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'goldilocks-batch[databases]'" in done.stderr


@pytest.fixture
def index(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that is a public index too: of one provider with one database, and one with two."""

    def links(*entries: tuple[str, str, str]) -> dict[str, Any]:
        data = [
            {"id": name, "type": "links", "attributes": {"link_type": kind, "base_url": url}}
            for name, kind, url in entries
        ]
        return {"data": data}

    with proxied(server) as proxy:

        def as_index(content: dict[str, Any]) -> None:
            path = proxy.asked[-1]
            if path == "/v1/links":
                content.update(links(("one", "external", f"{proxy.url}"), ("two", "external", proxy.url),
                                     ("a", "child", proxy.url)))  # fmt: skip

        proxy.info = as_index
        monkeypatch.setenv("GOLDILOCKS_OPTIMADE_INDEX", proxy.url)
        yield proxy


def test_names_that_are_in_no_table_are_looked_up(index: Proxy, tmp_path: Path) -> None:
    found = fetch(["one"], Query("", 10), tmp_path / "m.parquet", patience=QUICK)
    assert (found.rows, found.complete) == (10, True)
    assert ids(tmp_path / "m.parquet")[0] == "one/e/0"
    assert fetch(["two/a"], Query("", 10), tmp_path / "n.parquet", patience=QUICK).rows == 10
    lost = fetch(["two/b", "three"], Query("", 10), tmp_path / "o.parquet", patience=QUICK)
    assert lost.path is None
    assert "has no database 'b'; it has: two/a" in lost.given[0].problem
    assert "not in the public index" in lost.given[1].problem
    # known names need no index
    assert [path for path in index.asked if "links" in path] != []


ODD = [
    "https://a..b",
    "http://host name",
    "http://[::1]:9",
    f"https://{'a' * 300}.org",
    "http://127.0.0.1:0",
    "http://%41",
]


@pytest.mark.parametrize("address", ODD)
def test_addresses_that_lead_nowhere_are_a_line(address: str, tmp_path: Path) -> None:
    patience = Patience(retries=0, answer=5.0)
    try:
        said = fetch([address], Query(), tmp_path / "m.parquet", patience=patience).given[0].problem
    except ConfigError as error:
        said = error.message
    assert said
    assert said.isprintable()


def test_an_index_that_is_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDILOCKS_OPTIMADE_INDEX", "http://127.0.0.1:9")
    found = fetch(["jarvs"], Query(), tmp_path / "m.parquet", patience=Patience(retries=0))
    assert "did you mean 'jarvis'?" in found.given[0].problem
    assert "the public index cannot be asked" in found.given[0].problem


def test_a_run_fetches_its_input_once(proxy: Proxy, tmp_path: Path) -> None:
    text = f"optimade:db={proxy.url}?elements=Fe,Al&n=15"
    config = RunConfig(
        inputs=(Path(text),),
        output=tmp_path / "out",
        model="baseline",
        executor="serial",
        quiet=True,
        shard_size=5,
    )
    with pytest.raises(InputError, match=f"^optimade:db={proxy.url}.* asks nobody"):
        plan(config)
    assert not proxy.asked
    assert run(config).rows == 15
    asked = len(proxy.asked)
    (part, *_) = sorted((tmp_path / "out/results").glob("part-*.parquet"))
    part.unlink()
    again = run(config)
    assert (again.rows, again.computed, len(proxy.asked)) == (15, 5, asked)
    assert read_results(tmp_path / "out")["id"].to_pylist()[0] == "db/e/2"
    with pytest.raises(RunError) as caught:
        run(config.updated(inputs=(Path(f"optimade:db={proxy.url}?elements=Ni&n=15"),)))
    assert caught.value.code == ErrorCode.RESUME_REFUSED


def test_a_run_does_not_begin_with_half_an_input(proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault = lambda number, _path: Answer(403, "no") if number == 3 else None
    arguments = [
        "run",
        f"optimade:{proxy.url}",
        "--model",
        "baseline",
        "--executor",
        "serial",
        "-o",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "DATABASE_FAILED" in done.stderr
    assert not (tmp_path / "out/run.json").exists()
    asked = len(proxy.pages)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1, again.output  # one mixture
    assert f"{NUMBER} of {NUMBER} rows" in again.stdout
    assert len(proxy.pages) - asked == PAGES - 2


def test_other_commands_say_how_to_have_it(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["manifest", "optimade:mp", "-o", str(tmp_path / "m.parquet")])
    assert done.exit_code == 2
    assert "goldilocks-batch fetch" in done.stderr


def test_a_folder_of_other_things_is_left_alone(proxy: Proxy, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("years of work")
    with pytest.raises(RunError) as caught:
        run(RunConfig(inputs=(Path(f"optimade:{proxy.url}"),), output=tmp_path / "out", model="baseline"))
    assert caught.value.code == ErrorCode.OUTPUT_EXISTS
    assert os.listdir(tmp_path / "out") == ["thesis.tex"]  # noqa: PTH208
    assert not proxy.asked


@pytest.mark.parametrize(
    ("text", "said"),
    [("optimade:mp?elments=Si", "did you mean 'elements'"), ("optimade:mp?n=0", "no positive number"),
     ("optimade:mp?filter=x HAS", "not in OPTIMADE's language")],
)  # fmt: skip
def test_inputs_that_ask_for_nothing(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        run(RunConfig(inputs=(Path(text),), output=tmp_path / "out", model="baseline"))
    assert not (tmp_path / "out").exists()


@pytest.mark.shared
def test_crystals_of_mc3d_come_back_as_they_went(shared: Path, tmp_path: Path) -> None:
    """CIF to a crystal to a database and back: the same meshes as from the CIFs."""
    import numpy as np

    from goldilocks_batch.structures.crystal import SYMBOLS
    from goldilocks_batch.structures.read import load
    from goldilocks_batch.structures.sources.sourceset import open_sources

    rows = pq.read_table(shared / "data/mc3d_pbe.parquet").slice(0, 60)
    pq.write_table(rows, tmp_path / "cifs.parquet")
    sources = open_sources([tmp_path / "cifs.parquet"])
    entries = []
    for piece in sources.pieces(0, sources.rows):
        for reference in piece.read():
            crystal = load(reference, max_sites=1000)
            names = [SYMBOLS[z] for z in crystal.numbers]
            kinds = [{"name": n, "chemical_symbols": [n], "concentration": [1.0]} for n in sorted(set(names))]
            places = np.asarray(crystal.cart).tolist()
            about = {"lattice_vectors": crystal.lattice.tolist(), "cartesian_site_positions": places}
            about |= {"species_at_sites": names, "species": kinds, "nsites": len(names)}
            entries.append(entry(reference.id, **about))
    with serving(entries, tmp_path) as url:
        found = fetch([f"mc3d={url}"], Query(), tmp_path / "fetched.parquet", patience=QUICK)
    assert found.rows == 60
    tables = []
    for name in ("cifs", "fetched"):
        output = tmp_path / name
        inputs = (tmp_path / f"{name}.parquet",)
        run(RunConfig(inputs=inputs, output=output, model="baseline", executor="serial", quiet=True))
        tables.append(
            read_results(output, ["formula", "space_group_number", "mesh", "n_kpoints_irreducible"])
        )
    assert tables[0].equals(tables[1])
